"""The relay: routes with their queues and connections, shared by all tasks that go the same way."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Struct

from paquebot_mta.deliver.counts import ConnectionCounts
from paquebot_mta.deliver.hops import Route
from paquebot_mta.deliver.route_queue import RouteQueue, Surroundings
from paquebot_mta.deliver.session import Plan
from paquebot_mta.deliver.settings import ClientSettings, Endpoint, RouteInfo
from paquebot_mta.deliver.tls import ClientContexts
from paquebot_mta.deliver.transport import Receipt, Task
from paquebot_mta.mail.ids import RandomBits, SessionId, new_session_id
from paquebot_mta.telemetry.bus import Emit

_Way = tuple[str, Endpoint]


class _Newest(Struct):
    """The route as it was last given: next hops change while connections live."""

    route: Route


class RelayPool:
    """Delivers tasks by SMTP and LMTP. Lives on one event loop."""

    def __init__(
        self, *, settings: ClientSettings, emit: Emit, monotonic: Callable[[], float], randbits: RandomBits
    ) -> None:
        """Start without connections; ``randbits`` draws session ids."""
        self._settings = settings
        self._emit = emit
        self._monotonic = monotonic
        self._randbits = randbits
        self._contexts = ClientContexts({})
        self._queues: dict[_Way, RouteQueue] = {}
        self._newest: dict[_Way, _Newest] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._count = 0
        self._counts = ConnectionCounts(_limits(settings))

    async def deliver(self, route: Route, endpoint: Endpoint, task: Task) -> Receipt:
        """Hand a task over to the best next hop of the route.

        Waits for its turn. Never raises for what a peer does: network and internal faults are ``Deferred``.
        """
        way = (route.key, endpoint)
        queue = self._queues.get(way) or self._new_queue(way, route)
        self._newest[way].route = route
        return await queue.submit(task)

    def routes(self) -> list[RouteInfo]:
        """Describe the routes that have connections or waiting tasks."""
        return [queue.info() for queue in self._queues.values()]

    async def close(self, grace_seconds: float = 5.0) -> None:
        """Defer what waits, close idle connections, and give transactions in flight that long to end."""
        for queue in list(self._queues.values()):
            queue.close()
        if self._workers:
            await asyncio.wait(self._workers, timeout=grace_seconds)
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    def _new_queue(self, way: _Way, route: Route) -> RouteQueue:
        self._count += 1
        newest = self._newest[way] = _Newest(route)

        def plan() -> Plan:
            return self._plan(newest.route, way[1])

        def forget(queue: RouteQueue) -> None:
            if self._queues.get(way) is queue:
                del self._queues[way], self._newest[way]

        queue = RouteQueue(self._count, plan, Surroundings(self._counts, self._spawn, forget))
        self._queues[way] = queue
        return queue

    def _plan(self, route: Route, endpoint: Endpoint) -> Plan:
        def context() -> ssl.SSLContext:
            return endpoint.ssl_context or self._contexts.get(route.tls)

        return Plan(self._new_id, route, endpoint, self._settings, context, self._emit, self._monotonic)

    def _new_id(self) -> SessionId:
        return new_session_id(self._randbits)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        worker = asyncio.get_running_loop().create_task(work)
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)


def _limits(settings: ClientSettings) -> dict[str, int]:
    limits = settings.limits
    return {
        "host": limits.connections_per_host,
        "source": limits.connections_per_source,
        "relay": limits.connections_per_relay,
        "domain": limits.connections_per_domain,
    }
