"""Clients that lie, stall, talk too much or leave: the known defects of aiosmtpd 1.4.6, closed one by one."""

import asyncio
import json
import resource
from pathlib import Path

import pytest

from paquebot_mta.config.listeners import Listener
from paquebot_mta.config.service import Limits
from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool.store import SpoolError
from paquebot_mta.telemetry.events import Attempt, LimitHit, LinkDisconnect, Timeout
from tests.mta.accept.support import Client, serve

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "smtp-smuggling" / "eod-sequences.json"
FAULT = Reply(451, "Temporary failure", "4.3.0")
FULL = Reply(452, "Insufficient system storage", "4.3.1")


def _sequences() -> dict[str, bytes]:
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))["must_not_end_data"]
    return {name: text.encode("latin-1") for name, text in vectors.items()}


async def test_defect_1_a_line_without_end_in_data_is_dropped_not_kept() -> None:
    async with serve(limits=Limits(message_bytes=100_000)) as served:
        client = await served.greeted()
        await client.envelope()
        await client.ask("DATA")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(64):
            await client.send(b"x" * 1_000_000)
        await client.send(b"\r\n.\r\n")
        assert (await client.reply())[:10] in {"552 5.3.4 ", "554 5.6.0 "}
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16_000  # KiB
        assert await client.ask("NOOP") == "250 2.0.0 Ok"
        assert served.spool.stored == {}


@pytest.mark.parametrize("fault", [OSError(28, "No space", "/queue/secret"), SpoolError(FAULT, "/queue/secret")])
async def test_defect_2_a_fault_at_commit_is_transient_and_tells_nothing(fault: Exception) -> None:
    async with serve() as served:
        served.spool.commit_fault = fault
        client = await served.greeted()
        await client.envelope()
        assert await client.data(b"a: b\r\n\r\n.\r\n") == "451 4.3.0 Temporary failure"
        assert served.accepted == []
        assert "secret" not in "".join(served.reports())
        assert [each.outcome for each in served.of(Attempt)] == ["fault"]


async def test_defect_3_a_half_close_never_disturbs_a_commit() -> None:
    async with serve() as served:
        served.spool.may_commit.clear()
        client = await served.greeted()
        await client.envelope()
        await client.ask("DATA")
        await client.send(b"a: b\r\n\r\n.\r\nRSET\r\nQUIT\r\n")
        client.writer.write_eof()
        await served.spool.committing.wait()
        await asyncio.sleep(0.02)
        served.spool.may_commit.set()
        replies = [await client.reply() for _ in range(4)]
        assert [reply[:3] for reply in replies] == ["250", "250", "221", ""]
        assert len(served.spool.stored) == len(served.accepted) == 1


async def test_defect_3_a_reset_never_disturbs_a_commit() -> None:
    async with serve() as served:
        served.spool.may_commit.clear()
        client = await served.greeted()
        await client.envelope()
        await client.ask("DATA")
        await client.send(b"a: b\r\n\r\n.\r\n")
        await served.spool.committing.wait()
        client.reset()
        await asyncio.sleep(0.02)
        served.spool.may_commit.set()
        await served.finished()
        assert len(served.accepted) == 1
        assert [line.split("|")[0] for line in served.reports()[-3:]] == ["tx-commit", "tx-reset", "link-disconnect"]


async def test_what_was_pipelined_before_a_reset_is_left_to_be_sent_again() -> None:
    async with serve() as served:
        served.spool.may_commit.clear()
        client = await served.greeted()
        await client.envelope()
        await client.ask("DATA")
        await client.send(b"a: b\r\n\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.test>\r\nBDAT 6 LAST\r\na: b\r\n")
        await served.spool.committing.wait()
        client.reset()
        await asyncio.sleep(0.02)
        served.spool.may_commit.set()
        await served.finished()
        assert len(served.accepted) == 1


async def test_defect_4_a_session_never_changes_the_limits_of_another() -> None:
    command = f"MAIL FROM:<joe@client.example> ENVID={'x' * 100} AUTH={'y' * 490}"
    async with serve() as served:
        first = await served.greeted()
        assert (await first.ask(command)).startswith("250")
        second = await served.greeted()
        await second.codes(*["EHLO client.example"] * 5)
        await first.ask("RSET")
        assert (await first.ask(command)).startswith("250")
        assert (await first.ask("RCPT TO:<" + "x" * 2100 + ">")).startswith("500")
        assert (await second.ask("NOOP " + "x" * 2100)).startswith("500")


async def test_defect_5_a_command_never_ends_at_a_bare_lf() -> None:
    async with serve() as served:
        client = await served.connect()
        await client.reply()
        await client.send(b"EHLO client.example\n")
        assert (await client.reply()).startswith("500 5.5.2")
        assert (await client.ask("MAIL FROM:<>")).startswith("503")


@pytest.mark.parametrize("name", [b"a\rX-Inj: 1", b"a\0", b"a\x1b[31m", b"a\xff", b"a b", b"(a)"])
def test_defect_6_no_control_character_gets_into_a_name(name: bytes) -> None:
    async def converse() -> None:
        async with serve() as served:
            client = await served.connect()
            await client.reply()
            assert (await client.ask(b"EHLO " + name))[:3] in {"500", "501"}
            assert not any(line.startswith("link-identify") for line in served.reports())

    asyncio.run(converse())


@pytest.mark.parametrize(("name", "sequence"), _sequences().items())
async def test_defect_7_what_looks_like_the_end_of_data_is_refused(name: str, sequence: bytes) -> None:
    async with serve() as served:
        client = await served.greeted()
        await client.envelope()
        reply = await client.data(b"a: b\r\n\r\ntext" + sequence + b"MAIL FROM:<evil@example.test>\r\n.\r\n")
        assert reply[:6] in {"550 5."}, name
        assert await client.ask("NOOP") == "250 2.0.0 Ok"
        assert served.spool.stored == {}


async def test_defect_8_the_null_reverse_path_is_empty() -> None:
    async with serve() as served:
        client = await served.greeted()
        await client.codes("MAIL FROM:<>", "RCPT TO:<alice@example.test>")
        await client.data(b"a: b\r\n\r\n.\r\n")
        assert [message.reverse_path for message in served.accepted] == [""]
        assert [asked[1] for asked in served.rules.asked] == [None]


async def test_defect_9_options_keep_their_case_and_are_stored() -> None:
    async with serve() as served:
        client = await served.greeted()
        await client.ask("MAIL FROM:<joe@client.example> RET=HDRS ENVID=Ab+2Bc BODY=8BITMIME SIZE=99")
        await client.ask("RCPT TO:<alice@example.test> NOTIFY=NEVER ORCPT=rfc822;Al@X.test")
        await client.data(b"a: b\r\n\r\n.\r\n")
        (message,) = served.accepted
        assert (message.dsn_return, message.dsn_envelope_id, message.body) == ("HDRS", "Ab+2Bc", "8BITMIME")
        assert message.envelopes[0].original_recipient == "rfc822;Al@X.test"


@pytest.mark.parametrize(
    "path", ["<a@b(c)>", "<a..b@c>", "<a@-b-.c>", "<a b@c>", "<@r.test:a@b.test>", "a@b.test", "<>"]
)
async def test_defect_10_only_the_rfcs_addresses_are_taken(path: str) -> None:
    async with serve() as served:
        client = await served.greeted()
        assert (await client.ask("MAIL FROM:<joe@client.example>")).startswith("250")
        assert (await client.ask(f"RCPT TO:{path}"))[:3] in {"501", "553"}
        assert served.rules.asked == []


async def test_defect_11_a_silent_client_is_told_and_cut_off() -> None:
    async with serve(limits=Limits(command_timeout_seconds=0)) as served:
        client = await served.connect()
        await client.reply()
        assert await client.reply() == "421 4.4.2 Timeout, closing connection"
        assert await client.closed()
        await served.finished()
        assert [each.phase for each in served.of(Timeout)] == ["command"]
        assert [each.reason for each in served.of(LinkDisconnect)] == ["timeout"]


async def test_defect_11_commands_do_not_prolong_a_session_for_ever() -> None:
    async with serve(limits=Limits(session_timeout_seconds=0)) as served:
        client = await served.connect()
        await client.reply()
        assert (await client.reply()).startswith("421 4.4.2")
        await served.finished()
        assert [each.phase for each in served.of(Timeout)] == ["session"]


async def test_defect_11_data_must_come_at_a_minimum_rate() -> None:
    async with serve(limits=Limits(data_timeout_seconds=0, data_bytes_per_second=1000)) as served:
        client = await served.greeted()
        await client.envelope()
        await client.ask("DATA")
        assert (await client.reply()).startswith("421 4.4.2")
        await served.finished()
        assert [each.phase for each in served.of(Timeout)] == ["data"]
        assert served.spool.drafts[0].aborted


async def test_defect_11_a_commit_never_counts_as_the_clients_silence() -> None:
    async with serve(limits=Limits(command_timeout_seconds=1)) as served:
        served.spool.may_commit.clear()
        client = await served.greeted()
        await client.envelope()
        await client.ask("DATA")
        await client.send(b"a: b\r\n\r\n.\r\n")
        await served.spool.committing.wait()
        (session,) = served.acceptor._crowd
        assert session.deadline == float("inf")
        served.spool.may_commit.set()
        assert (await client.reply()).startswith("250")


async def test_defect_12_content_reaches_the_spool_while_it_comes_in() -> None:
    async with serve() as served:
        client = await served.greeted()
        await client.envelope()
        await client.ask("DATA")
        await client.send(b"a: b\r\n\r\n" + b"line\r\n" * 50_000)
        await served.until(lambda: served.spool.drafts[0].size > 250_000)
        assert max(map(len, served.spool.drafts[0].chunks)) <= 300_000
        await client.send(b".\r\n")
        assert (await client.reply()).startswith("250")


async def test_defect_13_extensions_are_offered_and_help_is_last() -> None:
    async with serve() as served:
        client = await served.connect()
        lines = (await client.greet()).split("\n")
        assert {"250-PIPELINING", "250-CHUNKING", "250-DSN", "250-ENHANCEDSTATUSCODES", "250-SMTPUTF8"} < set(lines)
        assert lines[-1] == "250 HELP"


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


async def test_only_lmtp_listeners_know_lhlo_and_answer_for_each_recipient() -> None:
    async with serve(Listener(name="mx"), Listener(name="lmtp", role="LMTP")) as served:
        client = await served.connect("lmtp")
        assert (await client.reply()) == "220 mx.example.test LMTP Paquebot"
        assert await client.codes("EHLO a.example", "LHLO a.example") == ["500", "250"]
        await client.envelope("alice@example.test", "bob@example.test")
        assert (await client.data(b"a: b\r\n\r\n.\r\n")).startswith("250")
        assert (await client.reply()).startswith("250")
        assert served.accepted[0].protocol == "LMTP"
        other: Client = await served.connect()
        await other.reply()
        assert await other.codes("LHLO a.example", "HELO a.example") == ["500", "250"]
