"""Lines of a conversation: bytes in, whole lines out, CRLF only (RFC 5321, 2.3.8). No I/O; server and client use it.

The caller bounds what it feeds ahead of asking; a line that grows beyond the limit is dropped while it comes in, so
the buffer never holds more than the limit and one chunk.
"""

from typing import Final, Literal

Fault = Literal["bare-cr", "bare-lf", "nul", "too-long"]


class LineError(ValueError):
    """A line that can't be taken; it has been removed from the buffer and the next one can be asked for."""

    def __init__(self, fault: Fault) -> None:
        """Say which fault."""
        super().__init__(fault)
        self.fault: Final = fault


class LineBuffer:
    """Bytes that came in and were not asked for yet."""

    __slots__ = ("_at", "_data", "_skipping")

    def __init__(self) -> None:
        """Start empty."""
        self._data = b""
        self._at = 0
        self._skipping = False

    def __len__(self) -> int:
        """Bytes held."""
        return len(self._data) - self._at

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        self._data = data if self._at == len(self._data) else self._data[self._at :] + data
        self._at = 0

    def take_all(self) -> bytes:
        """Give out whatever is held, lines or not, and forget it."""
        data = self._data[self._at :]
        self._data, self._at = b"", 0
        return data

    def next_line(self, limit: int) -> bytes | None:
        """Give out one line without its CRLF, None if none is complete.

        Args:
            limit: longest line in bytes, CRLF included.

        Raises:
            LineError: the line ends in a bare LF (at once, not at some later CRLF), holds a bare CR or a NUL, or is
                too long (once for the whole of it).
        """
        start = self._at
        end = self._data.find(b"\n", start)
        if end < 0:
            self._check_unfinished(limit)
            return None
        self._at = end + 1
        if self._skipping:
            self._skipping = False
            return self.next_line(limit)
        if self._at - start > limit:
            raise LineError("too-long")
        if end == start or self._data[end - 1] != 13:
            raise LineError("bare-lf")
        line = self._data[start : end - 1]
        if b"\r" in line:
            raise LineError("bare-cr")
        if b"\0" in line:
            raise LineError("nul")
        return line

    def _check_unfinished(self, limit: int) -> None:
        """Wait for more of the line, unless there is too much of it already."""
        if self._skipping:
            self.take_all()
        elif len(self) > limit:
            self.take_all()
            self._skipping = True
            raise LineError("too-long")
