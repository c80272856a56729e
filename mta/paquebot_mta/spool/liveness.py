"""When an owner counts as dead. Only decides when to adopt: safety comes from the order of writes, never from here.

A beat that stands still is measured on our own monotonic clock, and only while we were looking: time in which this
process was paused proves nothing about others.
"""

from collections.abc import Callable
from dataclasses import dataclass

from paquebot_mta.spool.forest import Owners


@dataclass(slots=True)
class _Seen:
    beat: int
    silent_seconds: float = 0.0


class Liveness:
    """Remembers the beats of others."""

    def __init__(self, adopt_after_seconds: float, longest_gap_seconds: float, monotonic: Callable[[], float]) -> None:
        """``longest_gap_seconds``: what passes between two looks counts at most that much."""
        self._adopt_after = adopt_after_seconds
        self._longest_gap = longest_gap_seconds
        self._monotonic = monotonic
        self._looked_at = monotonic()
        self._seen: dict[str, _Seen] = {}

    def look(self, owners: Owners) -> None:
        """Learn the beats as they are now."""
        now = self._monotonic()
        passed = min(now - self._looked_at, self._longest_gap)
        self._looked_at = now
        seen: dict[str, _Seen] = {}
        for name, owner in owners.items():
            beat, before = owner.beat if owner else 0, self._seen.get(name)
            silent = before.silent_seconds + passed if before is not None and before.beat == beat else 0.0
            seen[name] = _Seen(beat, silent)
        self._seen = seen

    def silent_seconds(self, name: str) -> float:
        """How long its beat has stood still while we looked."""
        seen = self._seen.get(name)
        return seen.silent_seconds if seen else 0.0

    def next_silent_seconds(self) -> float | None:
        """From the last look until the next one of those that stand still has done so for long enough; None if nobody
        stands still, or is judged already."""
        left = [self._adopt_after - seen.silent_seconds for seen in self._seen.values() if seen.silent_seconds]
        return min((seconds for seconds in left if seconds > 0), default=None)

    def is_silent(self, name: str) -> bool:
        """Whether it has stood still for so long that the mail is to be adopted."""
        return self.silent_seconds(name) >= self._adopt_after
