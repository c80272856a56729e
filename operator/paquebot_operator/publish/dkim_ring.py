"""The managed DKIM keys of a domain, and when one gives way to the next. Private keys are bytes here, nothing more.

A ring lies in a Secret: a private key a selector (``SELECTOR.pem``, PKCS #8), and ``keys.json`` with their states. A
key begins as Next (published, not used), becomes Current once its record is found, and ends as Previous (still
published, for mail that is on its way). The first key of a domain is Current at once: nothing is there to wait with.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Literal

import msgspec
from msgspec import Struct

from paquebot_operator.api.signing import Dkim

STATES_KEY = "keys.json"
KEY_SUFFIX = ".pem"
MAX_KEYS = 8
PROPAGATION = timedelta(hours=1)
"""Between the making of a key and its use at least: caches may hold that there is no such record (RFC 2308, 5)."""

State = Literal["Next", "Current", "Previous"]
Algorithm = Literal["RSA2048", "Ed25519"]


class RingKey(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One key.

    Attributes:
        since: when it came into its state.
        asked_selector: what the MailDomain asked for when the key was made; empty: a selector made from the date.
    """

    selector: str
    algorithm: Algorithm
    state: State
    created: datetime
    since: datetime
    asked_selector: str = ""


class Ring(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All keys of a domain, oldest first."""

    keys: tuple[RingKey, ...] = ()

    def in_state(self, state: State) -> RingKey | None:
        """The newest key in a state."""
        return next((key for key in reversed(self.keys) if key.state == state), None)

    def with_key(self, key: RingKey) -> "Ring":
        """With another key at the end; a Next one takes the place of one that was never used."""
        kept = tuple(each for each in self.keys if key.state != "Next" or each.state != "Next")
        return Ring(keys=(*kept, key))


def turned(ring: Ring, wanted: Dkim, now: datetime, published: Collection[str]) -> Ring:
    """Do what time and DNS allow: use the next key, drop old ones. Makes no key.

    Args:
        published: selectors whose records were found.
    """
    overlap = timedelta(seconds=wanted.rotation.overlap_seconds)
    following = ring.in_state("Next")
    keys = ring.keys
    if following is not None and following.selector in published and now - following.since >= PROPAGATION:
        moved = {"Current": "Previous", "Next": "Current"}
        keys = tuple(_moved(key, moved.get(key.state, key.state), now) for key in keys)  # type: ignore[arg-type]
    return Ring(keys=tuple(key for key in keys if key.state != "Previous" or now - key.since < overlap))


def missing_key(ring: Ring, wanted: Dkim, now: datetime) -> RingKey | None:
    """The key that should be made now, or None.

    That is the first one, one of another algorithm or selector than all that are in use, or the next in the rotation.
    """
    current, following = ring.in_state("Current"), ring.in_state("Next")
    newest = following or current
    if newest is not None and _fits(newest, wanted) and not (following is None and _is_due(newest, wanted, now)):
        return None
    if len(ring.keys) >= MAX_KEYS:
        return None
    return RingKey(
        selector=_free_selector(ring, wanted, now),
        algorithm=wanted.algorithm,
        state="Current" if current is None else "Next",
        created=now,
        since=now,
        asked_selector=wanted.selector or "",
    )


def read_ring(text: bytes) -> Ring:
    """Read ``keys.json``.

    Raises ValueError if it is not what this module writes.
    """
    try:
        return msgspec.json.decode(text, type=Ring)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{STATES_KEY}: {error}") from None


def write_ring(ring: Ring) -> bytes:
    """Spell a ring; equal rings give equal bytes."""
    return msgspec.json.encode(ring, order="deterministic")


def _moved(key: RingKey, state: State, now: datetime) -> RingKey:
    return key if key.state == state else msgspec.structs.replace(key, state=state, since=now)


def _fits(key: RingKey, wanted: Dkim) -> bool:
    return key.algorithm == wanted.algorithm and key.asked_selector == (wanted.selector or "")


def _is_due(current: RingKey, wanted: Dkim, now: datetime) -> bool:
    rotation = wanted.rotation
    return rotation.mode == "Scheduled" and now - current.created >= timedelta(seconds=rotation.interval_seconds)


def _free_selector(ring: Ring, wanted: Dkim, now: datetime) -> str:
    """The asked one, if no key has it; else one with the date, and a number if that is taken too."""
    taken = {key.selector for key in ring.keys}
    if wanted.selector and wanted.selector not in taken:
        return wanted.selector
    day = f"{now:%Y%m%d}"
    dated = f"{wanted.selector[: 63 - len(day) - 4]}-{day}" if wanted.selector else f"pq{day}"
    numbered = (f"{dated}-{number}" for number in range(2, MAX_KEYS + 3))
    return next(name for name in (dated, *numbered) if name not in taken)
