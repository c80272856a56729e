"""A held message as filters see and change it: a header section in memory, a body somewhere, not copied on the way."""

from collections.abc import AsyncIterator
from typing import Final, Self

from paquebot_mta.filter.contract import Changes
from paquebot_mta.filter.fields import edit_sections
from paquebot_mta.filter.hold import Held

CHUNK_BYTES: Final = 65_536


class Letter:
    """A message (implements ``Content``, as a judge sees it).

    Attributes:
        front: the whole header section, with the empty line if there is one.
        trace: our own fields in it, which no judge is shown: they tell what it is told anyway. Empty if a
            filter changed them: then they are as any others.
    """

    def __init__(self, front: bytes, body: "Held | bytes", body_start: int = 0, trace: bytes = b"") -> None:
        """Take a header section, and a body that is what ``body`` holds from ``body_start`` on."""
        self.front = front
        self._body = body
        self._body_start = body_start
        # Filters may have put fields in front of our trace, which is like no other: it has the message's id.
        before, found, own = front.partition(trace) if trace else (b"", b"", front)
        if not found or not (before or b"\r\n").endswith(b"\r\n"):
            before, found, own = b"", b"", front
        self._before, self.trace, self._own = before, found, own
        self._shown = before + own

    @classmethod
    async def of(cls, held: Held, trace: bytes = b"") -> Self:
        """Take what is held, whole by now."""
        header_size = held.header_size
        return cls(await held.read(0, header_size), held, header_size, trace)

    @property
    def body_size(self) -> int:
        """Bytes of the body."""
        whole = len(self._body) if isinstance(self._body, bytes) else self._body.size
        return whole - self._body_start

    @property
    def size(self) -> int:
        """Bytes, without our trace."""
        return self.header_size + self.body_size

    @property
    def header_size(self) -> int:
        """Bytes of the header section, the empty line included, without our trace."""
        return len(self._shown)

    async def read(self, offset: int, count: int) -> bytes:
        """Bytes from ``offset``; fewer at the end."""
        found = self._shown[offset : offset + count]
        missing = count - len(found)
        return found + await self._read_body(max(offset - self.header_size, 0), missing) if missing else found

    async def _read_body(self, offset: int, count: int) -> bytes:
        start = self._body_start + offset
        if isinstance(self._body, bytes):
            return self._body[start : start + count]
        return await self._body.read(start, count)

    def keep(self) -> None:
        """Let it be read, whoever closes what it lies in, until ``release``."""
        if not isinstance(self._body, bytes):
            self._body.keep()

    def release(self) -> None:
        """End a ``keep``."""
        if not isinstance(self._body, bytes):
            self._body.release()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give all of it, our trace too, in pieces."""
        yield self.front
        for offset in range(0, self.body_size, CHUNK_BYTES):
            yield await self._read_body(offset, min(CHUNK_BYTES, self.body_size - offset))

    def changed(self, changes: Changes) -> "Letter":
        """Give the message as it is after a judge's changes; all other bytes stay.

        Raises:
            ValueError: a change can't be one of a header section.
        """
        before, own = edit_sections(self._before, self._own, changes.edits)
        front = b"".join(changes.prepend) + before + self.trace + own
        if changes.body is not None:
            return Letter(_ended(front), changes.body, 0, self.trace)
        return Letter(front, self._body, self._body_start, self.trace)

    def marked(self, field: bytes) -> "Letter":
        """Give the message with a field in front of all others."""
        return Letter(field + self.front, self._body, self._body_start)


def _ended(front: bytes) -> bytes:
    """A header section that a body follows ends with an empty line."""
    return front if front.endswith(b"\r\n\r\n") or front == b"\r\n" else front + b"\r\n"
