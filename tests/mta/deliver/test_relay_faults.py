"""A next hop that refuses, drops, stalls or lies in each phase: an outcome for all, nothing lost, nothing doubled."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from msgspec.structs import replace

from paquebot_mta.config.service import OutboundDelays, OutboundLimits, Penalties
from paquebot_mta.deliver.transport import Task
from paquebot_mta.mail.outcome import Deferred, Delivered, Failed
from paquebot_mta.telemetry.events import Notice
from tests.mta.deliver.relay_rig import denied, impatient, make_task, relay_rig, route_to
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import DROP, EXTENSIONS, RESET, STALL, Answer, Script, Step, Then
from tests.support.processes import free_port

LOCKSTEP = tuple(each for each in EXTENSIONS if each != "PIPELINING")
PHASES = ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "BODY", "DOT")
HASTY = impatient(banner=0.05, command=0.05, mail=0.05, recipient=0.05, data=0.05, block=0.05, final_dot=0.05)
SMALL_FLIGHT = pytest.mark.parametrize("extensions", [EXTENSIONS, LOCKSTEP])


@SMALL_FLIGHT
@pytest.mark.parametrize("how", [DROP, RESET, Answer("421 4.3.2 going down", Then.CLOSE)])
@pytest.mark.parametrize("phase", PHASES)
async def test_a_lost_connection_defers(phase: str, how: Answer, extensions: tuple[str, ...]) -> None:
    async with FakeMx(Script({phase: how}, extensions=extensions)) as mx, relay_rig() as rig:
        outcome = await rig.outcome(route_to(mx), make_task())
    assert isinstance(outcome, Deferred)
    assert len(rig.reports("tx-begin")) == len(rig.reports("tx-rollback")) == len(rig.reports("tx-reset"))
    assert rig.reports()[-1] == "link-disconnect"


@SMALL_FLIGHT
@pytest.mark.parametrize("phase", PHASES)
async def test_a_stall_defers_after_the_deadline(phase: str, extensions: tuple[str, ...]) -> None:
    async with FakeMx(Script({phase: STALL}, extensions=extensions)) as mx, relay_rig(timeouts=HASTY) as rig:
        outcome = await rig.outcome(route_to(mx), make_task())
    assert isinstance(outcome, Deferred)
    assert rig.reports("timeout", "link-disconnect") == ["timeout", "link-disconnect"]


@pytest.mark.parametrize("said", [b"220-wait a moment ", b"220-more\r\n"], ids=["one-line", "many-lines"])
async def test_a_reply_that_comes_byte_by_byte_has_one_deadline(said: bytes) -> None:
    """Nobody who never ends a reply is waited for, however busy he is."""

    ended = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            for byte in itertools.cycle(said):
                if reader.at_eof() or writer.is_closing():
                    break
                writer.write(bytes((byte,)))
                await asyncio.sleep(0.01)
        writer.close()
        ended.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    route = route_to(server.sockets[0].getsockname()[1])
    async with server, relay_rig(timeouts=impatient(banner=0.2)) as rig, asyncio.timeout(3):
        assert isinstance(await rig.outcome(route, make_task()), Deferred)
        await ended.wait()
    assert rig.reports("timeout", "link-disconnect") == ["timeout", "link-disconnect"]


@SMALL_FLIGHT
@pytest.mark.parametrize("phase", ["MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize(("reply", "expected"), [("450 4.2.0 later", Deferred), ("554 5.7.1 never", Failed)])
async def test_a_refusal_is_the_outcome(phase: str, reply: str, expected: type, extensions: tuple[str, ...]) -> None:
    async with FakeMx(Script({phase: reply}, extensions=extensions)) as mx, relay_rig() as rig:
        outcome = await rig.outcome(route_to(mx), make_task())
        assert len(mx.sessions) == 1
    assert isinstance(outcome, expected)
    assert str(outcome.reply) == reply


@SMALL_FLIGHT
@pytest.mark.parametrize(
    ("phase", "reply"), [("MAIL", "354 go"), ("RCPT", "354 go"), ("DATA", "250 ok"), ("DOT", "354 go")]
)
async def test_a_positive_reply_out_of_place_is_never_delivered(
    phase: str, reply: str, extensions: tuple[str, ...]
) -> None:
    async with FakeMx(Script({phase: reply}, extensions=extensions)) as mx, relay_rig(timeouts=HASTY) as rig:
        assert isinstance(await rig.outcome(route_to(mx), make_task()), Deferred)


@SMALL_FLIGHT
@pytest.mark.parametrize("early", ["250 2.0.0 taken", "550 5.7.1 no", "250"])
async def test_a_reply_that_comes_before_the_dot_is_no_answer_to_it(early: str, extensions: tuple[str, ...]) -> None:
    replies = {"DATA": f"354 go ahead\r\n{early}", "DOT": "451 4.3.0 disk full"}
    async with FakeMx(Script(replies, extensions=extensions)) as mx, relay_rig(timeouts=HASTY) as rig:
        assert isinstance(await rig.outcome(route_to(mx), make_task()), Deferred)
        assert not mx.transactions


async def test_data_let_in_for_nobody_is_ended_with_a_lone_dot() -> None:
    script = Script({"RCPT": "550 5.1.1 unknown", "DATA": "354 go", "DOT": "250 2.0.0 taken by nobody"})
    async with FakeMx(script) as mx, relay_rig() as rig:
        assert isinstance(await rig.outcome(route_to(mx), make_task()), Failed)
        assert mx.contents == [b""]


async def test_a_connection_lost_after_the_dot_may_be_a_duplicate() -> None:
    async with FakeMx(Script({"DOT": DROP})) as mx, relay_rig() as rig:
        outcome = await rig.outcome(route_to(mx), make_task())
        assert len(mx.transactions) == 1
    assert isinstance(outcome, Deferred)
    assert "may have been delivered" in outcome.reply.text


@pytest.mark.parametrize(
    "reply",
    [
        "250-ok\r\n251 mismatch",
        "ok",
        "250ok",
        "99 low",
        "250 \x1b[2J\r",
        "250 " + "x" * 5000,
        "250-x\r\n" * 2000 + "250 x",
    ],
)
@pytest.mark.parametrize("phase", ["BANNER", "EHLO", "MAIL", "DOT"])
async def test_what_is_no_reply_defers(phase: str, reply: str) -> None:
    async with FakeMx(Script({phase: reply})) as mx, relay_rig() as rig:
        assert isinstance(await rig.outcome(route_to(mx), make_task()), Deferred)


async def test_a_flood_of_replies_ends_the_session() -> None:
    async with FakeMx(Script({"MAIL": "250 x\r\n" * 60_000 + "250 x"})) as mx, relay_rig() as rig:
        assert isinstance(await rig.outcome(route_to(mx), make_task()), Deferred | Delivered)
        assert isinstance(await rig.outcome(route_to(mx), make_task()), Deferred | Delivered)
        assert mx.contents == []


async def test_control_characters_never_leave_a_reply() -> None:
    async with FakeMx(Script({"DOT": "550 5.7.1 a\x1b[31m\x07\tb\x85"})) as mx, relay_rig() as rig:
        outcome = await rig.outcome(route_to(mx), make_task())
    assert outcome.reply.text.isprintable()
    assert all(each.isprintable() for each in rig.reports())


@pytest.mark.parametrize("banner", ["421 4.3.2 busy", "450 4.3.2 wait", "554 5.7.1 no service here", DROP, RESET])
async def test_the_next_hop_after_a_bad_one_is_tried(banner: Step) -> None:
    async with FakeMx(Script({"BANNER": banner})) as bad, FakeMx() as good, relay_rig() as rig:
        assert isinstance(await rig.outcome(route_to(bad, good), make_task()), Delivered)
        assert len(bad.sessions) == len(good.sessions) == 1


@pytest.mark.parametrize("banner", ["421 4.3.2 busy", "554 5.7.1 no service here"])
async def test_a_refusing_banner_of_all_hops_defers(banner: str) -> None:
    async with FakeMx(Script({"BANNER": banner})) as mx, relay_rig() as rig:
        outcome = await rig.outcome(route_to(mx), make_task())
    assert isinstance(outcome, Deferred)
    assert banner.split(" ", 2)[2] in outcome.reply.text


async def test_refused_connections_defer_with_the_reason() -> None:
    async with relay_rig() as rig:
        receipt = await rig.deliver(route_to(free_port(), free_port()), make_task("a@mx.test", "b@mx.test"))
    for outcome in receipt.outcomes.values():
        assert isinstance(outcome, Deferred)
        assert str(outcome.reply).startswith("451 4.4.1 Network error on destination MXs: 127.0.0.1 (mx.test): ")
    assert rig.notices() == ["route.disabled"] * 2
    assert rig.reports() == []


async def test_helo_follows_an_ehlo_that_is_not_known() -> None:
    async with FakeMx(Script({"EHLO": "500 5.5.1 what?"})) as mx, relay_rig() as rig:
        assert isinstance(await rig.outcome(route_to(mx), make_task()), Delivered)
        assert mx.sessions[0].verbs()[:2] == ["EHLO", "HELO"]


async def test_a_kept_connection_that_is_gone_is_replaced_without_a_failure() -> None:
    script = Script({"MAIL": ["250 2.1.0 ok", Answer("421 4.4.2 idle too long", Then.CLOSE), "250 2.1.0 ok"]})
    async with FakeMx(script) as mx, relay_rig() as rig:
        for _ in range(2):
            assert isinstance(await rig.outcome(route_to(mx), make_task()), Delivered)
        assert len(mx.sessions) == 2
        assert len(mx.contents) == 2


async def test_a_connection_that_always_dies_is_given_up() -> None:
    async with FakeMx(Script({"EHLO": Answer("250 mx.test", Then.CLOSE)})) as mx, relay_rig() as rig:
        assert isinstance(await rig.outcome(route_to(mx), make_task()), Deferred)
        assert len(mx.sessions) == 1


async def test_refusals_in_a_row_end_the_asking() -> None:
    script = Script({"RCPT": "550 5.1.1 unknown"}, extensions=())
    recipients = [f"r{number}@mx.test" for number in range(40)]
    async with FakeMx(script) as mx, relay_rig(limits=OutboundLimits(failures_per_session=25)) as rig:
        receipt = await rig.deliver(route_to(mx), make_task(*recipients))
        assert mx.sessions[0].verbs().count("RCPT") == 25
    texts = [outcome.reply.text for outcome in receipt.outcomes.values()]
    assert texts == ["unknown"] * 25 + ["Too many consecutive errors, closing connection"] * 15


async def test_too_many_recipients_are_tried_later() -> None:
    script = Script({"RCPT": ["250 2.1.5 ok", "552 5.5.3 too many"]})
    async with FakeMx(script) as mx, relay_rig() as rig:
        receipt = await rig.deliver(route_to(mx), make_task("a@mx.test", "b@mx.test"))
    assert [type(outcome) for outcome in receipt.outcomes.values()] == [Delivered, Deferred]


async def test_a_command_line_is_never_two() -> None:
    async with FakeMx() as mx, relay_rig() as rig:
        outcome = await rig.outcome(route_to(mx), make_task("a@mx.test>\r\nRSET"))
        assert "RSET" not in mx.sessions[0].verbs()
    assert [each.event for each in rig.events if isinstance(each, Notice)] == ["service.fault"]
    assert isinstance(outcome, Deferred)


def unreadable() -> Task:
    def broken() -> AsyncIterator[bytes]:
        raise OSError("disk")

    return replace(make_task(), content=broken)


async def test_unreadable_content_defers() -> None:
    async with FakeMx() as mx, relay_rig() as rig:
        assert isinstance(await rig.outcome(route_to(mx), unreadable()), Deferred)
        assert mx.contents == []


@pytest.mark.parametrize("task", [unreadable(), replace(make_task(), before_final_dot=denied)])
async def test_a_fault_of_our_queue_is_no_fault_of_the_route(task: Task) -> None:
    async with FakeMx() as mx, relay_rig(delays=OutboundDelays(reconnect=0.0)) as rig:
        for _ in range(Penalties().fruitless_message_limit + 1):
            assert isinstance(await rig.outcome(route_to(mx), task), Deferred)
        assert isinstance(await rig.outcome(route_to(mx), make_task()), Delivered)


@pytest.mark.parametrize(("phase", "ambiguous"), [("MAIL", False), ("DATA", False), ("DOT", True)])
async def test_only_an_unanswered_end_of_data_is_ambiguous(phase: str, ambiguous: bool) -> None:
    async with FakeMx(Script({phase: DROP})) as mx, relay_rig() as rig:
        outcome = await rig.outcome(route_to(mx), make_task())
    assert isinstance(outcome, Deferred)
    assert outcome.ambiguous is ambiguous
