"""From a plan to an open session: which next hop, from which source, and when.

Hops are tried by preference (RFC 5321, 5.1); among equals the one with the fewest connections is first. A hop of a
worse preference is tried only if all better ones fail or rest, never because those are busy. A family that does not
answer never holds up the other: it gets a short time, and its full time only when nothing else is left.
"""

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from paquebot_mta.config.service import DestinationLimits
from paquebot_mta.deliver import faults
from paquebot_mta.deliver.counts import Bound, ConnectionCounts
from paquebot_mta.deliver.faults import SessionFaultError
from paquebot_mta.deliver.hops import NextHop
from paquebot_mta.deliver.host_route import HostRoute, Rest, RouteKey
from paquebot_mta.deliver.host_routes import HostRoutes
from paquebot_mta.deliver.plan import Plan, Target
from paquebot_mta.deliver.session import Session, open_session

FAMILY_SECONDS: Final = 2.0
"""How long a connection may take to open while the same preference has hops of the other family."""
SOURCE_SECONDS: Final = 10.0
"""A source address that could not be used is looked at again after that."""


class Reached(Struct, frozen=True, eq=False):
    """An open session, to be left by ``Reach.leave``."""

    session: Session
    target: Target


class Blocked(Struct, frozen=True):
    """Limits or delays leave nothing to try: look again in so many seconds, or when one of these has room."""

    seconds: float
    full: tuple[Bound, ...]


class Reach:
    """Opens sessions within the limits that all routes of a process share."""

    def __init__(self, routes: HostRoutes, counts: ConnectionCounts, monotonic: Callable[[], float]) -> None:
        self.counts = counts
        self._routes = routes
        self._monotonic = monotonic
        self._turn = itertools.count()
        self._bad_sources: dict[str, float] = {}

    async def open(self, plan: Plan, domain: str) -> Reached | Blocked | Rest:
        """Open a session to the best next hop; ``domain`` is the first task's.

        Raises:
            SessionFaultError: no hop can be used, and one said why.
        """
        search = _Search(self, plan)
        targets = sorted(self._targets(plan, domain), key=lambda each: each.hop.preference)
        for _, equals in itertools.groupby(targets, key=lambda each: each.hop.preference):
            found = await search.among(sorted(equals, key=self._rank))
            if found is not None:
                return found
        return search.nothing()

    def leave(self, found: Reached) -> None:
        """The session has ended."""
        now = self._monotonic()
        found.target.route.closed(now, greeted=True)
        self._release(found.target, found.session.reconnect_seconds, now)

    def fail(self, target: Target, reconnect_seconds: float) -> None:
        """A connection could not be opened."""
        now = self._monotonic()
        target.route.closed(now, greeted=False)
        self._release(target, reconnect_seconds, now)

    def _release(self, target: Target, reconnect_seconds: float, now: float) -> None:
        """Forget a connection; after a failure the next one waits."""
        if reconnect_seconds:
            self.counts.hold(("route", target.route.id), now + reconnect_seconds)
        self.counts.release(target.bounds)

    def wait_seconds(self, target: Target) -> float:
        """How long limits and delays forbid a connection."""
        return self.counts.wait_seconds(target.bounds, self._monotonic())

    def take(self, target: Target) -> None:
        """Count a connection that is about to be opened."""
        now = self._monotonic()
        self.counts.take(target.bounds, now)
        target.route.opened(now)

    def now(self) -> float:
        """Seconds of the monotonic clock."""
        return self._monotonic()

    def avoid_source(self, source: str) -> None:
        """A source could not be used."""
        self._bad_sources[source] = self._monotonic() + SOURCE_SECONDS

    def _rank(self, target: Target) -> tuple[int, int, int]:
        count = self.counts.count
        return target.route.penalty, count(("host", target.hop.address)), count(("source", target.source))

    def _targets(self, plan: Plan, domain: str) -> Iterator[Target]:
        """Pair each hop with each source of its family; sources take turns."""
        for hop in plan.route.next_hops:
            for source in self._sources(plan, hop):
                key = RouteKey(plan.endpoint.name, source, hop.address, hop.port)
                route = self._routes.at(key, hop.name, plan.settings.penalties)
                yield Target(hop, source, route, self._bounds(plan, route, hop, domain))

    def _sources(self, plan: Plan, hop: NextHop) -> tuple[str, ...]:
        sources = plan.endpoint.sources
        if not sources or not hop.port:
            return ("",)
        turn = next(self._turn) % len(sources)
        now = self._monotonic()
        self._bad_sources = {source: until for source, until in self._bad_sources.items() if until > now}
        fitting = (each for each in sources[turn:] + sources[:turn] if is_ipv6(each) == is_ipv6(hop.address))
        return tuple(each for each in fitting if each not in self._bad_sources)

    def _bounds(self, plan: Plan, route: HostRoute, hop: NextHop, domain: str) -> tuple[Bound, ...]:
        limits, delays, relay = plan.settings.limits, plan.settings.delays, plan.endpoint.name
        on_route = 1 if route.is_new(self._monotonic()) else limits.connections_per_route
        return (
            Bound(("host", hop.address), limits.connections_per_host, delays.host),
            Bound(("route", route.id), on_route, delays.route),
            Bound(("source", route.key.source), limits.connections_per_source, delays.source),
            Bound(("relay", relay), limits.connections_per_relay, delays.relay),
            Bound(("domain", domain), limits.connections_per_domain, delays.domain),
            *_own_bounds(plan.destination),
        )


class _Search:
    """One search for a session: what it met on its way."""

    def __init__(self, reach: Reach, plan: Plan) -> None:
        self._reach = reach
        self._plan = plan
        self._rests: list[Rest] = []
        self._fault: SessionFaultError | None = None

    async def among(self, targets: list[Target]) -> Reached | Blocked | None:
        """Try hops of one preference, best first; None if all fail or rest."""
        left = deque(each for each in targets if not self._is_resting(each))
        slow: list[tuple[Target, SessionFaultError]] = []
        waits: list[float] = []
        full: list[Bound] = []
        while left:
            target = left.popleft()
            if wait := self._reach.wait_seconds(target):
                waits.append(wait)
                full += self._reach.counts.full(target.bounds)
                continue
            others = [each for each in left if is_ipv6(each.hop.address) != is_ipv6(target.hop.address)]
            found = await self._attempt(target, FAMILY_SECONDS if others else math.inf)
            if isinstance(found, Reached):
                self._blame(slow)
                return found
            if others and _is_slow(found):
                slow.append((target, found))
                left = deque([*others, *(each for each in left if each not in others)])
            else:
                self._failed(target, found)
        return await self._again(slow) or (Blocked(min(waits), tuple(full)) if waits else None)

    def nothing(self) -> Rest:
        """Say why no hop was left.

        Raises:
            SessionFaultError: of the hop whose fault says most.
        """
        if self._fault is not None:
            raise self._fault
        if not self._rests:
            raise SessionFaultError("source", faults.NO_SOURCE)
        return min(self._rests, key=lambda rest: (rest.route.disabled != "smtp", rest.seconds))

    async def _again(self, slow: list[tuple[Target, SessionFaultError]]) -> Reached | None:
        """The other family was of no use: give those that were cut short their full time."""
        while slow:
            target, _ = slow.pop(0)
            found = await self._attempt(target, math.inf)
            if isinstance(found, Reached):
                self._blame(slow)
                return found
            self._failed(target, found)
        return None

    def _is_resting(self, target: Target) -> bool:
        rest = target.route.rest(self._reach.now())
        if rest is not None:
            self._rests.append(rest)
        return rest is not None

    async def _attempt(self, target: Target, seconds: float) -> Reached | SessionFaultError:
        """Open a session within the limits."""
        self._reach.take(target)
        try:
            session = await open_session(self._plan, target, seconds)
        except BaseException as error:
            self._reach.fail(target, self._plan.settings.delays.reconnect)
            if not isinstance(error, SessionFaultError):
                raise
            return error
        target.route.greeted()
        self._reach.counts.offer_all(("route", target.route.id))
        return Reached(session, target)

    def _blame(self, slow: list[tuple[Target, SessionFaultError]]) -> None:
        for target, fault in slow:
            target.route.failed(str(fault.reply), self._reach.now())

    def _failed(self, target: Target, fault: SessionFaultError) -> None:
        """Count it, and choose what to tell: a refusal says more than an unreachable address."""
        if fault.cause == "source":
            self._reach.avoid_source(target.source)
        else:
            target.route.failed(str(fault.reply), self._reach.now())
        if self._fault is None or fault.cause not in {"connect", "source"}:
            self._fault = fault


def is_ipv6(address: str) -> bool:
    """Whether an address is of IPv6."""
    return ":" in address


def _is_slow(fault: SessionFaultError) -> bool:
    return fault.cause == "connect" and isinstance(fault.__cause__, TimeoutError)


def _own_bounds(destination: DestinationLimits | None) -> tuple[Bound, ...]:
    if destination is None:
        return ()
    connections = math.inf if destination.connections is None else destination.connections
    return (Bound(("destination", destination.domain), connections, destination.connection_delay_seconds),)
