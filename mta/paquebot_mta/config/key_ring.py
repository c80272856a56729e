"""The key ring of the queue: which keys there are, in one strict form. It never says what a key is, not in an error.

A JSON array; each entry has ``id``, ``createdAt`` and either ``key`` or ``passphrase``::

    [{"id": 1, "key": "<32 random bytes, base64>", "createdAt": "2026-11-21T00:00:00Z"}]
"""

from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct, ValidationError

KEY_BYTES: Final = 32
MAX_KEYS: Final = 64
MAX_RING_CHARACTERS: Final = 65_536


class RingKey(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One entry.

    Attributes:
        id: stands in the header of every segment that it seals; never given to another key.
        created_at: aware; the newest that isn't in the future writes.
        key: 32 random bytes, empty if there is a ``passphrase`` that a key is stretched from.
    """

    id: Annotated[int, Meta(ge=1, le=2**32 - 1)]
    created_at: Annotated[datetime, Meta(tz=True)]
    key: bytes = b""
    passphrase: Annotated[str, Meta(max_length=1_024)] = ""

    def __repr__(self) -> str:
        """Nothing of the key: a value may end in a log."""
        return f"RingKey(id={self.id})"


_Ring = Annotated[tuple[RingKey, ...], Meta(min_length=1, max_length=MAX_KEYS)]
_DECODER: Final = msgspec.json.Decoder(_Ring)
_LEAST_PASSPHRASE: Final = 16
_UNKNOWN_FIELD: Final = "Object contains unknown field"


def parse_key_ring(text: str) -> tuple[RingKey, ...]:
    """Read a key ring.

    Raises:
        ValueError: it is none; the message names the entry by its place or id, and nothing secret.
    """
    if len(text) > MAX_RING_CHARACTERS:
        raise ValueError(f"longer than {MAX_RING_CHARACTERS} characters")
    try:
        ring = _DECODER.decode(text)
    except ValidationError as error:
        raise ValueError(_harmless(str(error))) from None
    except msgspec.DecodeError:
        raise ValueError("not a JSON array of keys") from None
    for entry in ring:
        _check(entry)
    if len({entry.id for entry in ring}) != len(ring):
        raise ValueError("two keys have the same id")
    return ring


def key_ring_fault(text: str) -> str:
    """What is wrong with a key ring, nothing secret in it; empty if nothing is."""
    try:
        parse_key_ring(text)
    except ValueError as error:
        return str(error)
    return ""


def _harmless(fault: str) -> str:
    """Leave out the name of a field that we don't know, which may be a secret in the wrong place; all else is ours."""
    if not fault.startswith(_UNKNOWN_FIELD):
        return fault  # path and type
    return f"{_UNKNOWN_FIELD} - at {fault.rpartition(' - at ')[2]}"


def _check(entry: RingKey) -> None:
    if bool(entry.key) == bool(entry.passphrase):
        raise ValueError(f"key {entry.id}: either key or passphrase")
    if entry.key and (len(entry.key) != KEY_BYTES or len(set(entry.key)) == 1):
        raise ValueError(f"key {entry.id}: not {KEY_BYTES} random bytes in base64")
    if entry.passphrase and len(entry.passphrase) < _LEAST_PASSPHRASE:
        raise ValueError(f"key {entry.id}: a passphrase has at least {_LEAST_PASSPHRASE} characters")
