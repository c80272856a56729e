"""When a failed piece of work is tried again: twice as late each time, with jitter."""

import random
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

FIRST_SECONDS: Final = 0.5
MAX_SECONDS: Final = 60.0
Key = TypeVar("Key", bound=Hashable)


class Backoff(Generic[Key]):
    """Failures by key; times are of the monotonic clock."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._failures: dict[Key, tuple[int, float]] = {}

    def failed(self, key: Key, now: float, *, at_least: float = 0.0) -> float:
        """Note a failure; seconds until the next try."""
        count = self._failures.get(key, (0, 0.0))[0] + 1
        doubled: float = FIRST_SECONDS * 2 ** min(count - 1, 10)
        wait = max(min(doubled, MAX_SECONDS), at_least) * (0.75 + self._jitter() / 2)
        self._failures[key] = count, now + wait
        return wait

    def is_due(self, key: Key, now: float) -> bool:
        """Whether it may be tried."""
        return now >= self._failures.get(key, (0, 0.0))[1]

    def forget(self, key: Key) -> None:
        """It went well, or is no matter any more."""
        self._failures.pop(key, None)
