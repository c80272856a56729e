"""From an action and a domain to a route: MX lookup, smarthost, LMTP server or address literal."""

import asyncio
import random
from collections.abc import Callable
from typing import Final, Literal, TypeVar

import msgspec

from paquebot_mta.config.actions import Lmtp, Relay
from paquebot_mta.config.service import Outbound
from paquebot_mta.mail.outcome import Deferred, Failed
from paquebot_mta.mail.reply import Reply
from paquebot_mta.resolver.questions import Resolver, Status
from paquebot_mta.route.addresses import (
    HostPort,
    canonical_address,
    is_ipv6,
    is_loopback,
    is_private,
    parse_host_port,
)
from paquebot_mta.route.hops import NextHop, Route
from paquebot_mta.route.hosts import Addresses, find_addresses
from paquebot_mta.route.mx import MAX_NEXT_HOPS, Exchange, Shuffle, better_than_us, is_null_mx, order_exchanges
from paquebot_mta.table.destinations import Destinations
from paquebot_mta.telemetry.bus import Emit
from paquebot_mta.telemetry.events import MxLookup

MxResult = Literal["ok", "nullmx", "nomx", "nxdomain", "servfail", "timeout", "loop"]
Found = tuple[tuple[Exchange, Addresses], ...]
_R = TypeVar("_R", Route, Deferred, Failed)

_NULL_MX: Final = Failed(Reply(556, "Domain does not accept mail", "5.1.10"))  # RFC 7505, 4.2
_NO_DOMAIN: Final = Failed(Reply(550, "Domain does not exist", "5.1.2"))
_NO_HOST: Final = Failed(Reply(550, "Domain has no mail host", "5.1.2"))
_NO_ADDRESS: Final = Failed(Reply(550, "No mail host of the domain has an address", "5.4.4"))
_FORBIDDEN: Final = Failed(Reply(550, "Mail hosts of the domain have private addresses only", "5.4.4"))
_LOOP: Final = Failed(Reply(554, "Mail for the domain loops back to us", "5.4.6"))
_DNS_FAULT: Final = Deferred(Reply(451, "Temporary failure in DNS lookup", "4.4.3"))
_NO_SMARTHOST: Final = Deferred(Reply(451, "Next hop has no address", "4.4.4"))
_BAD_DESTINATION: Final = Deferred(Reply(451, "Next hop is not configured rightly", "4.3.5"))


class Router:
    """Finds next hops.

    Args:
        resolver: DNS.
        outbound: families, port, whether private addresses may be reached, TLS policies of destinations.
        hostname: our name, as it stands in MX records.
        local_addresses: addresses that we are reached at, in short spelling; asked each time. Loopback addresses
            are not counted while private next hops are allowed.
        emit: is told of each routed domain.
        shuffle: random order of equal preferences.
    """

    def __init__(
        self,
        *,
        resolver: Resolver,
        outbound: Outbound,
        hostname: str,
        local_addresses: Callable[[], frozenset[str]],
        emit: Emit,
        shuffle: Shuffle = random.shuffle,
    ) -> None:
        self._resolver = resolver
        self._outbound = outbound
        self._hostname = hostname.lower().removesuffix(".")
        self._local_addresses = local_addresses
        self._emit = emit
        self._shuffle = shuffle
        self._destinations = Destinations(outbound.destinations)

    async def route(self, action: Relay | Lmtp, domain: str) -> Route | Deferred | Failed:
        """Find where mail for a domain (A-label, lower case, or an address literal) goes by this action."""
        if isinstance(action, Lmtp):
            return await self._lmtp(action)
        if action.host:
            return await self._fixed(HostPort(_plain(action.host), action.port), action)
        if (literal := canonical_address(domain)) is not None:
            return self._literal(literal, action)
        return await self._by_mx(action, domain)

    async def _lmtp(self, action: Lmtp) -> Route | Deferred:
        if action.destination.startswith("unix:"):
            path = action.destination.removeprefix("unix:")
            return _make_route((NextHop("localhost", path, 0),), action)
        try:
            where = parse_host_port(action.destination)
        except ValueError:
            return _BAD_DESTINATION
        return await self._fixed(where, action)

    async def _fixed(self, where: HostPort, action: Relay | Lmtp) -> Route | Deferred:
        """Route to a host that the configuration names; what is wrong with it is our fault, so never a bounce."""
        if (address := canonical_address(where.host)) is not None:
            return _make_route((NextHop(address, address, where.port),), action)
        host = where.host.strip("[]")  # a habit of Postfix: brackets mean "no MX lookup", as is always so here
        addresses = await find_addresses(self._resolver, host, self._outbound.family)
        if not addresses.found:
            return _DNS_FAULT if addresses.fault else _NO_SMARTHOST
        return _make_route(tuple(NextHop(host, address, where.port) for address in addresses.found), action)

    def _literal(self, address: str, action: Relay) -> Route | Failed:
        if self._is_us(address):
            return _LOOP
        if not self._may_reach(address):
            return _FORBIDDEN
        return _make_route((NextHop(address, address, self._outbound.port),), action)

    async def _by_mx(self, action: Relay, domain: str) -> Route | Deferred | Failed:
        exchanges = await self._exchanges(domain)
        if isinstance(exchanges, Deferred | Failed):
            return exchanges
        by_name = better_than_us(exchanges, lambda each: each.name in {self._hostname, _plain(action.backup_mx)})
        asked = (find_addresses(self._resolver, each.name, self._outbound.family) for each in by_name)
        found = tuple(zip(by_name, await asyncio.gather(*asked), strict=True))
        left = self._without_us(found)
        if not left:
            return self._told("loop", _LOOP)
        hops = tuple(
            NextHop(exchange.name, address, self._outbound.port, exchange.preference)
            for exchange, addresses in left
            for address in addresses.found
        )
        allowed = tuple(hop for hop in hops if self._may_reach(hop.address))
        if allowed:
            return self._told("ok", _make_route(allowed, self._own_policy(action, domain)))
        return self._nowhere(left, domain, forbidden=bool(hops))

    def _own_policy(self, action: Relay, domain: str) -> Relay:
        """TLS as the domain's own limits say, if they do."""
        own = self._destinations.find(domain)
        return action if own is None or own.tls is None else msgspec.structs.replace(action, tls=own.tls)

    async def _exchanges(self, domain: str) -> tuple[Exchange, ...] | Deferred | Failed:
        """Look up MX; the domain itself stands in if it has none (RFC 5321, 5.1: the implicit MX)."""
        answer = await self._resolver.ask(domain, "MX")
        if answer.status == "nxdomain":
            return self._told("nxdomain", _NO_DOMAIN)
        if answer.status == "nodata" or (answer.status == "ok" and not answer.mx):
            return (Exchange(0, domain),)
        if answer.status != "ok":
            return self._told(_fault_name(answer.status), _DNS_FAULT)
        if is_null_mx(answer.mx):
            return self._told("nullmx", _NULL_MX)
        return order_exchanges(answer.mx, self._shuffle)

    def _without_us(self, found: Found) -> Found:
        """Drop ourselves by address, and what is not better than we are."""
        ours = {each.name for each, addresses in found if any(self._is_us(address) for address in addresses.found)}
        left = better_than_us(tuple(each for each, _ in found), lambda each: each.name in ours)
        return tuple(pair for pair in found if pair[0] in left)

    def _nowhere(self, left: Found, domain: str, *, forbidden: bool) -> Deferred | Failed:
        """Say why there is no address to try: a fault of DNS leaves hope, anything else does not."""
        fault = next((addresses.fault for _, addresses in left if addresses.fault), None)
        if fault is not None:
            return self._told(_fault_name(fault), _DNS_FAULT)
        if forbidden:
            return self._told("nomx", _FORBIDDEN)
        implicit = all(exchange.name == domain for exchange, _ in left)
        return self._told("nomx", _NO_HOST if implicit else _NO_ADDRESS)

    def _is_us(self, address: str) -> bool:
        if self._outbound.allow_private_next_hops and is_loopback(address):
            return False
        return address in self._local_addresses()

    def _may_reach(self, address: str) -> bool:
        return self._outbound.allow_private_next_hops or not is_private(address)

    def _told(self, result: MxResult, outcome: _R) -> _R:
        self._emit(MxLookup(result=result))
        return outcome


def _fault_name(status: Status) -> MxResult:
    return "timeout" if status == "timeout" else "servfail"


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")


def _few(hops: tuple[NextHop, ...]) -> tuple[NextHop, ...]:
    """Keep the first few, each address once; if all are of one family and the other was cut off, its first is last."""
    unique = list({hop.address: hop for hop in reversed(hops)}.values())[::-1]
    kept, cut = unique[:MAX_NEXT_HOPS], unique[MAX_NEXT_HOPS:]
    families = {is_ipv6(hop.address) for hop in kept}
    other = next((hop for hop in cut if is_ipv6(hop.address) not in families), None)
    return tuple([*kept[:-1], other] if other else kept)


def _make_route(hops: tuple[NextHop, ...], action: Relay | Lmtp) -> Route:
    """Join hops and policy; the key is made of all hops, so that it does not depend on which few were kept."""
    protocol: Literal["smtp", "lmtp"] = "lmtp" if isinstance(action, Lmtp) else "smtp"
    implicit_tls = isinstance(action, Relay) and action.implicit_tls
    tls = action.tls
    policy = (tls.policy, tls.ca, tls.client_certificate, "implicit" if implicit_tls else "")
    where = sorted(f"{hop.preference}:{hop.name}:{hop.address}:{hop.port}" for hop in hops)
    return Route(" ".join((protocol, *where, "/".join(policy))), _few(hops), protocol, tls, implicit_tls)
