"""Routing with real DNS exchanges on loopback."""

from paquebot_mta.config.actions import Relay
from paquebot_mta.config.service import Outbound
from paquebot_mta.mail.outcome import Deferred, Failed
from paquebot_mta.resolver.dns_resolver import DnsResolver
from paquebot_mta.resolver.transport import Server
from paquebot_mta.route.hops import Route
from paquebot_mta.route.router import Router
from tests.support.dns_server import DnsServer, Fault

ZONES = {
    "dest.test": {"MX": ["20 mx2.dest.test.", "10 mx1.dest.test."]},
    "mx1.dest.test": {"A": ["192.0.2.1"]},
    "mx2.dest.test": {"A": ["192.0.2.2"], "AAAA": ["2001:db8::2"]},
    "null.test": {"MX": ["0 ."]},
}


async def _route(server: DnsServer, domain: str) -> Route | Deferred | Failed:
    resolver = DnsResolver((Server(*server.address),), on_exchange=lambda _: None, timeout_seconds=0.2)
    router = Router(
        resolver=resolver,
        outbound=Outbound(),
        hostname="mx.example.test",
        local_addresses=frozenset,
        emit=lambda _: None,
    )
    return await router.route(Relay(), domain)


async def test_hosts_come_in_order_of_preference() -> None:
    async with DnsServer(ZONES) as server:
        route = await _route(server, "dest.test")
    assert isinstance(route, Route)
    assert [hop.address for hop in route.next_hops] == ["192.0.2.1", "2001:db8::2", "192.0.2.2"]


async def test_a_null_mx_is_final_and_so_is_no_domain() -> None:
    async with DnsServer(ZONES) as server:
        outcomes = [await _route(server, name) for name in ("null.test", "gone.invalid")]
    assert [str(each.reply) for each in outcomes if isinstance(each, Failed)] == [
        "556 5.1.10 Domain does not accept mail",
        "550 5.1.2 Domain does not exist",
    ]


async def test_a_silent_server_defers() -> None:
    async with DnsServer(ZONES, faults={"dest.test": Fault.TIMEOUT}) as server:
        outcome = await _route(server, "dest.test")
    assert isinstance(outcome, Deferred)
    assert outcome.reply.status == "4.4.3"


async def test_a_host_whose_address_is_not_told_is_passed_over() -> None:
    async with DnsServer(ZONES, faults={"mx1.dest.test": Fault.SERVFAIL}) as server:
        route = await _route(server, "dest.test")
    assert isinstance(route, Route)
    assert {hop.name for hop in route.next_hops} == {"mx2.dest.test"}
