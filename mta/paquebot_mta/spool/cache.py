"""Fresh messages in memory, so that the first attempt reads no disk; the oldest leave first."""

from collections.abc import Sequence
from typing import NamedTuple

from paquebot_mta.mail.envelope import Message
from paquebot_mta.mail.ids import Msgid


class Cached(NamedTuple):
    """A message and its content, chunks of at most 64 KiB."""

    message: Message
    chunks: Sequence[bytes]


class FreshCache:
    """Bounded by the contents' bytes."""

    def __init__(self, limit_bytes: int) -> None:
        """Start empty."""
        self._limit = limit_bytes
        self._bytes = 0
        self._kept: dict[Msgid, Cached] = {}

    def put(self, msgid: Msgid, message: Message, chunks: Sequence[bytes]) -> None:
        """Keep a message if it is small enough to be worth it."""
        if message.size * 8 > self._limit:
            return
        self._kept[msgid] = Cached(message, chunks)
        self._bytes += message.size
        while self._bytes > self._limit:
            self.drop(next(iter(self._kept)))

    def get(self, msgid: Msgid) -> Cached | None:
        """Find a message."""
        return self._kept.get(msgid)

    def drop(self, msgid: Msgid) -> None:
        """Forget a message."""
        cached = self._kept.pop(msgid, None)
        if cached is not None:
            self._bytes -= cached.message.size
