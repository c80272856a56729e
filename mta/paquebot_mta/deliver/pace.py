"""How fast messages to a destination may be started."""


class Pace:
    """Gives one start every ``60 / per_minute`` seconds; what was not used is not saved up."""

    def __init__(self, per_minute: float) -> None:
        """The first start may be at once."""
        self._interval_seconds = 60.0 / per_minute
        self._next_at = 0.0

    def wait_seconds(self, now: float) -> float:
        """How long the next start has to wait."""
        return max(0.0, self._next_at - now)

    def started(self, now: float) -> None:
        """Count a start."""
        self._next_at = max(now, self._next_at) + self._interval_seconds

    def given_back(self) -> None:
        """A start came to nothing: nothing was sent."""
        self._next_at -= self._interval_seconds
