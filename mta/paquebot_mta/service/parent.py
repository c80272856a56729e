"""A process that must not outlive the one that started it: nobody else would stop it."""

import asyncio
import os
from collections.abc import Callable

POLL_SECONDS = 1.0


async def end_with(parent: int | None, end: Callable[[], None]) -> None:
    """Call ``end`` once the process ``parent``, who started this one, is gone; None waits for nobody.

    Polls, for the system's own signal (PR_SET_PDEATHSIG) goes with the thread that forked, and exists on Linux only.
    """
    if parent is None:
        return
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells us
        await asyncio.sleep(POLL_SECONDS)
    end()
