"""Stress: too many sessions, too little memory, or an event loop that lags; then slow clients are waited for less."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from paquebot_mta.config.service import Limits
from paquebot_mta.telemetry.bus import Emit
from paquebot_mta.telemetry.events import Notice

_LAG_SECONDS: Final = 0.5
_MEMORY: Final = 0.85
_CALM: Final = 0.75
"""Stress is over when every measure is below that part of its threshold, so that it doesn't flicker."""
_CGROUP: Final = Path("/sys/fs/cgroup")


class Stress:
    """Judges now and then.

    Attributes:
        active: whether clients are to be hurried.
    """

    def __init__(self, emit: Emit, memory: Callable[[], float] | None = None) -> None:
        """Take what measures the part of the memory limit that is used, 0 to 1; the container's by default."""
        self.active = False
        self._emit = emit
        self._memory = memory or memory_used

    def judge(self, *, lag_seconds: float, sessions: int, limits: Limits) -> bool:
        """Look at what was measured; True if stress began just now."""
        room = limits.sessions * limits.stress_sessions_percent / 100
        memory = self._memory()
        part = max(lag_seconds / _LAG_SECONDS, sessions / room if room else 0.0, memory / _MEMORY)
        active = part >= (_CALM if self.active else 1.0)
        began, changed = active and not self.active, active is not self.active
        self.active = active
        if changed:
            details: dict[str, str | int | float | bool] = {
                "lag_seconds": round(lag_seconds, 3),
                "sessions": sessions,
                "memory_used": round(memory, 3),
            }
            event = "smtp-in.stress" if active else "smtp-in.stress-over"
            self._emit(Notice(level="warning" if active else "info", event=event, details=details))
        return began


def memory_used(root: Path = _CGROUP) -> float:
    """Measure the part of the container's memory limit that is used, 0 without a limit; pages of files don't count."""
    try:
        limit = (root / "memory.max").read_text(encoding="ascii").strip()
        if not limit.isdecimal():
            return 0.0
        lines = (root / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    used = next((int(line.split()[1]) for line in lines if line.startswith("anon ")), 0)
    return used / max(int(limit), 1)
