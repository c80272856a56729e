"""Waits until changes stop coming for a moment, but not for ever."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

QUIET_SECONDS: Final = 0.05
MAX_SECONDS: Final = 0.5


class Debounce:
    """Marks that are taken together."""

    def __init__(
        self,
        quiet_seconds: float = QUIET_SECONDS,
        max_seconds: float = MAX_SECONDS,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._quiet_seconds = quiet_seconds
        self._max_seconds = max_seconds
        self._now = now
        self._marked = asyncio.Event()
        self._first = 0.0
        self._last = 0.0

    @property
    def age_seconds(self) -> float:
        """How long the oldest mark waits; 0 without one."""
        return self._now() - self._first if self._marked.is_set() else 0.0

    def mark(self) -> None:
        """Something changed."""
        self._last = self._now()
        if not self._marked.is_set():
            self._first = self._last
            self._marked.set()

    async def settled(self) -> float:
        """Wait for a mark, and until no other came for a moment; returns when the first one came."""
        await self._marked.wait()
        while True:
            now = self._now()
            due = min(self._last + self._quiet_seconds, self._first + self._max_seconds)
            if now >= due:
                break
            await asyncio.sleep(due - now)
        self._marked.clear()
        return self._first
