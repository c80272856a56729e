"""Connection planning over real connections: slow start, rests of routes, rejected lists, stale connections."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from paquebot_mta.config.service import OutboundDelays, OutboundLimits, Penalties
from paquebot_mta.deliver import reach
from paquebot_mta.mail.outcome import Deferred, Delivered, Failed, Outcome
from paquebot_mta.mail.reply import Reply
from paquebot_mta.route.hops import NextHop, Route
from tests.mta.deliver.relay_rig import Rig, make_task, relay_rig, route_to
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import EXTENSIONS, Answer, Script, Steps, Then
from tests.support.processes import free_port

LOCKSTEP = tuple(each for each in EXTENSIONS if each != "PIPELINING")
BOTH_WAYS = pytest.mark.parametrize("extensions", [EXTENSIONS, LOCKSTEP])
GREYLISTED = "451 4.7.1 greylisted"
DISABLED = Reply(451, "Host temporarily disabled", "4.7.1")
EAGER = OutboundDelays(reconnect=0)
SLOW_DOT = Answer("250 2.0.0 taken", delay_seconds=0.03)


def equals(*servers: FakeMx, key: str = "mx.test") -> Route:
    """Make a route to servers of one preference."""
    return route_to(*(NextHop("mx.test", "127.0.0.1", each.port, 10) for each in servers), key=key)


@asynccontextmanager
async def silent_dial(monkeypatch: pytest.MonkeyPatch, address: str) -> AsyncIterator[list[str]]:
    """Let connections to an address never be answered; gives the attempts."""
    loop = asyncio.get_running_loop()
    real, asked = loop.create_connection, list[str]()

    async def create_connection(factory: Any, host: str, *args: Any, **options: Any) -> Any:
        if host == address:
            asked.append(host)
            await asyncio.Event().wait()
        return await real(factory, host, *args, **options)

    monkeypatch.setattr(loop, "create_connection", create_connection)
    yield asked


async def many(rig: Rig, route: Route, count: int) -> list[Outcome]:
    return list(await asyncio.gather(*(rig.outcome(route, make_task()) for _ in range(count))))


async def test_load_is_spread_over_equal_preferences() -> None:
    script = Script({"DOT": SLOW_DOT})
    limits = OutboundLimits(connections_per_host=100)
    async with FakeMx(script) as one, FakeMx(script) as two, relay_rig(limits=limits) as rig:
        outcomes = await many(rig, equals(one, two), 40)
    assert {type(each) for each in outcomes} == {Delivered}
    assert min(len(one.transactions), len(two.transactions)) >= 10


async def test_a_worse_preference_waits_until_the_better_ones_fail() -> None:
    script = Script({"DOT": SLOW_DOT})
    limits = OutboundLimits(connections_per_host=2)
    better, worse = (NextHop("mx.test", host, 0, place) for place, host in enumerate(("127.0.0.1", "127.0.0.2")))
    async with FakeMx(script) as mx, relay_rig(limits=limits) as rig:
        route = route_to(NextHop("a.test", better.address, mx.port, 1), NextHop("b.test", worse.address, mx.port, 2))
        assert {type(each) for each in await many(rig, route, 20)} == {Delivered}
        assert mx.most_open == 2
    assert rig.notices() == []  # nobody listens at the worse one: to try it would disable it


async def test_connections_double_as_long_as_they_prove_themselves() -> None:
    script = Script({"BANNER": Answer("220 mx.test ESMTP", delay_seconds=0.02), "DOT": SLOW_DOT})
    limits = OutboundLimits(connections_per_route=50, connections_per_host=50)
    async with FakeMx(script) as mx, relay_rig(limits=limits) as rig:
        work = asyncio.create_task(many(rig, route_to(mx), 60))
        most: list[int] = []
        while not work.done():
            await asyncio.sleep(0.001)
            unproven = sum(not each.commands for each in mx.sessions if each.is_open)
            most.append(unproven - max(1, sum(bool(each.commands) for each in mx.sessions)))
        assert {type(each) for each in work.result()} == {Delivered}
        assert 4 < len(mx.sessions) < 50
    assert max(most) <= 0


async def test_two_queues_that_share_a_new_route_probe_it_with_one_connection() -> None:
    script = Script({"BANNER": Answer("220 mx.test ESMTP", delay_seconds=0.05)})
    async with FakeMx(script) as mx, relay_rig() as rig:
        work = asyncio.gather(*(many(rig, route_to(mx, key=key), 3) for key in ("one", "two", "three")))
        while not mx.sessions:  # noqa: ASYNC110 - the peer has no event of it
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.03)
        assert len(mx.sessions) == 1
        assert {type(each) for outcomes in await work for each in outcomes} == {Delivered}


async def test_mail_for_a_resting_route_is_held_until_it_may_be_used() -> None:
    port = free_port()
    async with relay_rig() as rig:
        route = route_to(port)
        first = await rig.outcome(route, make_task())
        assert isinstance(first, Deferred)
        assert first.retry_after_seconds is None
        rig.clock.advance(5)
        held = await rig.outcome(route, make_task())
        assert isinstance(held, Deferred)
        assert str(held.reply) == "451 4.4.1 Network error on destination MXs"
        assert held.retry_after_seconds == pytest.approx(10, abs=0.5)
        async with FakeMx(port=port) as mx:
            rig.clock.advance(10.1)
            assert isinstance(await rig.outcome(route, make_task()), Delivered)
            assert len(mx.sessions) == 1
    assert rig.notices() == ["route.disabled", "route.enabled"]


async def test_a_resting_host_leaves_the_others_of_its_set_in_use() -> None:
    async with FakeMx() as mx, relay_rig() as rig:
        route = route_to(free_port(), mx)
        assert {type(each) for each in await many(rig, route, 5)} == {Delivered}
        assert [(each.flags, each.penalty) for each in rig.routes()] == [("NDQ-", 1), ("----", 0)]
        assert isinstance(await rig.outcome(route, make_task()), Delivered)
    assert rig.notices() == ["route.disabled"]


@BOTH_WAYS
async def test_ten_refusals_in_a_row_leave_the_rest_of_a_list_unsent(extensions: tuple[str, ...]) -> None:
    async with FakeMx(Script({"RCPT": GREYLISTED}, extensions=extensions)) as mx, relay_rig() as rig:
        receipt = await rig.deliver(route_to(mx), make_task(*(f"r{number}@mx.test" for number in range(40))))
        assert [each.verbs().count("RCPT") for each in mx.sessions] == [10]
    outcomes = list(receipt.outcomes.values())
    assert [str(each.reply) for each in outcomes[:10]] == [GREYLISTED] * 10
    assert {type(each) for each in outcomes} == {Deferred}
    assert {each.retry_after_seconds for each in outcomes[:10] if isinstance(each, Deferred)} == {None}
    for each in outcomes[10:]:
        assert isinstance(each, Deferred)
        assert each.reply == DISABLED
        assert each.retry_after_seconds == pytest.approx(400, abs=1)


@BOTH_WAYS
async def test_a_list_of_single_recipients_is_not_hammered_through(extensions: tuple[str, ...]) -> None:
    async with FakeMx(Script({"RCPT": GREYLISTED}, extensions=extensions)) as mx, relay_rig() as rig:
        outcomes = await many(rig, route_to(mx), 200)
        asked = sum(each.verbs().count("RCPT") for each in mx.sessions)
        held = [each for each in outcomes if each.reply == DISABLED]
        assert 10 <= asked <= 10 + 5
        assert len(held) == 200 - asked
        waits = [each.retry_after_seconds for each in held if isinstance(each, Deferred)]
        assert all(wait is not None and 399 <= wait <= 402 for wait in waits)
        assert isinstance(await rig.outcome(route_to(mx, key="another domain"), make_task()), Deferred)
        assert sum(each.verbs().count("RCPT") for each in mx.sessions) == asked
        mx.script = Script()
        rig.clock.advance(400.5)
        assert isinstance(await rig.outcome(route_to(mx), make_task()), Delivered)


@BOTH_WAYS
async def test_one_accepted_recipient_in_ten_keeps_a_list_going(extensions: tuple[str, ...]) -> None:
    script = Script({"RCPT": [*[GREYLISTED] * 9, "250 2.1.5 ok"] * 4 + [GREYLISTED]}, extensions=extensions)
    async with FakeMx(script) as mx, relay_rig() as rig:
        receipt = await rig.deliver(route_to(mx), make_task(*(f"r{number}@mx.test" for number in range(40))))
        assert mx.sessions[0].verbs().count("RCPT") == 40
        assert len(mx.transactions[0].recipients) == 4
    assert Counter(type(each) for each in receipt.outcomes.values()) == {Delivered: 4, Deferred: 36}


async def test_those_accepted_before_a_row_of_refusals_get_the_message() -> None:
    script = Script({"RCPT": ["250 2.1.5 ok", *[GREYLISTED] * 50]})
    async with FakeMx(script) as mx, relay_rig() as rig:
        receipt = await rig.deliver(route_to(mx), make_task(*(f"r{number}@mx.test" for number in range(30))))
        assert [each.addresses for each in mx.transactions] == [("r0@mx.test",)]
        assert mx.sessions[0].violations == []
    assert Counter(type(each) for each in receipt.outcomes.values()) == {Delivered: 1, Deferred: 29}


async def test_a_server_that_takes_few_recipients_at_a_time_is_not_punished() -> None:
    script = Script({"RCPT": [*["250 2.1.5 ok"] * 5, *["452 4.5.3 too many recipients"] * 20]})
    async with FakeMx(script) as mx, relay_rig() as rig:
        receipt = await rig.deliver(route_to(mx), make_task(*(f"r{number}@mx.test" for number in range(25))))
    assert Counter(type(each) for each in receipt.outcomes.values()) == {Delivered: 5, Deferred: 20}
    assert rig.notices() == []


async def test_unknown_users_do_not_disable_a_route() -> None:
    async with FakeMx(Script({"RCPT": "550 5.1.1 unknown"})) as mx, relay_rig() as rig:
        outcomes = await many(rig, route_to(mx), 40)
    assert {type(each) for each in outcomes} == {Failed}
    assert rig.notices() == []


@pytest.mark.parametrize("phase", ["MAIL", "DATA", "DOT"])
async def test_ten_messages_without_a_delivery_disable_a_route(phase: str) -> None:
    limits = OutboundLimits(connections_per_route=1)
    async with FakeMx(Script({phase: "450 4.3.0 later"})) as mx, relay_rig(limits=limits) as rig:
        outcomes = await many(rig, route_to(mx), 30)
        assert sum(each.verbs().count("MAIL") for each in mx.sessions) == 10
    assert [each.reply == DISABLED for each in outcomes] == [False] * 10 + [True] * 20


async def test_a_connection_that_was_closed_while_idle_is_replaced_at_once() -> None:
    """Neither a kept connection nor one that was opened for nothing may cost a task its try."""
    async with relay_rig() as rig:
        port = free_port()
        async with FakeMx(Script({"DOT": SLOW_DOT}), port=port):
            assert {type(each) for each in await many(rig, route_to(port), 8)} == {Delivered}
        async with FakeMx(port=port) as again:
            assert {type(each) for each in await many(rig, route_to(port), 8)} == {Delivered}
            assert len(again.transactions) == 8


@pytest.mark.parametrize("verb", ["MAIL", "RSET"])
async def test_a_kept_connection_that_dies_as_it_is_used_again_is_replaced(verb: str) -> None:
    """The race: the server closes while the command is on its way."""
    replies: dict[str, Steps] = {"MAIL": ["250 2.1.0 ok", Answer(None, Then.CLOSE), "250 2.1.0 ok"]}
    if verb == "RSET":
        replies = {"RSET": Answer(None, Then.CLOSE), "RCPT": ["450 4.2.0 later", "250 2.1.5 ok"]}
    script = Script(replies)
    async with FakeMx(script) as mx, relay_rig(delays=EAGER) as rig:
        await rig.outcome(route_to(mx), make_task())
        assert isinstance(await rig.outcome(route_to(mx), make_task()), Delivered)
        assert len(mx.sessions) == 2


async def test_after_a_broken_connection_the_next_one_waits() -> None:
    script = Script({"DATA": [Answer(None, Then.CLOSE), "354 go"]})
    async with FakeMx(script) as mx, relay_rig(delays=OutboundDelays(reconnect=0.08)) as rig:
        loop = asyncio.get_running_loop()
        assert isinstance(await rig.outcome(route_to(mx), make_task()), Deferred)
        began = loop.time()
        assert isinstance(await rig.outcome(route_to(mx), make_task()), Delivered)
        assert loop.time() - began >= 0.06


async def test_connections_of_a_route_keep_their_distance() -> None:
    limits = OutboundLimits(messages_per_session=1)
    async with FakeMx() as mx, relay_rig(limits=limits, delays=OutboundDelays(route=0.05)) as rig:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert {type(each) for each in await many(rig, route_to(mx), 3)} == {Delivered}
        assert loop.time() - began >= 0.09
        assert len(mx.sessions) == 3


async def test_a_family_that_does_not_answer_holds_the_other_up_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reach, "FAMILY_SECONDS", 0.05)
    async with FakeMx() as mx, silent_dial(monkeypatch, "2001:db8::1"), relay_rig() as rig:
        six, four = NextHop("mx.test", "2001:db8::1", 25), NextHop("mx.test", "127.0.0.1", mx.port)
        async with asyncio.timeout(1):
            assert {type(each) for each in await many(rig, route_to(six, four), 3)} == {Delivered}
        assert {each.address: each.disabled for each in rig.routes()} == {"2001:db8::1": "net", "127.0.0.1": None}


async def test_a_slow_family_has_its_full_time_when_the_other_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "FAMILY_SECONDS", 0.02)
    async with silent_dial(monkeypatch, "2001:db8::1") as asked, relay_rig() as rig:
        six, four = NextHop("mx.test", "2001:db8::1", 25), NextHop("mx.test", "127.0.0.1", free_port())
        work = asyncio.create_task(rig.outcome(route_to(six, four), make_task()))
        await asyncio.sleep(0.08)
        assert asked == ["2001:db8::1"] * 2
        assert not work.done()
        work.cancel()


async def test_an_unreachable_address_never_delays_the_next() -> None:
    six = NextHop("mx.test", "100::1", 25)  # RFC 6666: discarded, or no route at all
    async with FakeMx() as mx, relay_rig() as rig, asyncio.timeout(2.5):
        four = NextHop("mx.test", "127.0.0.1", mx.port)
        assert isinstance(await rig.outcome(route_to(six, four), make_task()), Delivered)


async def test_penalties_outlive_a_pool() -> None:
    async with relay_rig() as rig:
        route = route_to(free_port())
        await rig.outcome(route, make_task())
        async with relay_rig(network=rig.network) as reloaded:
            held = await reloaded.outcome(route, make_task())
    assert isinstance(held, Deferred)
    assert held.retry_after_seconds is not None


async def test_numbers_of_penalties_are_settings() -> None:
    penalties = Penalties(base_seconds=7, consecutive_reject_limit=3, defer_seconds=50)
    async with FakeMx(Script({"RCPT": GREYLISTED})) as mx, relay_rig(penalties=penalties) as rig:
        receipt = await rig.deliver(route_to(mx), make_task(*(f"r{number}@mx.test" for number in range(5))))
        waits = [each.retry_after_seconds for each in receipt.outcomes.values() if isinstance(each, Deferred)]
        assert waits == [None] * 3 + [pytest.approx(50, abs=1)] * 2
        await rig.outcome(route_to(free_port(), key="b"), make_task())
        assert rig.routes()[1].timeout_seconds == pytest.approx(7, abs=1)
