"""Whose words an outcome is in, and whether anybody was reached: what a notification may say of a server."""

import pytest

from paquebot_mta.config.service import OutboundDelays
from paquebot_mta.route.hops import NextHop
from tests.mta.deliver.relay_rig import impatient, make_task, relay_rig, route_to
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import DROP, STALL, Script, Steps
from tests.support.processes import free_port

HOP = "127.0.0.1 (mx.test)"


async def told(replies: dict[str, Steps], *recipients: str, extensions: tuple[str, ...] = ()) -> list[tuple[str, bool]]:
    """Deliver to a server that was reached; gives the text of each outcome and whether the server said it."""
    script = Script(replies, extensions=extensions)
    async with FakeMx(script) as mx, relay_rig(timeouts=impatient(banner=0.1, final_dot=0.1)) as rig:
        receipt = await rig.deliver(route_to(mx), make_task(*recipients))
    assert (receipt.relay, receipt.reached) == (HOP, True)
    return [(each.reply.text, each.reply.remote) for each in receipt.outcomes.values()]


@pytest.mark.parametrize(
    ("replies", "text"),
    [
        ({}, "taken"),
        ({"BANNER": "451 4.3.2 busy"}, "busy"),
        ({"MAIL": "550 5.7.1 no"}, "no"),
        ({"RCPT": "550 5.1.1 unknown"}, "unknown"),
        ({"DATA": "451 4.3.0 later"}, "later"),
        ({"DOT": "554 5.7.1 spam"}, "spam"),
    ],
)
async def test_what_a_server_says_is_its_own(replies: dict[str, Steps], text: str) -> None:
    assert await told(replies) == [(text, True)]


@pytest.mark.parametrize(
    ("replies", "extensions", "text"),
    [
        ({}, ("SIZE 10",), "Message too large for peer"),
        ({"BANNER": "554 5.7.1 go away"}, (), "Next hop refused banner: 554 5.7.1 go away"),
        ({"RCPT": "354 what"}, (), "Unexpected reply of next hop: 354 what"),
        ({"BANNER": STALL}, (), "Network error on destination MXs: Connection timed out"),
        ({"BANNER": DROP}, (), "Network error on destination MXs: Connection closed by the next hop"),
        ({"DOT": STALL}, (), "Connection lost after the end of data: the message may have been delivered"),
    ],
)
async def test_what_we_say_of_a_server_is_ours(
    replies: dict[str, Steps], extensions: tuple[str, ...], text: str
) -> None:
    assert await told(replies, extensions=extensions) == [(text, False)]


async def test_a_reply_that_we_judge_otherwise_is_quoted_as_ours() -> None:
    found = await told({"RCPT": ["250 2.1.5 ok", "552 5.5.3 too many"]}, "a@mx.test", "b@mx.test")
    assert found == [("taken", True), ("Next hop takes no more recipients: 552 5.5.3 too many", False)]


async def test_a_server_that_cannot_be_reached_said_nothing() -> None:
    async with relay_rig() as rig:
        receipt = await rig.deliver(route_to(free_port()), make_task())
    assert (receipt.relay, receipt.reached) == (HOP, False)
    (outcome,) = receipt.outcomes.values()
    assert not outcome.reply.remote
    assert "connection refused" in outcome.reply.text


async def test_a_route_that_rests_reaches_nobody() -> None:
    async with relay_rig(delays=OutboundDelays(reconnect=0.0)) as rig:
        route = route_to(free_port())
        await rig.deliver(route, make_task())
        receipt = await rig.deliver(route, make_task())
    (outcome,) = receipt.outcomes.values()
    assert (receipt.relay, receipt.reached, outcome.reply.remote) == (HOP, False, False)


async def test_the_hop_that_is_named_is_the_one_that_said_it() -> None:
    async with FakeMx(Script({"BANNER": "451 4.3.2 busy"})) as mx, relay_rig() as rig:
        first = NextHop("busy.test", "127.0.0.1", mx.port, 1)
        receipt = await rig.deliver(route_to(first, NextHop("dead.test", "127.0.0.1", free_port(), 2)), make_task())
    (outcome,) = receipt.outcomes.values()
    assert (outcome.reply.text, outcome.reply.remote) == ("busy", True)
    assert (receipt.relay, receipt.reached) == ("127.0.0.1 (busy.test)", True)
