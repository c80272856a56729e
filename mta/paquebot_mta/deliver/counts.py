"""How many connections are open along each axis, when one was last opened, and who waits for a change."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

from msgspec import Struct

Key = tuple[str, str]
"""An axis (``host``, ``route``, ``source``, ``relay``, ``domain``, ``destination``) and what is counted on it."""


Waiter = Callable[[Key], bool]
"""Is told of room on a key; says whether it takes it."""


GiveUp = Callable[[], None]
"""Closes an idle connection."""


class Bound(Struct, frozen=True):
    """What one key allows.

    Attributes:
        connections: open at once.
        delay_seconds: least time between two openings.
    """

    key: Key
    connections: float
    delay_seconds: float = 0.0


class ConnectionCounts:
    """Counts connections against bounds; shared by all routes of a process."""

    def __init__(self) -> None:
        """Start with none."""
        self._open: Counter[Key] = Counter()
        self._ready_at: dict[Key, float] = {}
        self._waiting: dict[Key, dict[Waiter, None]] = {}
        self._spare: dict[Key, dict[GiveUp, None]] = {}

    def full(self, bounds: Sequence[Bound]) -> tuple[Bound, ...]:
        """Which bounds are reached."""
        return tuple(each for each in bounds if self._open[each.key] >= each.connections)

    def wait_seconds(self, bounds: Sequence[Bound], now: float) -> float:
        """How long a new connection has to wait; infinite if one must be closed first."""
        if self.full(bounds):
            return math.inf
        return max(0.0, *(self._ready_at.get(each.key, now) - now for each in bounds))

    def take(self, bounds: Sequence[Bound], now: float) -> None:
        """Count a connection on all keys."""
        self._forget_past(now)
        for each in bounds:
            self._open[each.key] += 1
            if each.delay_seconds:
                self._hold(each.key, now + each.delay_seconds)

    def hold(self, key: Key, until: float) -> None:
        """Let no connection be opened on a key until then."""
        self._hold(key, until)

    def release(self, bounds: Sequence[Bound]) -> None:
        """Forget a connection; on each key the one who waits longest is called."""
        for each in bounds:
            self._open[each.key] -= 1
            if not self._open[each.key]:
                del self._open[each.key]
        for each in bounds:
            self.offer(each.key)

    def wait(self, bounds: Sequence[Bound], call: Waiter) -> None:
        """Have that called when there may be room on one of their keys.

        One is called for each connection that ends, not all: thousands may wait for it.
        """
        for each in bounds:
            self._waiting.setdefault(each.key, {})[call] = None
        for each in bounds:
            self._reclaim(each.key)

    def spare(self, bounds: Sequence[Bound], give_up: GiveUp) -> bool:
        """Keep a connection that has nothing to do, until ``unspare`` or until somebody needs its place.

        False if somebody does already: domains that share a host must not wait for each other's idle connections.
        """
        if any(self._waiting.get(each.key) for each in bounds):
            return False
        for each in bounds:
            self._spare.setdefault(each.key, {})[give_up] = None
        return True

    def unspare(self, bounds: Sequence[Bound], give_up: GiveUp) -> None:
        """It has something to do again, or is gone."""
        for each in bounds:
            spare = self._spare.get(each.key, {})
            spare.pop(give_up, None)
            if not spare:
                self._spare.pop(each.key, None)

    def _reclaim(self, key: Key) -> None:
        """Have the connection closed that has been idle for longest on a key; one for each who waits."""
        if spare := self._spare.get(key):
            give_up = next(iter(spare))
            del spare[give_up]
            give_up()

    def offer(self, key: Key) -> None:
        """There is room on a key: tell who waits longest for it."""
        while waiting := self._waiting.get(key):
            call = next(iter(waiting))
            del waiting[call]
            if call(key):
                return
        self._waiting.pop(key, None)

    def offer_all(self, key: Key) -> None:
        """There is room for many on a key."""
        for call in self._waiting.pop(key, {}):
            call(key)

    def count(self, key: Key) -> int:
        """How many are open on that key."""
        return self._open.get(key, 0)

    def _hold(self, key: Key, until: float) -> None:
        self._ready_at[key] = max(until, self._ready_at.get(key, until))

    def _forget_past(self, now: float) -> None:
        """Delays that are over must not fill the memory."""
        if len(self._ready_at) > 2 * len(self._open) + 1_000:
            self._ready_at = {key: at for key, at in self._ready_at.items() if at > now}
