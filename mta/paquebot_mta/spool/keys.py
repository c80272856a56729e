"""The keys that segments are sealed with, ready for use; stretching a passphrase takes some 0.1 s, once. Knows no disk.

A passphrase is stretched by PBKDF2-HMAC-SHA256 (RFC 8018, 5.2). The salt is made of the volume's own id, so all
processes of a volume get the same key, and no other volume does.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from paquebot_mta.config.key_ring import KEY_BYTES, RingKey
from paquebot_mta.spool.store import KeyUse

ROUNDS: Final = 600_000


class MissingKeyError(OSError):
    """No key of the ring fits: what it should open stays as it is, what it should seal is not written."""

    def __init__(self, cause: str, kid: int = 0) -> None:
        """``kid`` is the one that is missing, 0 if none may write."""
        super().__init__(cause)
        self.kid = kid


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """A key of the ring; ``entry`` is what it was made from."""

    entry: RingKey
    secret: bytes

    @property
    def kid(self) -> int:
        """Its id."""
        return self.entry.id

    @property
    def created_at(self) -> float:
        """Seconds since 1970."""
        return self.entry.created_at.timestamp()


@dataclass(frozen=True, slots=True, repr=False)
class KeyRing:
    """All keys there are; none means that nothing is sealed."""

    keys: tuple[Key, ...] = ()

    def find(self, kid: int) -> Key | None:
        """The key with an id."""
        return next((key for key in self.keys if key.kid == kid), None)

    def writer(self, now: float) -> Key | None:
        """The newest key that isn't made in the future, so that it can be handed out before it is used.

        If all are, the first of them: it is rather the clock that is wrong, and that must stop no mail. None if nothing
        is to be sealed.
        """
        keys = sorted(self.keys, key=lambda key: (key.created_at, key.kid))
        usable = [key for key in keys if key.created_at <= now]
        return next(iter(usable[-1:] or keys), None)


def stretch(entries: Iterable[RingKey], volume_id: str, before: KeyRing) -> KeyRing:
    """Make keys of a ring's entries. Blocks for each passphrase that ``before`` has no key of."""
    known = {key.entry: key for key in before.keys}
    return KeyRing(tuple(known.get(entry) or Key(entry, _secret(entry, volume_id)) for entry in entries))


def _secret(entry: RingKey, volume_id: str) -> bytes:
    if entry.key:
        return entry.key
    salt = hashlib.sha256(f"paquebot key ring\0{volume_id}\0{entry.id}".encode()).digest()
    return hashlib.pbkdf2_hmac("sha256", entry.passphrase.encode(), salt, ROUNDS, KEY_BYTES)


def uses_of(ring: KeyRing, now: float, in_use: Counter[int], locked: Counter[int]) -> list[KeyUse]:
    """Tell of each key that there is or should be, newest first, what it seals; 0 is for what isn't sealed."""
    writer = ring.writer(now)
    writing = writer.kid if writer else 0
    known = {key.kid: key.created_at for key in ring.keys}
    kids = sorted({*known, *in_use, *locked}, key=lambda kid: (known.get(kid, 0.0), kid), reverse=True)
    return [
        KeyUse(kid=kid, created_at=known.get(kid), writes=kid == writing, segments=in_use[kid], locked=locked[kid])
        for kid in kids
    ]
