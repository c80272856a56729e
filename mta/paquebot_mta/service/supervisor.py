"""Several workers on the same ports: starts them, restarts the dead, passes signals on, and joins their admin ports."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any

from paquebot_mta.service.nursery import Nursery, NurseryLostError
from paquebot_mta.service.options import Options
from paquebot_mta.service.parent import end_with

FIRST_RESTART_SECONDS = 1.0
LONGEST_RESTART_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A worker that lived this long is restarted at once; one that dies sooner waits longer each time."""


class Supervisor:
    """Keeps N worker processes alive until told to stop. Knows nothing of mail."""

    def __init__(self, options: Options, nursery: Nursery, say: Callable[[str, int, int], None]) -> None:
        """Workers come from the ``nursery``; ``say`` is told (event, worker, code)."""
        self._options = options
        self._nursery = nursery
        self._say = say
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Work until SIGTERM or SIGINT; answers the exit code: 0 if every worker ended well."""
        loop = asyncio.get_running_loop()
        self._nursery.listen()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        watching = asyncio.create_task(end_with(self._options.parent, self.stop))
        keepers = [asyncio.create_task(self._keep(worker)) for worker in range(self._options.workers)]
        await self._stop.wait()
        self._signal_all(signal.SIGTERM)
        watching.cancel()
        codes = await asyncio.gather(*keepers)
        return max(codes, default=0)

    def stop(self) -> None:
        """Ask for the end, as a signal would."""
        self._stop.set()

    async def _keep(self, worker: int) -> int:
        """Start a worker again and again; answers the exit code of the last one."""
        wait_seconds = FIRST_RESTART_SECONDS
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                code = await self._run_once(worker)
            except NurseryLostError:
                self._say("nursery.lost", worker, 1)
                self._stop.set()
                return 1
            if self._stop.is_set():
                return code
            self._say("worker.died", worker, code)
            steady = loop.time() - started >= STEADY_SECONDS
            wait_seconds = FIRST_RESTART_SECONDS if steady else min(wait_seconds * 2, LONGEST_RESTART_SECONDS)
            if await self._stopped_within(wait_seconds):
                return 0

    async def _run_once(self, worker: int) -> int:
        """Run a worker to its end; one that overruns the grace time is killed (its mail stays queued)."""
        ended = self._nursery.start(worker)
        if self._stop.is_set():
            self._nursery.signal(worker, signal.SIGTERM)
        stopping = asyncio.create_task(self._stop.wait())
        either: set[asyncio.Future[Any]] = {ended, stopping}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        try:
            timeout_seconds = self._options.grace_seconds + 10 if self._stop.is_set() else None
            return await asyncio.wait_for(asyncio.shield(ended), timeout_seconds)
        except TimeoutError:
            self._nursery.signal(worker, signal.SIGKILL)
            return await ended

    def _signal_all(self, number: signal.Signals) -> None:
        """Pass a signal on."""
        for worker in range(self._options.workers):
            self._nursery.signal(worker, number)

    async def _stopped_within(self, seconds: float) -> bool:
        """Wait, but not beyond the end."""
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return False
        return True
