"""Full lists that replace the store: what a watch missed, also an end in a gap of events, is known after it."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC
from typing import Final

from paquebot_operator.cluster.api import Api
from paquebot_operator.cluster.errors import AbsentError, ClusterError, ExpiredError
from paquebot_operator.cluster.resources import PODS, WATCHED, Resource
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.control.clocks import Clock
from paquebot_operator.control.metrics import Metrics
from paquebot_operator.control.shelf import Change, key_of_raw
from paquebot_operator.control.store import Store
from paquebot_operator.desired.metadata import SERVICE_LABEL

Told = Callable[[Resource, Change[object]], None]
ATTEMPTS: Final = 5
MIN_PAUSE_SECONDS: Final = 2.0
_log = logging.getLogger("paquebot.operator")


class Resync:
    """Lists everything now and then, and whenever it is asked to.

    Attributes:
        last: when the last one ended, on the monotonic clock; None before the first.
    """

    def __init__(self, api: Api, store: Store, clock: Clock, metrics: Metrics, namespaces: tuple[str, ...]) -> None:
        self._api = api
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._namespaces = namespaces or ("",)
        self._asked = asyncio.Event()
        self.last: float | None = None

    def ask(self) -> None:
        """A watch had a gap: list soon."""
        self._asked.set()

    async def keep_up(self, interval_seconds: float, told: Told, after: Callable[[str], None]) -> None:
        """List every interval for ever; ``told`` hears of each change, ``after`` of each list's end and its reason."""
        while True:
            reason = "periodic"
            try:
                async with asyncio.timeout(interval_seconds):
                    await self._asked.wait()
                    reason = "gap"
            except TimeoutError:
                pass
            # Events of a list made anew come one by one: take them together.
            await self._clock.sleep(MIN_PAUSE_SECONDS if reason == "gap" else 0.0)
            self._asked.clear()
            try:
                await self.once(told, reason)
            except ClusterError as error:
                _log.warning("full list: %s", error)
                self._asked.set()
                continue
            after(reason)

    async def once(self, told: Told, reason: str) -> None:
        """List every kind once. Raises ClusterError."""
        for resource in WATCHED:
            await self._replace(resource, told, counted=reason != "start")
        self.last = self._clock.monotonic()
        self._metrics.resyncs.labels(reason).inc()
        self._metrics.last_resync.set(self._clock.now().astimezone(UTC).timestamp())

    async def _replace(self, resource: Resource, told: Told, *, counted: bool) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._list(resource, told, counted=counted)
            except ExpiredError:
                if attempt == ATTEMPTS:
                    raise
            else:
                return

    async def _list(self, resource: Resource, told: Told, *, counted: bool) -> None:
        shelf, version = self._store.shelf(resource), 0
        there: set[ObjectKey] = set()
        changes: list[Change[object]] = []
        labels = SERVICE_LABEL if resource == PODS else ""
        for namespace in self._namespaces:
            try:
                async for page in self._api.list_pages(resource, namespace, labels=labels):
                    # The version of the first page is that of the whole list.
                    version = version or page.resource_version
                    there.update(key_of_raw(raw) for raw in page.items)
                    found = [change for raw in page.items if (change := shelf.put(raw)) is not None]
                    changes.extend(found)
                    for change in found:
                        told(resource, change)
            except AbsentError:
                _log.warning("the API server has no %s: are the CRDs installed?", resource.plural)
        gone = shelf.prune(there, version)
        for change in gone:
            told(resource, change)
        if counted:
            self._metrics.resync_missed.labels(resource.plural).inc(len(changes) + len(gone))
