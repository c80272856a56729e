"""From an action to a connection: its sources, EHLO names, credentials, TLS and limits, as the configuration says."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from paquebot_mta.config.actions import Action, ClientTls, Relay, RelayAuth
from paquebot_mta.config.service import DestinationLimits, MtaConfig, Outbound, ServiceShard
from paquebot_mta.config.tables import Inline, Service, Table
from paquebot_mta.deliver.pool import Network, RelayPool, describe_routes
from paquebot_mta.deliver.settings import RouteInfo
from paquebot_mta.deliver.transport import Receipt
from paquebot_mta.dispatch.groups import Destination, Group
from paquebot_mta.mail.envelope import EnvelopeState, Stored
from paquebot_mta.mail.outcome import Outcome
from paquebot_mta.resolver.memory import MemoryResolver
from paquebot_mta.route.hops import Route
from paquebot_mta.route.router import Router
from paquebot_mta.service.gauges import read_routes
from paquebot_mta.service.live import Live, build_live
from paquebot_mta.service.outbound import client_settings, host_entries, route_entry
from paquebot_mta.service.relays import RelayDesk
from paquebot_mta.table.lookup import TableError
from paquebot_mta.telemetry.events import Event
from paquebot_mta.telemetry.metrics import Metrics, exposition
from tests.mta.deliver.relay_rig import make_task
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Script
from tests.support.processes import free_port

TABLES = {
    "sources": Table(services=("source",), inline=Inline(keys=("127.0.0.5", "[::1]"))),
    "no addresses": Table(services=("source",), inline=Inline(keys=("here",))),
    "names": Table(services=("addrname",), inline=Inline(entries={"127.0.0.5": "five.test", "127.0.0.1": "one.test"})),
    "logins": Table(services=("credentials",), inline=Inline(entries={"smart": "user:secret", "bad": "nothing"})),
}


@dataclass
class Desk:
    """A desk over a configuration with one relay action, and the way there."""

    desk: RelayDesk
    router: Router
    network: Network
    relay: Relay
    events: list[Event] = field(default_factory=list)

    async def send(self, domain: str = "far.test") -> Receipt:
        """Send a message to somebody of a domain."""
        task = make_task(f"a@{domain}")
        route = await self.router.route(self.relay, domain)
        assert isinstance(route, Route), route
        stored = Stored(task.message, {each.evpid: EnvelopeState() for each in task.envelopes})
        group = Group(stored, Destination("out", domain), Action(relay=self.relay), "", task.envelopes)
        return await self.desk.relay(route, group, task)

    async def outcome(self) -> Outcome:
        """Send a message and give what became of it."""
        (outcome,) = (await self.send()).outcomes.values()
        return outcome

    def routes(self) -> list[RouteInfo]:
        """All routes."""
        return describe_routes(self.network, Counter())


class BrokenTable:
    """A back end that does not answer."""

    async def check(self, service: Service, key: str) -> bool:
        raise TableError(service, key)

    async def lookup(self, service: Service, key: str) -> str | None:
        raise TableError(service, key)

    async def fetch(self, service: Service) -> Sequence[str]:
        raise TableError(service)


@asynccontextmanager
async def desk(relay: Relay, port: int, *, broken: bool = False, **outbound: object) -> AsyncIterator[Desk]:
    sending = Outbound(port=port, allow_private_next_hops=True, **outbound)  # type: ignore[arg-type]
    service = ServiceShard(
        name="default/test", hostname="us.test", listeners=(), actions={"out": Action(relay=relay)}, outbound=sending
    )
    live = build_live(MtaConfig(digest="0" * 64, generation=1, service=service, domains={}, tables=TABLES))
    if broken:
        live = replace(live, tables=dict.fromkeys(TABLES, BrokenTable()))
    events: list[Event] = []
    network = Network(events.append, time.monotonic)
    pool = RelayPool(settings=client_settings(service), network=network, randbits=random.Random(1).getrandbits)
    zones = {name: {"MX": ["10 mx.test"]} for name in ("far.test", "bank.test")} | {"mx.test": {"A": ["127.0.0.1"]}}
    router = Router(
        resolver=MemoryResolver(zones),
        outbound=sending,
        hostname="us.test",
        local_addresses=frozenset,
        emit=events.append,
    )
    try:
        yield Desk(RelayDesk(pool, _always(live)), router, network, relay, events)
    finally:
        await pool.close(0.05)


def _always(live: Live) -> Callable[[], Live]:
    return lambda: live


async def test_sources_and_names_come_from_tables() -> None:
    async with FakeMx() as mx, desk(Relay(source="sources", helo_names="names"), mx.port) as made:
        assert (await made.send()).source == "127.0.0.5"
        assert [each.helo for each in mx.sessions] == ["five.test"]


async def test_names_by_source_need_no_table_of_sources() -> None:
    async with FakeMx() as mx, desk(Relay(helo="other.test", helo_names="names"), mx.port) as made:
        await made.send()
        assert [each.helo for each in mx.sessions] == ["one.test"]


@pytest.mark.parametrize(("helo", "said"), [("own.test", "own.test"), ("", "us.test")])
async def test_without_a_table_the_action_s_name_counts(helo: str, said: str) -> None:
    async with FakeMx() as mx, desk(Relay(helo=helo), mx.port) as made:
        await made.send()
        assert [each.helo for each in mx.sessions] == [said]


@pytest.mark.parametrize(
    ("relay", "text"),
    [
        (Relay(source="no addresses"), "Source addresses"),
        (Relay(host="mx.test", auth=RelayAuth(credentials="logins", label="unknown")), "Credentials"),
        (Relay(host="mx.test", auth=RelayAuth(credentials="logins", label="bad")), "Credentials"),
    ],
)
async def test_what_our_tables_lack_defers(relay: Relay, text: str) -> None:
    async with FakeMx() as mx, desk(relay, mx.port) as made:
        outcome = await made.outcome()
        assert str(outcome.reply) == f"451 4.3.5 {text} for the next hop can't be found"
        assert mx.sessions == []


@pytest.mark.parametrize(
    "relay", [Relay(source="sources"), Relay(host="mx.test", auth=RelayAuth(credentials="logins", label="smart"))]
)
async def test_a_table_that_does_not_answer_defers(relay: Relay) -> None:
    async with FakeMx() as mx, desk(relay, mx.port, broken=True) as made:
        assert (await made.outcome()).reply.code == 451
        assert mx.sessions == []


async def test_the_policy_of_a_destination_is_kept_by_its_connections() -> None:
    """The next hop offers no TLS: mail for the bank waits, other mail on the same host goes."""
    own = DestinationLimits(domain="bank.test", tls=ClientTls(policy="Required"))
    async with FakeMx() as mx, desk(Relay(), mx.port, destinations=(own,)) as made:
        await made.send("far.test")
        (bank,) = (await made.send("bank.test")).outcomes.values()
        assert bank.reply.status == "4.7.4"
        assert [each.addresses for each in mx.transactions] == [("a@far.test",)]


async def test_routes_and_hosts_are_shown_as_they_are() -> None:
    async with FakeMx(Script({"BANNER": "421 4.3.2 busy"})) as mx, desk(Relay(source="sources"), mx.port) as made:
        await made.send()
        (route,) = made.routes()
        entry = route_entry(route)
        assert (entry.source, entry.destination, entry.relay) == ("127.0.0.5", "127.0.0.1 (mx.test)", "out")
        assert (entry.state, entry.penalty, entry.errors, entry.connections) == ("NDQ-", 1, 1, 0)
        assert entry.timeout_seconds == pytest.approx(15, abs=1)
        (host,) = host_entries(made.routes())
        assert (host.address, host.name, host.routes, host.last_error) == ("127.0.0.1", "mx.test", 1, "421 4.3.2 busy")
        assert made.network.routes.enable(entry.id) == 1
        assert route_entry(made.routes()[0]).state == "N--K"


async def test_rests_and_penalties_are_measured() -> None:
    metrics = Metrics()
    async with desk(Relay(), free_port()) as made:
        read_routes(metrics, made.routes)
        await made.send()
        for event in made.events:
            metrics.consume(event)
        text = exposition(metrics.registry).decode()
    assert 'paquebot_routes{relay="out",state="disabled_net"} 1.0' in text
    assert 'paquebot_route_penalty_max{relay="out"} 1.0' in text
    assert 'paquebot_route_transitions_total{reason="net",relay="out",to="disabled"} 1.0' in text
