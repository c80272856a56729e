"""Connections as a shared good: slow start, limits, reuse, and closing."""

import asyncio
import math

import msgspec
import pytest

from paquebot_mta.config.service import OutboundLimits
from paquebot_mta.deliver.counts import Bound, ConnectionCounts, Key, Waiter
from paquebot_mta.deliver.settings import Endpoint
from paquebot_mta.mail.outcome import Deferred, Delivered
from tests.mta.deliver.relay_rig import Rig, make_task, relay_rig, route_to
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Answer, Script

SLOW = Script({"DOT": Answer("250 2.0.0 taken", delay_seconds=0.02)})


async def deliver_many(rig: Rig, mx: FakeMx, count: int, **fields: str) -> list[type]:
    route = route_to(mx, **fields)
    return [type(each) for each in await asyncio.gather(*(rig.outcome(route, make_task()) for _ in range(count)))]


async def test_only_one_connection_is_opened_until_it_is_proven() -> None:
    script = Script({"BANNER": Answer("220 mx.test ESMTP", delay_seconds=0.05), **SLOW.replies})
    async with FakeMx(script) as mx, relay_rig() as rig:
        work = asyncio.create_task(deliver_many(rig, mx, 12))
        await asyncio.sleep(0.03)
        assert len(mx.sessions) == 1
        assert [(each.flags, each.connections, each.queued) for each in rig.routes()] == [("N---", 1, 12)]
        assert await work == [Delivered] * 12
        assert 1 < mx.most_open <= 5


async def test_a_route_has_at_most_its_limit() -> None:
    async with FakeMx(SLOW) as mx, relay_rig(limits=OutboundLimits(connections_per_route=3)) as rig:
        assert await deliver_many(rig, mx, 30) == [Delivered] * 30
        assert mx.most_open == 3


@pytest.mark.parametrize("axis", ["host", "route", "source", "relay", "domain"])
async def test_connections_are_limited_along_each_axis(axis: str) -> None:
    """All the work is for one domain by one route from one source, so that each of them bounds it."""
    few = msgspec.convert({"keepaliveSeconds": 0, f"connectionsPer{axis.title()}": 2}, OutboundLimits)
    async with FakeMx(SLOW) as mx, relay_rig(limits=few, endpoint=Endpoint("out", sources=("127.0.0.5",))) as rig:
        assert await deliver_many(rig, mx, 20) == [Delivered] * 20
        assert mx.most_open == 2


@pytest.mark.parametrize(("axis", "most"), [("source", 4), ("domain", 4), ("relay", 2)])
async def test_what_differs_along_an_axis_does_not_count_there(axis: str, most: int) -> None:
    """Two sources, and two domains on one host, have a limit each; the relay that they share has one."""
    few = msgspec.convert({"keepaliveSeconds": 0, f"connectionsPer{axis.title()}": 2}, OutboundLimits)
    sources = ("127.0.0.5", "127.0.0.6") if axis == "source" else ()
    async with FakeMx(SLOW) as mx, relay_rig(limits=few, endpoint=Endpoint("out", sources=sources)) as rig:
        tasks = (make_task(f"r{number}@{'ab'[number % 2]}.test") for number in range(40))
        routes = {name: route_to(mx, key=name) for name in ("a.test", "b.test")}
        outcomes = (rig.outcome(routes[each.envelopes[0].recipient.partition("@")[2]], each) for each in tasks)
        assert {type(each) for each in await asyncio.gather(*outcomes)} == {Delivered}
        assert mx.most_open == most


async def test_routes_that_meet_at_a_host_share_its_limit() -> None:
    async with FakeMx(SLOW) as mx, relay_rig(limits=OutboundLimits(connections_per_host=2, keepalive_seconds=0)) as rig:
        many = (deliver_many(rig, mx, 4, key=f"route {number}") for number in range(4))
        assert await asyncio.gather(*many) == [[Delivered] * 4] * 4
        assert mx.most_open == 2


async def test_an_idle_connection_gives_its_place_to_a_route_that_needs_it() -> None:
    # Domains that share a host once waited for each other's keep-alive time: thirty of them took minutes.
    limits = OutboundLimits(connections_per_host=2, keepalive_seconds=30)
    async with FakeMx() as mx, relay_rig(limits=limits) as rig:
        async with asyncio.timeout(5):
            for number in range(30):
                assert await deliver_many(rig, mx, 1, key=f"route {number}") == [Delivered]
            many = (deliver_many(rig, mx, 2, key=f"other {number}") for number in range(30))
            assert await asyncio.gather(*many) == [[Delivered] * 2] * 30
        assert mx.most_open <= 3  # one may be on its way out while the next comes in


async def test_an_idle_connection_is_kept_while_nobody_needs_its_place() -> None:
    limits = OutboundLimits(connections_per_host=2, keepalive_seconds=30)
    async with FakeMx() as mx, relay_rig(limits=limits) as rig:
        for _ in range(5):
            assert await deliver_many(rig, mx, 1) == [Delivered]
        assert len(mx.sessions) == 1


async def test_a_connection_ends_after_its_messages() -> None:
    limits = OutboundLimits(messages_per_session=2, connections_per_route=1)
    async with FakeMx() as mx, relay_rig(limits=limits) as rig:
        assert await deliver_many(rig, mx, 5) == [Delivered] * 5
        await asyncio.sleep(0.02)
        assert [each.verbs().count("MAIL") for each in mx.sessions] == [2, 2, 1]
        assert [each.verbs()[-1] for each in mx.sessions[:2]] == ["QUIT", "QUIT"]


async def test_recipients_beyond_the_limit_go_in_further_transactions() -> None:
    recipients = [f"r{number}@mx.test" for number in range(5)]
    async with FakeMx() as mx, relay_rig(limits=OutboundLimits(recipients_per_transaction=2)) as rig:
        receipt = await rig.deliver(route_to(mx), make_task(*recipients))
        assert [len(each.addresses) for each in mx.transactions] == [2, 2, 1]
        assert len(mx.sessions) == 1
    assert [type(each) for each in receipt.outcomes.values()] == [Delivered] * 5


async def test_an_idle_route_is_forgotten() -> None:
    async with FakeMx() as mx, relay_rig(limits=OutboundLimits(keepalive_seconds=0)) as rig:
        assert await deliver_many(rig, mx, 1) == [Delivered]
        await asyncio.sleep(0.05)
        assert rig.pool.queues() == []
        assert mx.open_sessions == 0


async def test_an_idle_connection_that_the_next_hop_closes_is_forgotten() -> None:
    async with relay_rig() as rig:
        async with FakeMx() as mx:
            assert await deliver_many(rig, mx, 1) == [Delivered]
            assert rig.pool.queues()[0].connections == 1
        await asyncio.sleep(0.05)
        assert rig.pool.queues() == []


async def test_closing_defers_what_waits_and_finishes_what_is_on_its_way() -> None:
    async with FakeMx(SLOW) as mx, relay_rig(limits=OutboundLimits(connections_per_route=1)) as rig:
        work = asyncio.create_task(deliver_many(rig, mx, 3))
        while not any("MAIL" in each.verbs() for each in mx.sessions):  # noqa: ASYNC110 - the peer has no event of it
            await asyncio.sleep(0.001)
        await rig.pool.close()
        assert sorted(each.__name__ for each in await work) == ["Deferred", "Deferred", "Delivered"]
        assert isinstance(await rig.outcome(route_to(mx), make_task()), Delivered | Deferred)


async def test_a_caller_that_gives_up_while_waiting_is_passed_over() -> None:
    async with FakeMx(SLOW) as mx, relay_rig(limits=OutboundLimits(connections_per_route=1)) as rig:
        first = asyncio.create_task(deliver_many(rig, mx, 1))
        await asyncio.sleep(0)
        second = asyncio.create_task(rig.outcome(route_to(mx), make_task()))
        await asyncio.sleep(0)
        second.cancel()
        assert await first == [Delivered]
        assert await deliver_many(rig, mx, 1) == [Delivered]
        assert len(mx.contents) == 2


def test_a_connection_counts_on_all_axes() -> None:
    counts = ConnectionCounts()
    one, other = ([Bound(("relay", "out"), 2), Bound(("host", host), 1)] for host in "ab")
    assert counts.wait_seconds(one, 0.0) == 0
    counts.take(one, 0.0)
    assert counts.wait_seconds(one, 0.0) == math.inf
    assert counts.count(("relay", "out")) == 1
    counts.take(other, 0.0)
    counts.release(one)
    counts.release(other)
    assert counts.wait_seconds(one, 0.0) == 0


def test_room_is_offered_to_one_after_the_other_until_somebody_takes_it() -> None:
    counts = ConnectionCounts()
    bounds = [Bound(("relay", "out"), 1), Bound(("host", "a"), 1)]
    counts.take(bounds, 0.0)
    told: list[str] = []

    def waiter(name: str, *, takes: bool) -> Waiter:
        def call(key: Key) -> bool:
            told.append(f"{name} {key[1]}")
            return takes

        return call

    for name, takes in (("bored", False), ("first", True), ("second", True)):
        counts.wait(bounds[:1], waiter(name, takes=takes))
    counts.release(bounds)
    assert told == ["bored out", "first out"]
    counts.offer(("relay", "out"))
    counts.offer(("relay", "out"))
    assert told[2:] == ["second out"]


async def test_a_thousand_queues_that_wait_for_one_connection_all_have_their_turn() -> None:
    limits = OutboundLimits(connections_per_relay=2, keepalive_seconds=0)
    async with FakeMx() as mx, relay_rig(limits=limits) as rig, asyncio.timeout(30):
        many = (rig.outcome(route_to(mx, key=f"route {number}"), make_task()) for number in range(1_000))
        assert {type(each) for each in await asyncio.gather(*many)} == {Delivered}
        assert mx.most_open <= 2
    assert rig.pool.queues() == []


def test_openings_on_an_axis_keep_their_distance() -> None:
    counts = ConnectionCounts()
    bounds = [Bound(("route", "a"), 5, 5.0), Bound(("relay", "out"), 5, 2.0)]
    counts.take(bounds, 100.0)
    assert counts.wait_seconds(bounds, 100.0) == 5.0
    assert counts.wait_seconds(bounds[1:], 101.0) == 1.0
    assert counts.wait_seconds(bounds, 105.0) == 0.0
