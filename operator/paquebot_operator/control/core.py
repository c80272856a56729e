"""All loops of an operator that holds the Lease: events in, everything else follows."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import Final

from paquebot_operator.cluster.api import Api
from paquebot_operator.cluster.errors import AbsentError, ClusterError
from paquebot_operator.cluster.pods import AsksPods
from paquebot_operator.cluster.resources import (
    MAIL_DOMAINS,
    MAIL_SERVICES,
    OWNED_WATCHED,
    POD_MONITORS,
    PODS,
    PROMETHEUS_RULES,
    WATCHED,
    Json,
    Resource,
)
from paquebot_operator.compile.objects import ObjectKey, service_of
from paquebot_operator.control.clocks import Clock
from paquebot_operator.control.events import Events
from paquebot_operator.control.leftovers import Leftovers
from paquebot_operator.control.metrics import Metrics
from paquebot_operator.control.owned import Owned
from paquebot_operator.control.parts import Parts, Settings
from paquebot_operator.control.publication import Publisher, Standing, Surroundings
from paquebot_operator.control.references import References
from paquebot_operator.control.resync import Resync
from paquebot_operator.control.service_loop import ServiceLoop
from paquebot_operator.control.shelf import Change
from paquebot_operator.control.status_queue import StatusQueue
from paquebot_operator.control.store import Store
from paquebot_operator.desired.names import service_label

TICK_SECONDS: Final = 1.0
BUSY_STATUSES: Final = 50
FIRST_LIST_SECONDS: Final = 10.0
"""Events of a watch's own first list come within this time; later ones tell of a list made anew."""
_log = logging.getLogger("paquebot.operator")


@dataclass
class Core:
    """The operator at work.

    Attributes:
        tick: when the loop last had time, on the monotonic clock.
    """

    api: Api
    asks: AsksPods
    settings: Settings
    identity: str
    metrics: Metrics
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.store = Store()
        self.tick = self._started = self.clock.monotonic()
        self._served: set[str] = set()
        self._loops: dict[ObjectKey, tuple[ServiceLoop, asyncio.Task[None]]] = {}
        self._events = Events(self.api, self.store, self.clock, self.identity)
        self._resync = Resync(self.api, self.store, self.clock, self.metrics, self.settings.namespaces)
        references = References(self.api, self.store, self.clock, self._reference_changed)
        statuses = StatusQueue(self.api, self.store, self.clock, self._events.flipped, self._status_failed)
        self._publisher = Publisher(
            Surroundings(
                self.api,
                self.store,
                references,
                self.clock,
                tell=self._tell_domain,
                is_busy=lambda: len(statuses) > BUSY_STATUSES,
                standing=self._standing_of,
            )
        )
        self.parts = Parts(
            api=self.api,
            asks=self.asks,
            store=self.store,
            references=references,
            owned=Owned(self.api, self.settings.namespaces),
            statuses=statuses,
            publication=self._publisher,
            metrics=self.metrics,
            clock=self.clock,
            settings=self.settings,
            serves=self._served.__contains__,
        )
        self._leftovers = Leftovers(self.parts)

    @property
    def is_ready(self) -> bool:
        """Whether everything has been listed once."""
        return self._resync.last is not None

    def is_alive(self) -> bool:
        """Whether the loop runs, and lists succeeded not too long ago."""
        now = self.clock.monotonic()
        last = self._started if self._resync.last is None else self._resync.last
        # An API server that is away is no reason to be restarted: that would help nobody.
        return now - self.tick < 30.0 and (now - last < 3 * self.settings.resync_seconds + 900.0)

    async def run(self) -> None:
        """Work for ever; ends by an error only."""
        self.tick = self._started = self.clock.monotonic()
        await self._start()
        async with asyncio.TaskGroup() as group:
            self._group = group
            for service in self.store.services:
                self._loop_of(service.key)
            group.create_task(self.parts.statuses.keep_up())
            group.create_task(self.parts.references.keep_up())
            group.create_task(self._leftovers.keep_up())
            group.create_task(self._events.keep_up())
            group.create_task(self._publisher.keep_up())
            group.create_task(self._resync.keep_up(self.settings.resync_seconds, self._told, self._renew))
            group.create_task(self._tick())
            group.create_task(self._list_again())
            self._leftovers.mark()
            self._publisher.begin()

    def see(self, resource: Resource, kind: str | None, raw: Json) -> None:
        """Take an event of a watch; ``kind`` is None for an object of the watch's own list."""
        self.metrics.watch_last_event.labels(resource.plural).set(self.clock.now().timestamp())
        if kind is None and self.clock.monotonic() - self._started > FIRST_LIST_SECONDS:
            # The watch was cut for too long and listed anew: what ended in between is told by nobody.
            self._resync.ask()
        if resource in OWNED_WATCHED:
            self._see_owned(resource, kind, raw)
            return
        shelf = self.store.shelf(resource)
        change = shelf.remove(raw) if kind == "DELETED" else shelf.put(raw)
        if change is not None:
            (self._told if self.is_ready else self._told_at_start)(resource, change)

    def _see_owned(self, resource: Resource, kind: str | None, raw: Json) -> None:
        """Somebody may have changed or deleted what a service needs: its pass puts it right."""
        whose = self.parts.owned.see(resource, kind, raw)
        for key, (loop, _) in self._loops.items():
            if (key.namespace, service_label(key.name)) == whose:
                loop.mark()

    async def _start(self) -> None:
        """See what is there, before anything is written; an API server that is away is waited for."""
        while True:
            try:
                await self._need_kinds()
                await self._look()
                await self._resync.once(self._told_at_start, "start")
            except ClusterError as error:
                _log.warning("start: %s", error)
                await self.clock.sleep(1.0)
                self.tick = self.clock.monotonic()
            else:
                self._started = self.clock.monotonic()
                return

    async def _list_again(self) -> None:
        """What ended between our first list and the watches' own is in neither."""
        await self.clock.sleep(FIRST_LIST_SECONDS)
        self._resync.ask()

    async def _need_kinds(self) -> None:
        for resource in WATCHED[:-1]:
            if not await self.api.serves(resource):
                raise AbsentError(0, f"the API server has no {resource.plural} yet: install the CRDs")

    async def _look(self) -> None:
        for resource in (POD_MONITORS, PROMETHEUS_RULES):
            if await self.api.serves(resource):
                self._served.add(resource.plural)
            else:
                self._served.discard(resource.plural)
        await self.parts.owned.look()

    def _told_at_start(self, resource: Resource, change: Change[object]) -> None:
        self.store.touched(resource, change)

    def _told(self, resource: Resource, change: Change[object]) -> None:
        services = self.store.touched(resource, change)
        for key in services:
            loop = self._loop_of(key)
            if loop is None:
                continue
            if resource == PODS:
                loop.mark_pods()
            else:
                loop.mark()
        if resource != PODS:
            self._leftovers.mark()
        held = change.after or change.before
        if resource == MAIL_SERVICES and held is not None:
            self._publisher.changed_service(held.key)
        if resource == MAIL_DOMAINS and held is not None:
            self._publisher.changed(held.key)

    def _loop_of(self, key: ObjectKey) -> ServiceLoop | None:
        """The service's loop, begun if need be, ended if the service is gone."""
        there = self.store.services.get(key) is not None
        if not there:
            self._end_loop(key)
            return None
        if key not in self._loops:
            loop = ServiceLoop(key, self.parts)
            self._loops[key] = loop, self._group.create_task(self._run_loop(loop))
            loop.mark()
        return self._loops[key][0]

    async def _run_loop(self, loop: ServiceLoop) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await loop.run()

    def _end_loop(self, key: ObjectKey) -> None:
        found = self._loops.pop(key, None)
        if found is not None:
            found[1].cancel()
            self.parts.references.forget(key)
            self.metrics.forget(key)

    def _reference_changed(self, key: ObjectKey) -> None:
        for service in self.store.services_near(key.namespace):
            loop = self._loop_of(service)
            if loop is not None:
                loop.mark()
        self._leftovers.mark()
        self._publisher.changed_near(key.namespace)

    def _standing_of(self, key: ObjectKey) -> Standing:
        held = self.store.domains.get(key)
        if held is None or held.item is None or service_of(held.item) not in self._loops:
            return "Unknown"
        unit = self._loops[service_of(held.item)][0].state.units.get(key)
        if unit is None or (unit.source is not held.item and unit.source != held.item):
            return "Unknown"
        return "Own" if unit.allowed else "Refused"

    def _tell_domain(self, key: ObjectKey) -> None:
        """What is said of a domain's publication changed."""
        for loop, _ in self._loops.values():
            if key in loop.state.units:
                loop.telling.published(key)

    def _renew(self, reason: str) -> None:
        """After a periodic list nothing that is remembered is believed any more."""
        self._group.create_task(self._look_again(renew=reason == "periodic"))

    async def _look_again(self, *, renew: bool) -> None:
        try:
            await self._look()
        except ClusterError as error:
            _log.warning("looking at owned objects: %s", error)
            return
        for loop, _ in self._loops.values():
            loop.renew() if renew else loop.mark()

    def _status_failed(self, resource: Resource, error: ClusterError) -> None:
        self.metrics.status_failures.labels(resource.plural).inc()
        _log.warning("status of %s: %s", resource.plural, error)

    async def _tick(self) -> None:
        while True:
            self.tick = self.clock.monotonic()
            self.metrics.statuses_waiting.set(len(self.parts.statuses))
            self.metrics.oldest_change.set(max((loop.oldest_seconds for loop, _ in self._loops.values()), default=0.0))
            await self.clock.sleep(TICK_SECONDS)
