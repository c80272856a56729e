"""What a filter may say that nobody waits for: remarks, and answers that come too late, but no flood of them.

Each such line takes time of the loop that all sessions need.
"""

from collections.abc import Callable
from typing import Final

from paquebot_mta.filter.process.answers import ProtocolFault

BYTES_PER_SECOND: Final = 1_048_576
BURST_BYTES: Final = 8 * 1_048_576
"""What may come at once; beyond it, as much as a second allows."""
LINE_BYTES: Final = 128
"""What a line counts beside what it says: reading one takes as long as copying much more than its bytes."""


class Allowance:
    """The allowance of one running filter.

    Args:
        clock: monotonic, in seconds.
    """

    __slots__ = ("_at", "_clock", "_left_bytes")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._at = clock()
        self._left_bytes = BURST_BYTES

    def add(self, lines: int, size_bytes: int) -> None:
        """Expect what was asked for, and isn't waited for any more: it may still come."""
        self._left_bytes += lines * LINE_BYTES + size_bytes

    def spend(self, size_bytes: int) -> None:
        """Take a line that nobody waits for.

        Raises:
            ProtocolFault: it is one too many.
        """
        self._left_bytes -= LINE_BYTES + size_bytes
        if self._left_bytes < 0:
            self._renew()
            if self._left_bytes < 0:
                raise ProtocolFault("it says far more than it is asked")

    def _renew(self) -> None:
        now = self._clock()
        since_seconds, self._at = now - self._at, now
        self._left_bytes = min(self._left_bytes + int(since_seconds * BYTES_PER_SECOND), BURST_BYTES)
