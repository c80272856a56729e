"""A wall clock whose jumps are not believed at once: mail expires by time that passed, not by a clock that was set.

A correct clock is followed exactly. One that jumps by more than a minute, while this process runs, is compared with the
clock that only counts (it goes on through suspends): until an hour has passed without another jump, time goes on as
before. So a wrong clock neither bounces a queue nor stops its retries; a right one is believed an hour late.
"""

import time
from collections.abc import Callable
from typing import Final

from paquebot_mta.telemetry.bus import Emit
from paquebot_mta.telemetry.events import Notice

TOLERANCE_SECONDS: Final = 60.0
HOLD_SECONDS: Final = 3_600.0


def uptime() -> float:
    """Seconds since this machine started, suspends included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SteadyClock:
    """Call it for seconds since 1970."""

    __slots__ = ("_emit", "_jump", "_jumped_at", "_set_at", "_set_to", "_uptime", "_wall")

    def __init__(self, emit: Emit, wall: Callable[[], float] = time.time, uptime: Callable[[], float] = uptime) -> None:
        """Begin with what ``wall`` says; each jump and its end are told once."""
        self._emit, self._wall, self._uptime = emit, wall, uptime
        self._set_to, self._set_at = wall(), uptime()
        self._jump = self._jumped_at = 0.0

    def __call__(self) -> float:
        """What time it is."""
        wall, up = self._wall(), self._uptime()
        expected = self._set_to + up - self._set_at
        jump = wall - expected
        if -TOLERANCE_SECONDS <= jump <= TOLERANCE_SECONDS:
            if self._jump:
                self._follow("clock.back", jump=0.0)
            self._set_to, self._set_at = wall, up
            return wall
        if abs(jump - self._jump) > TOLERANCE_SECONDS:
            self._jump, self._jumped_at = jump, up
            self._tell("clock.jumped", jump)
        elif up - self._jumped_at >= HOLD_SECONDS:
            self._set_to, self._set_at = wall, up
            self._follow("clock.followed", jump)
            return wall
        return expected

    def _follow(self, event: str, jump: float) -> None:
        self._jump = 0.0
        self._tell(event, jump)

    def _tell(self, event: str, jump: float) -> None:
        self._emit(Notice(level="warning", event=event, details={"seconds": round(jump, 1)}))
