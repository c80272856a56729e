"""Clients that lie, stall, talk too much or leave."""

import asyncio
import time
from pathlib import Path

import pytest

from paquebot_mta.accept.intake import Intake
from paquebot_mta.config.listeners import Listener, ServerAuth, ServerTls
from paquebot_mta.config.service import Limits
from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool.store import SpoolError
from paquebot_mta.telemetry.events import Attempt, LimitHit, Timeout
from tests.mta.accept.conftest import Identity
from tests.mta.accept.support import DictTable, RecordingSpool, serve

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "smtp-smuggling" / "eod-sequences.json"
FAULT = Reply(451, "Temporary failure", "4.3.0")
FULL = Reply(452, "Insufficient system storage", "4.3.1")


async def test_what_was_pipelined_before_a_reset_is_left_to_be_sent_again() -> None:
    async with serve() as served:
        left = b"MAIL FROM:<>\r\nRCPT TO:<bob@example.test>\r\nBDAT 6 LAST\r\na: b\r\n"
        await served.reset_while_committing(b"a: b\r\n\r\n.\r\n" + left)
        assert len(served.accepted) == 1


async def test_a_browser_is_not_answered() -> None:
    async with serve() as served:
        client = await served.connect()
        await client.reply()
        await client.send(b"POST / HTTP/1.1\r\nHost: mx\r\n\r\n")
        assert await client.closed()


@pytest.mark.parametrize("command", ["EHLO a.example", "DATA", "NOOP", "VRFY a"])
async def test_nothing_may_follow_what_must_be_last_in_a_group(command: str) -> None:
    async with serve() as served:
        client = await served.greeted()
        await client.envelope()
        assert await client.ask(f"{command}\r\nRSET") == "554 5.5.0 Protocol synchronization error"
        assert await client.closed()


async def test_errors_are_limited() -> None:
    async with serve(limits=Limits(errors=3)) as served:
        client = await served.greeted()
        assert await client.codes("A", "B") == ["500", "500"]
        await client.ask("C")
        assert (await client.reply()).startswith("421 4.7.0")
        assert await client.closed()
        assert [each.limit for each in served.of(LimitHit)] == ["errors"]


async def test_commands_that_do_nothing_are_limited() -> None:
    async with serve(limits=Limits(junk_commands=5)) as served:
        client = await served.greeted()
        assert await client.codes("NOOP", "RSET", "VRFY a", "NOOP") == ["250", "250", "252", "250"]
        await client.ask("NOOP")
        assert (await client.reply()).startswith("421 4.7.0")


@pytest.mark.parametrize(
    "line", [b"NOOP\n", b"NO\rOP\r\n", b"NO\0OP\r\n", b"NOOP " + b"x" * 3_000 + b"\r\n", b"x" * 13_000 + b"\r\n"]
)
async def test_lines_that_are_no_commands_are_errors(line: bytes) -> None:
    async with serve(limits=Limits(errors=2)) as served:
        client = await served.greeted()
        for _ in range(2):
            await client.send(line)
            assert (await client.reply()).startswith("500 5.5.2")
        assert (await client.reply()).startswith("421 4.7.0")
        assert await client.closed()


@pytest.mark.parametrize(
    ("offered", "before", "command", "code"),
    [
        (True, "", "STARTTLS now", "501"),
        (True, "TLS", "STARTTLS", "503"),
        (True, "MAIL", "STARTTLS", "503"),
        (False, "", "STARTTLS", "503"),
    ],
)
async def test_starttls_that_is_refused_is_an_error(
    identity: Identity, *, offered: bool, before: str, command: str, code: str
) -> None:
    tls = ServerTls(mode="StartTLS", certificates=("main",)) if offered else ServerTls()
    certificates = {"main": identity.certificate}
    async with serve(Listener(name="mx", tls=tls), limits=Limits(errors=2), certificates=certificates) as served:
        client = await served.greeted()
        if before == "TLS":
            await client.start_tls(identity.client())
        elif before == "MAIL":
            await client.envelope()
        assert await client.codes(command, command) == [code, code]
        assert (await client.reply()).startswith("421 4.7.0")
        assert await client.closed()


async def test_empty_chunks_do_nothing_and_are_limited() -> None:
    async with serve(limits=Limits(junk_commands=3)) as served:  # EHLO is the first
        client = await served.greeted()
        await client.envelope()
        assert await client.codes("BDAT 0", "BDAT 0", "BDAT 0") == ["250", "250", "421"]
        assert await client.closed()


async def test_authentication_that_never_comes_to_a_result_is_limited(identity: Identity) -> None:
    auth = ServerAuth(mode="Required", credentials="users")
    listener = Listener(name="mx", tls=ServerTls(mode="Implicit", certificates=("main",)), auth=auth)
    down, certificates = {"users": DictTable(None)}, {"main": identity.certificate}
    async with serve(listener, limits=Limits(junk_commands=3), tables=down, certificates=certificates) as served:
        client = await served.connect(tls=identity.client())
        await client.greet()
        assert await client.codes(*["AUTH PLAIN AGEAYg=="] * 2) == ["454", "454"]
        await client.ask("AUTH PLAIN AGEAYg==")
        assert (await client.reply()).startswith("421 4.7.0")
        assert await client.closed()


async def test_size_is_enforced_when_it_is_declared_and_while_it_comes() -> None:
    async with serve(limits=Limits(message_bytes=1000)) as served:
        client = await served.greeted()
        assert (await client.ask("MAIL FROM:<> SIZE=1001")).startswith("552 5.3.4")
        await client.envelope()
        assert (await client.data(b"x\r\n" * 500 + b".\r\n")).startswith("552 5.3.4")
        assert [each.limit for each in served.of(LimitHit)] == ["size", "size"]


async def test_recipients_and_messages_are_limited() -> None:
    async with serve(limits=Limits(recipients=2, messages_per_session=1)) as served:
        client = await served.greeted()
        await client.envelope("alice@example.test", "bob@example.test")
        assert (await client.ask("RCPT TO:<carol@example.test>")).startswith("452 4.5.3")
        await client.ask("RSET")
        assert (await client.ask("MAIL FROM:<>")).startswith("452 4.5.3")


@pytest.mark.parametrize(
    ("fault", "code"), [(SpoolError(FULL, "full"), "452 4.3.1"), (SpoolError(FAULT, "x"), "451 4.3.0")]
)
async def test_a_spool_that_takes_nothing_is_said_before_data(fault: SpoolError, code: str) -> None:
    async with serve() as served:
        served.spool.create_fault = fault
        client = await served.greeted()
        assert (await client.ask("MAIL FROM:<>")).startswith(code)
        assert [(each.outcome, each.fault) for each in served.of(Attempt)] == [("fault", "queue")]


async def test_a_spool_that_fails_meanwhile_is_said_at_the_end() -> None:
    async with serve() as served:
        client = await served.greeted()
        await client.envelope()
        served.spool.drain_fault = SpoolError(FULL, "full")
        assert (await client.data(b"a: b\r\n\r\n.\r\n")).startswith("452 4.3.1")
        assert served.spool.drafts[0].aborted


async def test_a_fault_of_ours_is_transient_and_ends_the_session() -> None:
    async with serve() as served:
        client = await served.greeted()
        await client.ask("MAIL FROM:<>")
        assert await client.ask("RCPT TO:<crash@example.test>") == "451 4.3.0 Temporary failure"
        assert await client.closed()
        assert [(each.outcome, each.fault) for each in served.of(Attempt)] == [("fault", "bug")]


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (b"Received: x\r\n" * 50 + b"\r\n", "554 5.4.6"),
        (b" folded into ours\r\n\r\n", "550 5.7.1"),
        (b"X: " + b"y" * 60_000 + b"\r\n", "250"),
        ((b"X: " + b"y" * 60_000 + b"\r\n") * 5, "552 5.3.4"),
        (b"", "250"),
        (b"\r\n", "250"),
    ],
)
async def test_headers_are_bounded(header: bytes, code: str) -> None:
    async with serve() as served:
        client = await served.greeted()
        await client.envelope()
        assert (await client.data(header + b".\r\n")).startswith(code)


async def test_a_client_that_never_reads_is_cut_off() -> None:
    async with serve(limits=Limits(command_timeout_seconds=1, junk_commands=10**9)) as served:
        client = await served.greeted()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a read transport, too
        for _ in range(40):
            client.writer.write(b"HELP\r\n" * 10_000)
            await asyncio.sleep(0)
        assert served.acceptor.sessions == 1
        await served.until(lambda: len(served.of(Timeout)) == 1)


async def test_commands_out_of_order_are_refused() -> None:
    async with serve() as served:
        client = await served.connect()
        await client.reply()
        assert await client.codes("MAIL FROM:<>", "RCPT TO:<alice@example.test>", "DATA", "X") == ["503"] * 3 + ["500"]
        await client.ask("EHLO client.example")
        assert await client.codes("DATA", "MAIL FROM:<>", "MAIL FROM:<>", "DATA") == ["503", "250", "503", "503"]


async def test_only_lmtp_listeners_know_lhlo() -> None:
    async with serve(Listener(name="mx"), Listener(name="lmtp", role="LMTP")) as served:
        for name, codes in (("lmtp", ["500", "500", "250"]), ("mx", ["250", "250", "500"])):
            client = await served.connect(name)
            await client.reply()
            assert await client.codes("EHLO a.example", "HELO a.example", "LHLO a.example") == codes


async def test_a_header_in_many_small_pieces_costs_no_more_than_in_one() -> None:
    limits, draft = Limits(), RecordingSpool().create()
    intake = Intake(draft, limits, b"")
    header = b"X-Field: value\r\n" * 15_000 + b"\r\n"
    began = time.process_time()
    for place in range(0, len(header), 2):
        await intake.feed(header[place : place + 2])
    assert time.process_time() - began < 5  # about 0.2; looking at all of it for each piece takes a minute
    assert intake.failure is None
    assert draft.size == len(header)
