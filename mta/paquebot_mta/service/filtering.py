"""Filters and subscribers of a worker: what they are given to work with, and what is told of them."""

import secrets
import time
from collections.abc import Callable, Mapping

from paquebot_mta.admin.controls import FilterEntry
from paquebot_mta.config.service import MtaConfig
from paquebot_mta.filter.hold import Holder
from paquebot_mta.filter.reports.subscribers import Subscribers
from paquebot_mta.filter.running import RunningFilters
from paquebot_mta.filter.tools import Tools
from paquebot_mta.resolver.questions import Resolver
from paquebot_mta.service.options import Options
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.metrics import Metrics

FOLDER = "filters"
"""Directory on the volume: what filters keep, and content that waits for them (in files without a name)."""


class Filtering:
    """The running filters, the resolver that they ask, and who else gets the report events.

    Attributes:
        resolver: replaced with the configuration.
    """

    def __init__(self, config: MtaConfig, options: Options, bus: Bus, resolver: Resolver) -> None:
        """Nothing runs before a plan is applied."""
        self.resolver = resolver
        folder = options.spool / FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tools = Tools(
            bus=bus,
            resolver=lambda: self.resolver,
            tables=dict,
            wall_clock=time.time,
            monotonic=time.monotonic,
            randbits=secrets.randbits,
            hostname=config.service.hostname,
            service=config.service.name,
            folder=folder,
            holder=Holder(folder),
        )
        self.running = RunningFilters(tools)
        pod = (options.pod,) if options.pod else ()
        worker = (f"{options.worker}",) if options.worker is not None else ()
        self.subscribers = Subscribers(bus, time.time, "-".join((*pod, *worker)))

    def lost(self) -> dict[str, Callable[[], int]]:
        """Reports that slow filters and subscribers lost, by what metrics call them."""
        return {"filter": self.running.lost, "subscriber": self.subscribers.dropped}

    def entries(self) -> list[FilterEntry]:
        """All filters, for ``paquebot show filters``."""
        return [
            FilterEntry(
                name=each.name,
                kind=each.kind,
                mode=each.mode,
                places=each.places,
                waiting=each.load.waiting,
                answered=each.load.answered,
                failed=each.load.failed,
                trouble=each.trouble,
            )
            for each in self.running.describe()
        ]

    def reasons(self) -> list[str]:
        """Why the worker is not ready, as far as filters in use are at fault."""
        return self._troubles(blocking=True)

    def warnings(self) -> list[str]:
        """Which filters in use can't answer, although the worker is ready."""
        return self._troubles(blocking=False)

    def _troubles(self, *, blocking: bool) -> list[str]:
        found = self.running.troubles().items()
        return [f"filter {name}: {trouble.reason}" for name, trouble in found if trouble.blocking == blocking]

    def read_gauges(self, metrics: Metrics) -> None:
        """Let metrics see who can answer and what waits."""

        def up() -> Mapping[tuple[str, ...], float]:
            return {(each.name,): float(not each.trouble) for each in self.running.describe()}

        def inflight() -> Mapping[tuple[str, ...], float]:
            return {(each.name,): float(each.load.waiting) for each in self.running.describe()}

        metrics.read("paquebot_filter_up", up)
        metrics.read("paquebot_filter_inflight", inflight)
