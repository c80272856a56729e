"""How many connections are open along each axis, and who waits for one to close."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

Key = tuple[str, str]
"""An axis (``host``, ``source``, ``relay``, ``domain``) and what is counted on it."""


class ConnectionCounts:
    """Counts connections against a limit for each axis."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        """Start with none; ``limits`` are by axis."""
        self._limits = limits
        self._open: Counter[Key] = Counter()
        self._waiting: dict[Callable[[], None], None] = {}

    def take(self, keys: Iterable[Key]) -> bool:
        """Count a connection on all keys, or on none if one of them is at its limit."""
        wanted = tuple(keys)
        if any(self._open[key] >= self._limits[key[0]] for key in wanted):
            return False
        self._open.update(wanted)
        return True

    def release(self, keys: Iterable[Key]) -> None:
        """Forget a connection; whoever waits is called once, in the order of waiting."""
        for key in keys:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]
        waiting, self._waiting = self._waiting, {}
        for call in waiting:
            call()

    def wait(self, call: Callable[[], None]) -> None:
        """Have that called when a connection is released."""
        self._waiting[call] = None

    def count(self, key: Key) -> int:
        """How many are open on that key."""
        return self._open.get(key, 0)
