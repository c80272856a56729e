"""Statuses that would only say "not yet": kept back until there is more to say, but never for long."""

import asyncio
from collections.abc import Callable, Iterable

from paquebot_operator.compile.objects import ObjectKey


class Withheld:
    """Names of objects whose status waits.

    Args:
        late: told of those that waited as long as they may; they wait no more by then.
    """

    def __init__(self, late: Callable[[set[ObjectKey]], None]) -> None:
        self._late = late
        self._since: dict[ObjectKey, int] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._number = 0

    def __contains__(self, key: ObjectKey) -> bool:
        return key in self._since

    def hold(self, keys: Iterable[ObjectKey], seconds: float) -> None:
        """Let them wait so long at most; those that wait already are told when they would have been."""
        new = [key for key in keys if key not in self._since]
        if not new:
            return
        self._number += 1
        self._since.update(dict.fromkeys(new, self._number))
        loop = asyncio.get_running_loop()
        self._timers[self._number] = loop.call_later(seconds, self._end, self._number, new)

    def release(self, keys: Iterable[ObjectKey]) -> None:
        """Let them wait no more: what was to be said is said, or is no matter."""
        for key in keys:
            self._since.pop(key, None)

    def clear(self) -> None:
        """Let none wait, and tell of none."""
        self._since.clear()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _end(self, number: int, keys: list[ObjectKey]) -> None:
        del self._timers[number]
        # One that was told meanwhile and waits again does so since later.
        due = {key for key in keys if self._since.get(key) == number}
        self.release(due)
        if due:
            self._late(due)
