"""A message to a next hop that plays by the rules: what arrives, what is said, what is reported."""

import asyncio

import pytest

from paquebot_mta.mail.envelope import Envelope, Notify
from paquebot_mta.mail.ids import Evpid
from paquebot_mta.mail.outcome import Deferred, Delivered, Failed
from paquebot_mta.mail.reply import Reply
from tests.mta.deliver.relay_rig import CONTENT, denied, make_task, relay_rig, route_to
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import EXTENSIONS, Script

LOCKSTEP = tuple(each for each in EXTENSIONS if each != "PIPELINING")


@pytest.mark.parametrize("extensions", [EXTENSIONS, LOCKSTEP, ()])
async def test_content_arrives_byte_for_byte(extensions: tuple[str, ...]) -> None:
    async with FakeMx(Script(extensions=extensions)) as mx, relay_rig() as rig:
        receipt = await rig.deliver(route_to(mx), make_task("a@mx.test", "b@mx.test"))
        (arrived,) = await mx.wait_for_transactions(1)
    assert arrived.content == CONTENT
    assert arrived.addresses == ("a@mx.test", "b@mx.test")
    assert arrived.helo == "out.origin.test"
    assert set(map(type, receipt.outcomes.values())) == {Delivered}
    assert receipt.relay == "127.0.0.1 (mx.test)"
    assert receipt.source == "127.0.0.1"
    assert mx.sessions[0].violations == []
    assert mx.sessions[0].has_pipelined == ("PIPELINING" in extensions)


async def test_large_content_in_chunks_arrives_whole() -> None:
    chunks = [b"." + b"x" * 997 + b"\r\n"] * 3000
    async with FakeMx() as mx, relay_rig() as rig:
        assert isinstance(await rig.outcome(route_to(mx), make_task(content=chunks)), Delivered)
        assert mx.contents == [b"".join(chunks)]


async def test_outcome_carries_the_reply() -> None:
    async with FakeMx(Script({"DOT": "250 2.0.0 queued as 42"}, extensions=())) as mx, relay_rig() as rig:
        assert await rig.outcome(route_to(mx), make_task()) == Delivered(
            Reply(250, "queued as 42", "2.0.0", remote=True)
        )


async def test_recipients_have_outcomes_of_their_own() -> None:
    script = Script({"RCPT b@mx.test": "550 5.1.1 unknown", "RCPT c@mx.test": "451 4.7.1 greylisted"})
    async with FakeMx(script) as mx, relay_rig() as rig:
        receipt = await rig.deliver(route_to(mx), make_task("a@mx.test", "b@mx.test", "c@mx.test"))
        assert mx.transactions[0].addresses == ("a@mx.test",)
    assert receipt.outcomes == {
        Evpid("0badcafe00000001"): Delivered(Reply(250, "taken", "2.0.0", remote=True), dsn_passed=True),
        Evpid("0badcafe00000002"): Failed(Reply(550, "unknown", "5.1.1", remote=True)),
        Evpid("0badcafe00000003"): Deferred(Reply(451, "greylisted", "4.7.1", remote=True)),
    }


async def test_parameters_are_sent_when_offered() -> None:
    envelope = Envelope(
        Evpid("0badcafe00000001"),
        "a@mx.test",
        "a@mx.test",
        "out",
        notify=Notify.SUCCESS | Notify.FAILURE,
        original_recipient="rfc822;a@mx.test",
    )
    task = make_task(envelopes=(envelope,), body="8BITMIME", smtputf8=True, dsn_return="HDRS", dsn_envelope_id="QQ+2B1")
    async with FakeMx() as mx, relay_rig() as rig:
        outcome = await rig.outcome(route_to(mx), task)
        assert outcome == Delivered(Reply(250, "taken", "2.0.0", remote=True), dsn_passed=True)
        (arrived,) = mx.transactions
    size = f"SIZE={len(CONTENT)}"
    assert arrived.sender.parameters == (size, "BODY=8BITMIME", "SMTPUTF8", "RET=HDRS", "ENVID=QQ+2B1")
    assert arrived.recipients[0].parameters == ("NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;a@mx.test")


@pytest.mark.parametrize(
    ("offered", "expected"),
    [(("DSN", "SMTPUTF8", "8BITMIME"), "ORCPT=utf-8;grüße@x.test"), (("DSN",), "ORCPT=utf-8;gr\\x{FC}\\x{DF}e@x.test")],
)
async def test_an_international_orcpt_is_escaped_for_a_next_hop_without_smtputf8(
    offered: tuple[str, ...], expected: str
) -> None:
    original = "utf-8;grüße@x.test"
    envelope = Envelope(Evpid("0badcafe00000001"), "a@mx.test", "a@mx.test", "out", original_recipient=original)
    async with FakeMx(Script(extensions=offered)) as mx, relay_rig() as rig:
        outcome = await rig.outcome(route_to(mx), make_task(envelopes=(envelope,)))
        assert mx.transactions[0].recipients[0].parameters == (expected,)
    assert isinstance(outcome, Delivered)


async def test_no_parameter_is_sent_that_was_not_offered() -> None:
    task = make_task(body="8BITMIME", smtputf8=True, dsn_return="FULL", dsn_envelope_id="x")
    async with FakeMx(Script(extensions=())) as mx, relay_rig() as rig:
        outcome = await rig.outcome(route_to(mx), task)
        assert mx.transactions[0].sender.parameters == ()
    assert isinstance(outcome, Delivered)
    assert not outcome.dsn_passed


async def test_message_over_the_peers_size_fails_at_once() -> None:
    async with FakeMx(Script(extensions=("SIZE 10",))) as mx, relay_rig() as rig:
        outcome = await rig.outcome(route_to(mx), make_task())
        assert "MAIL" not in mx.sessions[0].verbs()
    assert outcome == Failed(Reply(552, "Message too large for peer", "5.3.4"))


@pytest.mark.parametrize(
    ("recipient", "content", "smtputf8", "expected"),
    [
        ("ü@mx.test", CONTENT, False, Failed),
        ("a@mx.test", "Subject: ü\r\n\r\n".encode(), True, Failed),
        ("a@mx.test", "Subject: u\r\n\r\nü\r\n".encode(), True, Delivered),
    ],
)
async def test_only_what_needs_smtputf8_fails_without_it(
    recipient: str, content: bytes, smtputf8: bool, expected: type
) -> None:
    async with FakeMx(Script(extensions=("8BITMIME",))) as mx, relay_rig() as rig:
        outcome = await rig.outcome(route_to(mx), make_task(recipient, content=content, smtputf8=smtputf8))
    assert isinstance(outcome, expected)
    assert isinstance(outcome, Delivered) or outcome.reply.status == "5.6.7"


async def test_binary_content_fails_at_once() -> None:
    async with FakeMx() as mx, relay_rig() as rig:
        outcome = await rig.outcome(route_to(mx), make_task(body="BINARYMIME"))
        assert "MAIL" not in mx.sessions[0].verbs()
    assert (type(outcome), outcome.reply.status) == (Failed, "5.6.3")


async def test_messages_share_a_connection() -> None:
    async with FakeMx() as mx, relay_rig() as rig:
        for _ in range(3):
            assert isinstance(await rig.outcome(route_to(mx), make_task()), Delivered)
        assert len(mx.sessions) == 1
        assert mx.sessions[0].verbs() == ["EHLO", *["MAIL", "RCPT", "DATA"] * 3]


async def test_reset_follows_a_transaction_that_failed() -> None:
    script = Script({"RCPT": ["550 5.1.1 unknown", "250 2.1.5 ok"]})
    async with FakeMx(script) as mx, relay_rig() as rig:
        assert isinstance(await rig.outcome(route_to(mx), make_task()), Failed)
        assert isinstance(await rig.outcome(route_to(mx), make_task()), Delivered)
        assert mx.sessions[0].verbs() == ["EHLO", "MAIL", "RCPT", "DATA", "RSET", "MAIL", "RCPT", "DATA"]


async def test_quit_is_said_in_the_end() -> None:
    async with FakeMx() as mx:
        async with relay_rig() as rig:
            await rig.outcome(route_to(mx), make_task())
        assert mx.sessions[0].verbs()[-1] == "QUIT"


async def test_nothing_is_sent_when_the_queue_changed_hands() -> None:
    task = make_task()
    async with FakeMx() as mx, relay_rig() as rig:
        task = type(task)(task.message, task.envelopes, task.reverse_path, task.content, denied)
        outcome = await rig.outcome(route_to(mx), task)
        await asyncio.sleep(0.01)
        assert mx.transactions == []
    assert isinstance(outcome, Deferred)


async def test_bare_line_ends_are_never_sent() -> None:
    async with FakeMx() as mx, relay_rig() as rig:
        outcome = await rig.outcome(route_to(mx), make_task(content=b"a\r\n\n.\r\n"))
        await asyncio.sleep(0.01)
        assert mx.transactions == []
    assert isinstance(outcome, Failed)
    assert outcome.reply.status == "5.6.0"


async def test_success_is_reported_in_order() -> None:
    async with FakeMx(Script(extensions=("PIPELINING",))) as mx, relay_rig() as rig:
        await rig.outcome(route_to(mx), make_task())
        await rig.pool.close()
        port = mx.port
    size = len(CONTENT)
    events = rig.reports()
    assert events[0].startswith("link-connect|mx.test|error|127.0.0.1:")
    assert events[0].endswith(f"|127.0.0.1:{port}")
    assert events[1:] == [
        "protocol-server|220 mx.test ESMTP",
        "link-greeting|mx.test",
        "protocol-client|EHLO out.origin.test",
        "link-identify|EHLO|out.origin.test",
        "protocol-server|250-mx.test",
        "protocol-server|250 PIPELINING",
        "protocol-client|MAIL FROM:<sender@origin.test>",
        "protocol-server|250 2.1.0 sender ok",
        "tx-begin|0badcafe",
        "tx-mail|0badcafe|ok|sender@origin.test",
        "tx-envelope|0badcafe|0badcafe00000001",
        "protocol-client|RCPT TO:<rcpt@mx.test>",
        "protocol-server|250 2.1.5 recipient ok",
        "tx-rcpt|0badcafe|ok|rcpt@mx.test",
        "protocol-client|DATA",
        "protocol-server|354 go ahead",
        "tx-data|0badcafe|ok",
        "protocol-client|.",
        "protocol-server|250 2.0.0 taken",
        f"tx-commit|0badcafe|{size}",
        "tx-reset|0badcafe",
        "protocol-client|QUIT",
        "protocol-server|221 2.0.0 bye",
        "link-disconnect",
    ]


async def test_a_failed_transaction_is_rolled_back_once() -> None:
    async with FakeMx(Script({"RCPT": "550 5.1.1 unknown"})) as mx, relay_rig() as rig:
        await rig.outcome(route_to(mx), make_task())
    names = ("tx-begin", "tx-commit", "tx-rollback", "tx-reset")
    assert rig.reports(*names) == ["tx-begin|0badcafe", "tx-rollback|0badcafe", "tx-reset|0badcafe"]


async def test_a_refused_mail_has_no_transaction() -> None:
    async with FakeMx(Script({"MAIL": "550 5.7.1 no"})) as mx, relay_rig() as rig:
        assert await rig.outcome(route_to(mx), make_task()) == Failed(Reply(550, "no", "5.7.1", remote=True))
    assert not [each for each in rig.reports() if each.startswith("tx-")]
