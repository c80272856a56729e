"""Lines that end in LF, cut from what a program writes; bounded."""

from typing import Final

from paquebot_mta.filter.process.answers import ProtocolFault

MAX_LINE_BYTES: Final = 1_048_576
"""Content lines have no limit of their own; ours is far above what any mail has."""


class LfBuffer:
    """Bytes that came and make no whole line yet."""

    __slots__ = ("_held", "_limit")

    def __init__(self, limit_bytes: int = MAX_LINE_BYTES) -> None:
        self._held = b""
        self._limit = limit_bytes

    def feed(self, data: bytes) -> list[bytes]:
        """Give all lines that are whole now, without their LF; a CR before it is dropped.

        Raises:
            ProtocolFault: a line is too long.
        """
        *lines, held = (self._held + data if self._held else data).split(b"\n")
        # After a long held part each new chunk is joined to it: quadratic at worst, but bounded by the limit.
        self._held = held
        if len(held) > self._limit or any(len(line) > self._limit for line in lines):
            raise ProtocolFault(f"a line is longer than {self._limit} bytes")
        return [line.removesuffix(b"\r") for line in lines]
