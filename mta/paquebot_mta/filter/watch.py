"""Filters that ask a service over the network: whether it is there is found out before mail has to wait for it.

Knows no protocol: how a service is asked that has nothing to decide, its filter says.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from paquebot_mta.config.filters import Phase
from paquebot_mta.filter.base import BaseFilter
from paquebot_mta.filter.contract import FilterError
from paquebot_mta.telemetry.bus import Emit
from paquebot_mta.telemetry.events import Notice

EVERY_SECONDS: Final = 10.0
"""How often a service is asked whether it is there."""
DOUBTED_SECONDS: Final = 1.0
"""At the earliest after this time it is asked anew, however many questions of mail failed meanwhile."""
PROBE_SECONDS: Final = 5.0
"""It has so long to answer that."""
Probe = Callable[[], Awaitable[object]]


class Watch:
    """Asks a service now and then, and at once where it is doubted.

    Args:
        name: of the filter, for the log.
        probe: asks; raises FilterError, OSError or TimeoutError if nobody is there.

    Attributes:
        trouble: why the service can't be used, for people; empty while it can, and before it was asked.
        asked: how often it was looked after.
    """

    def __init__(self, name: str, probe: Probe, emit: Emit, *, every_seconds: float = EVERY_SECONDS) -> None:
        """Nothing is asked before ``start``."""
        self.trouble = ""
        self.asked = 0
        self._name, self._probe, self._emit = name, probe, emit
        self._every_seconds = every_seconds
        self._doubted = asyncio.Event()
        self._heard = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in the background."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def doubt(self) -> None:
        """A question of mail failed: look soon."""
        self._doubted.set()

    def heard(self) -> None:
        """A question of mail was answered: it is there, and needn't be asked for a while."""
        self._heard = True

    async def _run(self) -> None:
        while True:
            heard, self._heard = self._heard and not self._doubted.is_set(), False
            self._doubted.clear()
            self._note("" if heard else await self._asked())
            await asyncio.sleep(min(DOUBTED_SECONDS, self._every_seconds))
            try:
                await asyncio.wait_for(self._doubted.wait(), self._every_seconds)
            except TimeoutError:
                continue

    async def _asked(self) -> str:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._probe()
        except TimeoutError:
            return f"no answer within {PROBE_SECONDS:g} s"
        except OSError as error:
            return f"it can't be reached: {error.strerror or type(error).__name__}"
        except FilterError as error:
            return f"it can't be used: {error}"
        except Exception as error:  # a fault of ours must not end the watch for good
            return f"it can't be asked: {type(error).__name__}"
        return ""

    def _note(self, trouble: str) -> None:
        before, self.trouble = self.trouble, trouble
        self.asked += 1
        if trouble and not before:
            details = {"filter": self._name, "cause": trouble}
            self._emit(Notice(level="warning", event="filter.away", details=details))
        elif before and not trouble:
            self._emit(Notice(level="info", event="filter.back", details={"filter": self._name}))


class WatchedFilter(BaseFilter):
    """A filter whose service is watched (implements ``Filter``); subclasses that start or close more call these."""

    def __init__(self, name: str, phases: frozenset[Phase], probe: Probe, emit: Emit) -> None:
        """Ask nothing yet."""
        super().__init__(name, phases)
        self._watch = Watch(name, probe, emit)

    @property
    def watched(self) -> bool:
        """Whether the service was looked after at least once."""
        return self._watch.asked > 0

    def trouble(self) -> str:
        """Say what the watch found."""
        return self._watch.trouble

    async def start(self) -> None:
        """Begin to watch."""
        self._watch.start()

    async def close(self) -> None:
        """Watch no more."""
        await self._watch.close()
