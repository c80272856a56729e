"""Our own side of a connection: which address it comes from, and what name is given for it."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from paquebot_mta.config.tables import Inline, Service
from paquebot_mta.deliver.settings import Endpoint
from paquebot_mta.mail.outcome import Deferred, Delivered
from paquebot_mta.route.hops import NextHop
from paquebot_mta.table.lookup import Table, TableError
from paquebot_mta.table.static import StaticTable
from tests.mta.deliver.relay_rig import Rig, impatient, make_task, relay_rig, route_to
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Answer, Script

NOT_OURS = "192.0.2.77"
"""An address of documentation: no interface has it."""


def names(entries: Mapping[str, str]) -> StaticTable:
    return StaticTable(Inline(entries=dict(entries)), ("addrname",))


class BrokenTable:
    """A back end that does not answer."""

    async def check(self, service: Service, key: str) -> bool:
        raise TableError(service, key)

    async def lookup(self, service: Service, key: str) -> str | None:
        raise TableError(service, key)

    async def fetch(self, service: Service) -> Sequence[str]:
        raise TableError(service)


class SilentTable(BrokenTable):
    """A back end that never answers."""

    async def lookup(self, service: Service, key: str) -> str | None:
        await asyncio.Event().wait()
        return None


def sources_of(rig: Rig) -> list[str]:
    return [line.split("|")[3].rpartition(":")[0] for line in rig.reports("link-connect")]


async def test_a_connection_comes_from_the_wanted_address() -> None:
    async with FakeMx() as mx, relay_rig(endpoint=Endpoint("out", sources=("127.0.0.5",))) as rig:
        receipt = await rig.deliver(route_to(mx), make_task())
        assert (receipt.source, sources_of(rig)) == ("127.0.0.5", ["127.0.0.5"])
        assert [(each.source, each.address) for each in rig.routes()] == [("127.0.0.5", "127.0.0.1")]


async def test_connections_are_spread_over_the_sources() -> None:
    script = Script({"DOT": Answer("250 2.0.0 taken", delay_seconds=0.03)})
    sources = ("127.0.0.5", "127.0.0.6", "127.0.0.7")
    async with FakeMx(script) as mx, relay_rig(endpoint=Endpoint("out", sources=sources)) as rig:
        await asyncio.gather(*(rig.outcome(route_to(mx), make_task()) for _ in range(30)))
        assert set(sources_of(rig)) == set(sources)


async def test_a_source_of_the_other_family_is_never_used() -> None:
    async with FakeMx() as mx, relay_rig(endpoint=Endpoint("out", sources=("::1", "127.0.0.5"))) as rig:
        for _ in range(2):
            assert isinstance(await rig.outcome(route_to(mx, policy="None"), make_task()), Delivered)
        assert set(sources_of(rig)) == {"127.0.0.5"}


async def test_next_hops_without_a_source_of_their_family_are_passed_over() -> None:
    six = NextHop("mx.test", "::1", 25)
    async with FakeMx() as mx, relay_rig(endpoint=Endpoint("out", sources=("127.0.0.5",))) as rig:
        route = route_to(six, NextHop("mx.test", "127.0.0.1", mx.port))
        assert isinstance(await rig.outcome(route, make_task()), Delivered)
        only_six = await rig.outcome(route_to(six, key="six"), make_task())
    assert str(only_six.reply) == "451 4.4.1 No source address can be used for the next hop"
    assert isinstance(only_six, Deferred)


async def test_a_source_that_is_not_ours_is_left_for_another_and_looked_at_again() -> None:
    endpoint = Endpoint("out", sources=(NOT_OURS, "127.0.0.5"))
    async with FakeMx() as mx, relay_rig(endpoint=endpoint) as rig:
        for _ in range(3):
            assert isinstance(await rig.outcome(route_to(mx), make_task()), Delivered)
        assert rig.notices() == []
        assert {each.source: each.penalty for each in rig.routes()} == {NOT_OURS: 0, "127.0.0.5": 0}


async def test_without_any_usable_source_mail_waits_and_the_next_hop_is_not_blamed() -> None:
    async with FakeMx() as mx, relay_rig(endpoint=Endpoint("out", sources=(NOT_OURS,))) as rig:
        for _ in range(2):
            outcome = await rig.outcome(route_to(mx), make_task())
            assert str(outcome.reply) == "451 4.4.1 No source address can be used for the next hop"
        assert mx.sessions == []
    assert rig.notices() == []


async def test_the_name_follows_the_address_that_the_connection_really_has() -> None:
    """Also without a table of sources: the system's choice is looked up."""
    table = names({"127.0.0.1": "one.origin.test", "127.0.0.5": "five.origin.test"})
    for sources, name in (((), "one.origin.test"), (("127.0.0.5",), "five.origin.test")):
        endpoint = Endpoint("out", helo="other.test", helo_names=table, sources=sources)
        async with FakeMx() as mx, relay_rig(endpoint=endpoint) as rig:
            assert isinstance(await rig.outcome(route_to(mx), make_task()), Delivered)
            assert [each.helo for each in mx.sessions] == [name]


@pytest.mark.parametrize("table", [names({"192.0.2.1": "x.test"}), BrokenTable(), SilentTable()])
async def test_without_a_name_for_its_address_nothing_is_said(table: Table) -> None:
    endpoint = Endpoint("out", helo_names=table)
    async with FakeMx() as mx, relay_rig(endpoint=endpoint, timeouts=impatient(command=0.05)) as rig:
        outcome = await rig.outcome(route_to(mx), make_task())
        assert all(not each.commands for each in mx.sessions)
    assert str(outcome.reply) == "451 4.3.5 No HELO name is known for the source address"
    assert isinstance(outcome, Deferred)
    assert rig.notices() == []


async def test_a_source_without_a_name_is_left_for_one_that_has_one() -> None:
    table = names({"127.0.0.6": "six.origin.test"})
    endpoint = Endpoint("out", helo_names=table, sources=("127.0.0.5", "127.0.0.6"))
    async with FakeMx() as mx, relay_rig(endpoint=endpoint) as rig:
        for _ in range(3):
            assert isinstance(await rig.outcome(route_to(mx), make_task()), Delivered)
        assert {each.helo for each in mx.sessions if each.helo} == {"six.origin.test"}
