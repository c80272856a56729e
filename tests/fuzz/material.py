"""What targets make of a fuzzer's bytes: settings in front, a stream behind them, and where the stream is cut."""

import re
from collections.abc import Iterator
from typing import Final

MAX_STREAM_BYTES: Final = 262_144
MAX_CHUNKS: Final = 512
_RUN: Final = re.compile(rb"\xff(.)(.)", re.DOTALL)


class Material:
    """Bytes with small choices in front; what is missing is zero."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        """Take one choice."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def word(self) -> int:
        """Take two bytes, big-endian."""
        return self.byte() << 8 | self.byte()

    def take(self, length: int) -> bytes:
        """Take some bytes."""
        self._at += length
        return self._data[self._at - length : self._at]

    def rest(self) -> bytes:
        """Take all that is left."""
        return self.take(max(len(self._data) - self._at, 0))

    @property
    def left(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._data)

    def sizes(self) -> bytes:
        """Take four lengths for ``cut``."""
        return self.take(4)


def with_runs(data: bytes) -> bytes:
    """Make ``FF n x`` a run of 257 * n times x, so that a short input reaches limits that are long."""
    return _RUN.sub(lambda found: found[2] * (257 * found[1][0]), data)[:MAX_STREAM_BYTES]


def cut(stream: bytes, sizes: bytes) -> Iterator[bytes]:
    """Cut a stream into chunks of these lengths in turn; zero is up to the next LF. Chunks are never empty.

    There are not more than some hundreds of them: the last one is all that is left.
    """
    at, turn = 0, 0
    while at < len(stream) and turn < MAX_CHUNKS:
        size = sizes[turn % len(sizes)] if sizes else len(stream)
        end = at + size if size else stream.find(b"\n", at) + 1 or len(stream)
        yield stream[at:end]
        at, turn = end, turn + 1
    if at < len(stream):
        yield stream[at:]


def has_bare_line_end(content: bytes) -> bool:
    """Whether a CR or an LF stands alone."""
    return not content.count(b"\r\n") == content.count(b"\r") == content.count(b"\n")
