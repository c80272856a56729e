"""The relay: routes with their queues and connections, shared by all tasks that go the same way."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Struct

from paquebot_mta.config.service import DestinationLimits
from paquebot_mta.deliver.counts import ConnectionCounts
from paquebot_mta.deliver.hops import Route
from paquebot_mta.deliver.host_route import HostRoute
from paquebot_mta.deliver.host_routes import HostRoutes
from paquebot_mta.deliver.pace import Pace
from paquebot_mta.deliver.plan import Plan
from paquebot_mta.deliver.reach import Reach
from paquebot_mta.deliver.route_queue import RouteQueue, Surroundings
from paquebot_mta.deliver.settings import ClientSettings, Endpoint, QueueInfo, RouteInfo
from paquebot_mta.deliver.tls import ClientContexts
from paquebot_mta.deliver.transport import Receipt, Task
from paquebot_mta.mail.ids import RandomBits, SessionId, new_session_id
from paquebot_mta.table.destinations import Destinations
from paquebot_mta.telemetry.bus import Emit


class _Way(Struct, frozen=True):
    """What tasks share that share a queue."""

    route_key: str
    endpoint: Endpoint
    domain: str


class _Newest(Struct):
    """The route as it was last given: next hops change while connections live."""

    route: Route


class Network:
    """What outlives a configuration: routes with their penalties, and the counts of connections."""

    def __init__(self, emit: Emit, monotonic: Callable[[], float]) -> None:
        """Start with nothing known."""
        self.emit = emit
        self.monotonic = monotonic
        self.routes = HostRoutes(emit, monotonic, _call_later)
        self.reach = Reach(self.routes, ConnectionCounts(), monotonic)


def _call_later(seconds: float, call: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(seconds, call)


class RelayPool:
    """Delivers tasks by SMTP and LMTP. Lives on one event loop."""

    def __init__(self, *, settings: ClientSettings, network: Network, randbits: RandomBits) -> None:
        """Start without connections of its own; ``randbits`` draws session ids."""
        self._settings = settings
        self._network = network
        self._randbits = randbits
        self._contexts = ClientContexts({})
        self._destinations = Destinations(settings.destinations)
        self._paces = {
            each.domain: Pace(each.messages_per_minute) for each in settings.destinations if each.messages_per_minute
        }
        self._queues: dict[_Way, RouteQueue] = {}
        self._newest: dict[_Way, _Newest] = {}
        self._workers: set[asyncio.Task[None]] = set()

    async def deliver(self, route: Route, endpoint: Endpoint, task: Task) -> Receipt:
        """Hand a task over to the best next hop of the route.

        Waits for its turn. Never raises for what a peer does: network and internal faults are ``Deferred``.
        """
        destination = self._destinations.find(task.envelopes[0].destination.rpartition("@")[2])
        way = _Way(route.key, endpoint, destination.domain if destination is not None else "")
        queue = self._queues.get(way) or self._new_queue(way, route, destination)
        self._newest[way].route = route
        return await queue.submit(task)

    def queues(self) -> list[QueueInfo]:
        """Describe the ways that have connections or waiting tasks."""
        return [queue.info() for queue in self._queues.values()]

    def waiting(self) -> Counter[tuple[str, str]]:
        """How many tasks wait, by relay and the addresses that they may go to."""
        counts: Counter[tuple[str, str]] = Counter()
        for way, queue in self._queues.items():
            for address in queue.addresses():
                counts[way.endpoint.name, address] += queue.info().queued
        return counts

    async def close(self, grace_seconds: float = 5.0) -> None:
        """Defer what waits, close idle connections, and give transactions in flight that long to end."""
        for queue in list(self._queues.values()):
            queue.close()
        if self._workers:
            await asyncio.wait(self._workers, timeout=grace_seconds)
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    def _new_queue(self, way: _Way, route: Route, destination: DestinationLimits | None) -> RouteQueue:
        newest = self._newest[way] = _Newest(route)

        def plan() -> Plan:
            return self._plan(newest.route, way.endpoint, destination)

        def forget(queue: RouteQueue) -> None:
            if self._queues.get(way) is queue:
                del self._queues[way], self._newest[way]

        around = Surroundings(self._network.reach, self._paces.get(way.domain), self._spawn, forget)
        queue = self._queues[way] = RouteQueue(plan, around)
        return queue

    def _plan(self, route: Route, endpoint: Endpoint, destination: DestinationLimits | None) -> Plan:
        def context() -> ssl.SSLContext:
            return endpoint.ssl_context or self._contexts.get(route.tls)

        network = self._network
        return Plan(
            self._new_id, route, endpoint, self._settings, context, network.emit, network.monotonic, destination
        )

    def _new_id(self) -> SessionId:
        return new_session_id(self._randbits)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        worker = asyncio.get_running_loop().create_task(work)
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)


def describe_routes(network: Network, waiting: Counter[tuple[str, str]]) -> list[RouteInfo]:
    """Describe all routes that are known; ``waiting`` has tasks by relay and address."""
    now = network.monotonic()
    return [_info(route, waiting[route.key.relay, route.key.address], now) for route in network.routes]


def _info(route: HostRoute, queued: int, now: float) -> RouteInfo:
    return RouteInfo(
        id=route.id,
        relay=route.key.relay,
        source=route.key.source,
        address=route.key.address,
        name=route.name,
        flags=route.flags(now),
        disabled=route.disabled,
        connections=route.connections,
        queued=queued,
        penalty=route.penalty,
        errors=route.errors,
        last_error=route.last_error,
        timeout_seconds=route.changes_in(now),
        idle_seconds=max(0.0, now - route.used_at),
    )
