"""Content on its way in: DATA (RFC 5321, 4.1.1.4, 4.5.2) and BDAT (RFC 3030), chunk by chunk, bounded. No I/O.

Promises: the end of DATA is CRLF.CRLF and nothing that looks like it; where the chunks are cut never matters; content
that breaks a rule is read to its end and dropped, so that the conversation stays in step; work is done per chunk, never
per line.
"""

from typing import Final, Literal

Fault = Literal["bare-cr", "bare-lf", "nul", "line-too-long", "too-big"]

LINE_BYTES: Final = 65_535
"""The longest line of content that is taken, CRLF included; RFC 5321, 4.5.3.1.6 asks for 1,000."""

_END: Final = b"\r\n.\r\n"


class _Gate:
    """Checks content as it passes; from the first fault on nothing passes any more."""

    __slots__ = ("_limit", "_line", "fault", "size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._line = 0
        self.fault: Fault | None = None
        self.size = 0

    def check(self, content: bytes) -> bytes:
        """Give the content back, or nothing; it must not end with a CR whose LF may still come."""
        if self.fault is None:
            self.size += len(content)
            self.fault = self._judge(content)
        return b"" if self.fault is not None else content

    def _judge(self, content: bytes) -> Fault | None:
        if self.size > self._limit:
            return "too-big"
        pairs = content.count(b"\r\n")
        if content.count(b"\n") != pairs:
            return "bare-lf"
        if content.count(b"\r") != pairs:
            return "bare-cr"
        if b"\0" in content:
            return "nul"
        return self._judge_lines(content)

    def _judge_lines(self, content: bytes) -> Fault | None:
        """Look for a line end at least once in each stretch of the limit's length."""
        start = -self._line
        while len(content) - start > LINE_BYTES:
            newline = content.rfind(b"\n", max(start, 0), start + LINE_BYTES)
            if newline < 0:
                return "line-too-long"
            start = newline + 1
        newline = content.rfind(b"\n", max(start, 0))
        self._line = len(content) - (start if newline < 0 else newline + 1)
        return None


class DataReader:
    """Reads what follows 354, un-stuffs dots and finds the end.

    Attributes:
        fault: why the content is refused, None while it is good.
        size: bytes that passed, dots un-stuffed.
    """

    __slots__ = ("_gate", "_held", "_started")

    def __init__(self, size_limit: int) -> None:
        """Start behind the line DATA; content beyond ``size_limit`` bytes is dropped."""
        self._gate = _Gate(size_limit)
        self._held = b"\r\n"  # DATA's own: a dot on the first line ends an empty content
        self._started = False

    @property
    def fault(self) -> Fault | None:
        """Why the content is refused."""
        return self._gate.fault

    @property
    def size(self) -> int:
        """Bytes that passed."""
        return self._gate.size

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Take bytes; give the content in them and, once the end was found, the bytes behind it (None before)."""
        data = self._held + data
        dot = data.find(b"\r\n.")
        end = dot if dot < 0 or data.startswith(_END, dot) else data.find(_END, dot)
        if end >= 0:
            return self._pass(data[: end + 2], stuffed=dot < end), data[end + 5 :]
        held = _possible_end(data)
        self._held = data[len(data) - held :]
        return self._pass(data[: len(data) - held], stuffed=dot >= 0), None

    def _pass(self, data: bytes, *, stuffed: bool) -> bytes:
        if not data:
            return data
        content = data.replace(b"\r\n.", b"\r\n") if stuffed else data
        if not self._started:
            self._started = True
            content = content[2:]
        return self._gate.check(content)


def _possible_end(data: bytes) -> int:
    """Count the bytes at the end that may be the begin of the end."""
    return next((length for length in (4, 3, 2, 1) if data.endswith(_END[:length])), 0)


class BdatReader:
    """Reads the chunks of BDAT; nothing is stuffed, and a CRLF may be cut by the end of a chunk.

    A content whose last line is not ended is given a CRLF: DATA, by which it may go on, knows no other (RFC 3030, 4.1).

    Attributes:
        missing: bytes of the current chunk that are still to come.
    """

    __slots__ = ("_gate", "_held", "_last", "_last_byte", "missing")

    def __init__(self, size_limit: int) -> None:
        """Start before the first chunk; content beyond ``size_limit`` bytes is dropped."""
        self._gate = _Gate(size_limit)
        self._held = b""
        self._last = False
        self._last_byte = b""
        self.missing = 0

    @property
    def fault(self) -> Fault | None:
        """Why the content is refused."""
        return self._gate.fault

    @property
    def size(self) -> int:
        """Bytes that passed."""
        return self._gate.size

    def expect(self, size: int, *, last: bool) -> None:
        """Begin a chunk of ``size`` bytes; ``last`` ends the content."""
        self.missing = size
        self._last = last

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Take bytes; give the content in them and, once the chunk is complete, the bytes behind it (None before)."""
        chunk, rest = data[: self.missing], data[self.missing :]
        self.missing -= len(chunk)
        if self.missing:
            return self._pass(chunk), None
        return self._pass(chunk) + (self._finish() if self._last else b""), rest

    def _pass(self, chunk: bytes) -> bytes:
        content = self._held + chunk
        self._held = b"\r" if content.endswith(b"\r") else b""
        content = content.removesuffix(b"\r")
        self._last_byte = content[-1:] or self._last_byte
        return self._gate.check(content) if content else content

    def _finish(self) -> bytes:
        if self._held:
            return self._gate.check(b"\r")
        return b"" if self._last_byte in (b"", b"\n") else self._gate.check(b"\r\n")
