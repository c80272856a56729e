"""The outbound half of a configuration: router, relays and local deliveries, made anew with each configuration."""

import random
import secrets
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass

from paquebot_mta.admin.controls import HostEntry, RouteEntry
from paquebot_mta.config.actions import Action
from paquebot_mta.config.service import ServiceShard
from paquebot_mta.deliver.discard import DiscardTransport
from paquebot_mta.deliver.local import LocalSlots, LocalSurroundings
from paquebot_mta.deliver.maildir import MaildirTransport
from paquebot_mta.deliver.mbox import MboxTransport
from paquebot_mta.deliver.pool import Network, RelayPool
from paquebot_mta.deliver.settings import ClientSettings, RouteInfo
from paquebot_mta.deliver.transport import Transport
from paquebot_mta.dispatch.courier import Courier
from paquebot_mta.resolver.questions import Resolver
from paquebot_mta.route.router import Router
from paquebot_mta.service.live import Live
from paquebot_mta.service.relays import RelayDesk
from paquebot_mta.telemetry.bus import Emit


@dataclass(frozen=True)
class Outbound:
    """What the dispatcher's courier is made of."""

    courier: Courier
    pool: RelayPool


@dataclass(frozen=True)
class Ground:
    """What does not change with the configuration.

    Attributes:
        executor: threads for maildirs and mboxes.
        network: routes with their penalties, and counts of connections.
        local_addresses: addresses we are reached at, so that mail is never sent to ourselves.
        own: folders of ours, absolute: no mailbox lies there.
    """

    executor: Executor
    network: Network
    local_addresses: Callable[[], frozenset[str]]
    emit: Emit
    own: tuple[str, ...] = ()


def build_outbound(live: Live, resolver: Resolver, ground: Ground) -> Outbound:
    """Build router, pool and local transports of a configuration; no I/O."""
    service = live.config.service
    limits = service.outbound.limits
    pool = RelayPool(settings=client_settings(service), network=ground.network, randbits=random.getrandbits)
    router = Router(
        resolver=resolver,
        outbound=service.outbound,
        hostname=service.hostname,
        local_addresses=ground.local_addresses,
        emit=ground.emit,
    )
    slots = LocalSlots(limits)
    around = LocalSurroundings(ground.executor, service.hostname, time.time, secrets.randbits, ground.emit, ground.own)
    courier = Courier(
        routes=router,
        relays=RelayDesk(pool, lambda: live),
        local=lambda action: _local(action, slots, around),
    )
    return Outbound(courier, pool)


def _local(action: Action, slots: LocalSlots, around: LocalSurroundings) -> Transport:
    """Make the transport of an action that ends on this machine."""
    if action.maildir is not None:
        return MaildirTransport(action.maildir, slots, around)
    if action.mbox is not None:
        return MboxTransport(action.mbox, slots, around)
    return DiscardTransport()


def client_settings(service: ServiceShard) -> ClientSettings:
    """What all outbound sessions are told."""
    outbound = service.outbound
    return ClientSettings(
        outbound.limits,
        outbound.timeouts,
        service.hostname,
        outbound.delays,
        outbound.penalties,
        outbound.destinations,
    )


def route_entry(info: RouteInfo) -> RouteEntry:
    """A route as ``show routes`` lists it."""
    return RouteEntry(
        id=info.id,
        relay=info.relay,
        source=info.source,
        destination=f"{info.address} ({info.name})" if info.name else info.address,
        state=info.flags,
        connections=info.connections,
        queued=info.queued,
        errors=info.errors,
        penalty=info.penalty,
        timeout_seconds=info.timeout_seconds,
        last_error=info.last_error,
    )


def host_entries(infos: Iterable[RouteInfo]) -> list[HostEntry]:
    """Addresses of next hops as ``show hosts`` lists them: all routes that lead there, together."""
    by_address: dict[str, list[RouteInfo]] = {}
    for info in infos:
        by_address.setdefault(info.address, []).append(info)
    return [_host_entry(address, routes) for address, routes in sorted(by_address.items())]


def _host_entry(address: str, routes: list[RouteInfo]) -> HostEntry:
    latest = min(routes, key=lambda route: route.idle_seconds)
    return HostEntry(
        address=address,
        name=latest.name,
        routes=len(routes),
        connections=sum(route.connections for route in routes),
        idle_seconds=latest.idle_seconds,
        last_error=latest.last_error,
    )
