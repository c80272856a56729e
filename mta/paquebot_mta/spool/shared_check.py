"""One look at the volume for all who ask at the same time: deliveries in parallel cost one read, not one each."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

Waiters = list["asyncio.Future[bool]"]


class SharedCheck:
    """Runs a blocking check in a pool, never twice at once.

    An answer always comes from a check that began after the question: who asks while one is under way gets the next.
    """

    def __init__(self, check: Callable[[], bool], loop: asyncio.AbstractEventLoop, pool: Executor) -> None:
        """``check`` may raise; everyone who waits for it gets the error."""
        self._check = check
        self._loop = loop
        self._pool = pool
        self._waiting: Waiters = []
        self._running = False

    async def ask(self) -> bool:
        """Wait for an answer. Raises what the check raises."""
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiting.append(waiter)
        if not self._running:
            self._start()
        return await waiter

    def _start(self) -> None:
        waiters, self._waiting = self._waiting, []
        check = self._loop.run_in_executor(self._pool, self._check)
        self._running = True
        check.add_done_callback(partial(self._answer, waiters))

    def _answer(self, waiters: Waiters, check: "asyncio.Future[bool]") -> None:
        self._running = False
        error = OSError("the check was given up") if check.cancelled() else check.exception()
        for waiter in waiters:
            if waiter.done():
                continue
            if error is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(check.result())
        if any(not waiter.done() for waiter in self._waiting):
            self._start()
