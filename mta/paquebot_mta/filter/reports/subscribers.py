"""All subscribers of a worker: they come and go with the configuration, and one that is wanted as before stays."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from paquebot_mta.config.reports import Subscriber
from paquebot_mta.filter.process.lines import clean
from paquebot_mta.filter.reports.outlets import Outlet, outlet_of
from paquebot_mta.filter.reports.stream import Stream
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import Notice


@dataclass(frozen=True, slots=True)
class _Served:
    settings: Subscriber
    stream: Stream
    outlet: Outlet


class Subscribers:
    """Serves subscribers from a bus.

    Args:
        bus: of the events.
        clock: seconds since 1970.
        process: name of this process among those with the same settings, empty if it is alone.
    """

    def __init__(self, bus: Bus, clock: Callable[[], float], process: str = "") -> None:
        self._bus = bus
        self._clock = clock
        self._process = process
        self._served: dict[str, _Served] = {}
        self._lost = 0

    async def apply(self, wanted: Mapping[str, Subscriber]) -> None:
        """Serve these, by name, from now on; called on the event loop."""
        ending = [name for name, served in self._served.items() if wanted.get(name) != served.settings]
        await asyncio.gather(*(self._end(name) for name in ending))
        for name, settings in wanted.items():
            if name not in self._served:
                self._begin(name, settings)

    async def close(self) -> None:
        """End all."""
        await self.apply({})

    def dropped(self) -> int:
        """Lines that subscribers lost by being slow, or away."""
        return self._lost + sum(served.outlet.dropped for served in self._served.values())

    def _begin(self, name: str, settings: Subscriber) -> None:
        outlet = outlet_of(settings, self._process, lambda text: self._tell(name, text))
        stream = Stream(settings, outlet.write, self._clock)
        self._served[name] = _Served(settings, stream, outlet)
        outlet.start()
        self._bus.subscribe(stream)

    async def _end(self, name: str) -> None:
        served = self._served.pop(name)
        self._bus.unsubscribe(served.stream)
        await served.outlet.close()
        self._lost += served.outlet.dropped

    def _tell(self, name: str, text: str) -> None:
        details = {"subscriber": name, "cause": clean(text[:1_000])}
        self._bus.emit(Notice(level="warning", event="report.subscriber", details=details))
