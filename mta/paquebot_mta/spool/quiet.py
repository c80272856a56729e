"""Finds the moment when the event loop has done all that was ready: then nobody else is about to ask for a commit.

While sessions have work for the loop, some of it is the next message's: a commit that waits for them costs the same for
all. When they all wait for the commit there is nothing to gain, and it starts at once.
"""

import asyncio
from collections.abc import Callable
from typing import Final

IDLE_TURN_SECONDS: Final = 0.00003
"""A turn of the loop that takes no longer had nothing to do but to look."""
PATIENCE_SECONDS: Final = 0.002
MOST_TURNS: Final = 32
"""However slow the machine is, looking must not keep it busy."""


class Quiet:
    """Calls ``then`` on the loop when it is quiet, or when patience ends; once for each series of ``ask``."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, monotonic: Callable[[], float], then: Callable[[], None]
    ) -> None:
        """``monotonic`` in seconds, finer than the loop's own clock."""
        self._loop = loop
        self._monotonic = monotonic
        self._then = then
        self._turns = 0
        self._began_at = self._looked_at = 0.0

    def ask(self) -> None:
        """Begin to look, unless that goes on already."""
        if not self._turns:
            self._turns = 1
            self._began_at = self._looked_at = self._monotonic()
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        now = self._monotonic()
        quiet = now - self._looked_at < IDLE_TURN_SECONDS
        if quiet or self._turns >= MOST_TURNS or now - self._began_at > PATIENCE_SECONDS:
            self._turns = 0
            self._then()
        else:
            self._turns += 1
            self._looked_at = now
            self._loop.call_soon(self._look)
