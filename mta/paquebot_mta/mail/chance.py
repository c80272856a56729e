"""Random bits for identifiers, drawn from the kernel in bulk. No system call for each number; not for keys."""

import os
from collections.abc import Callable
from typing import Final

_BLOCK_BYTES: Final = 4_096


class Chance:
    """Gives random bits as ``secrets.randbits`` does, each of the kernel's once; for one thread.

    Make it in the process that uses it: a copy that was forked would draw the same.
    """

    def __init__(self, draw: Callable[[int], bytes] = os.urandom) -> None:
        """``draw`` gives so many random bytes; nothing is drawn before the first number."""
        self._draw = draw
        self._block = b""
        self._at = 0

    def bits(self, count: int) -> int:
        """Give an integer of ``count`` bits (implements ``RandomBits``)."""
        length = (count + 7) >> 3
        start, end = self._at, self._at + length
        if end > len(self._block):
            self._block = self._draw(max(_BLOCK_BYTES, length))
            start, end = 0, length
        self._at = end
        return int.from_bytes(self._block[start:end]) >> (8 * length - count)
