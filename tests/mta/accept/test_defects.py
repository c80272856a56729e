"""The fifteen known defects of aiosmtpd 1.4.6, each closed here by a test that bears its number."""

import asyncio
import json
import resource
from pathlib import Path

import pytest

from paquebot_mta.config.listeners import Listener, ServerAuth, ServerTls
from paquebot_mta.config.service import Limits
from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool.store import SpoolError
from paquebot_mta.telemetry.events import Attempt, LinkDisconnect, Timeout
from tests.mta.accept.conftest import Identity
from tests.mta.accept.support import DictTable, serve

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "smtp-smuggling" / "eod-sequences.json"
FAULT = Reply(451, "Temporary failure", "4.3.0")
FULL = Reply(452, "Insufficient system storage", "4.3.1")


def _sequences() -> dict[str, bytes]:
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))["must_not_end_data"]
    return {name: text.encode("latin-1") for name, text in vectors.items()}


async def test_defect_01_a_line_without_end_in_data_is_dropped_not_kept() -> None:
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
async def test_defect_02_a_fault_at_commit_is_transient_and_tells_nothing(fault: Exception) -> None:
    async with serve() as served:
        served.spool.commit_fault = fault
        client = await served.greeted()
        await client.envelope()
        assert await client.data(b"a: b\r\n\r\n.\r\n") == "451 4.3.0 Temporary failure"
        assert served.accepted == []
        assert "secret" not in "".join(served.reports())
        assert [each.outcome for each in served.of(Attempt)] == ["fault"]


async def test_defect_03_a_half_close_never_disturbs_a_commit() -> None:
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


async def test_defect_03_a_reset_never_disturbs_a_commit() -> None:
    async with serve() as served:
        await served.reset_while_committing(b"a: b\r\n\r\n.\r\n")
        assert len(served.accepted) == 1
        assert [line.split("|")[0] for line in served.reports()[-3:]] == ["tx-commit", "tx-reset", "link-disconnect"]


async def test_defect_04_a_session_never_changes_the_limits_of_another() -> None:
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


async def test_defect_05_a_command_never_ends_at_a_bare_lf() -> None:
    async with serve() as served:
        client = await served.connect()
        await client.reply()
        await client.send(b"EHLO client.example\n")
        assert (await client.reply()).startswith("500 5.5.2")
        assert (await client.ask("MAIL FROM:<>")).startswith("503")


@pytest.mark.parametrize("name", [b"a\rX-Inj: 1", b"a\0", b"a\x1b[31m", b"a\xff", b"a b", b"(a)"])
def test_defect_06_no_control_character_gets_into_a_name(name: bytes) -> None:
    async def converse() -> None:
        async with serve() as served:
            client = await served.connect()
            await client.reply()
            assert (await client.ask(b"EHLO " + name))[:3] in {"500", "501"}
            assert not any(line.startswith("link-identify") for line in served.reports())

    asyncio.run(converse())


@pytest.mark.parametrize(("name", "sequence"), _sequences().items())
async def test_defect_07_what_looks_like_the_end_of_data_is_refused(name: str, sequence: bytes) -> None:
    async with serve() as served:
        client = await served.greeted()
        await client.envelope()
        reply = await client.data(b"a: b\r\n\r\ntext" + sequence + b"MAIL FROM:<evil@example.test>\r\n.\r\n")
        assert reply[:6] in {"550 5."}, name
        assert await client.ask("NOOP") == "250 2.0.0 Ok"
        assert served.spool.stored == {}


async def test_defect_08_the_null_reverse_path_is_empty() -> None:
    async with serve() as served:
        client = await served.greeted()
        await client.codes("MAIL FROM:<>", "RCPT TO:<alice@example.test>")
        await client.data(b"a: b\r\n\r\n.\r\n")
        assert [message.reverse_path for message in served.accepted] == [""]
        assert [asked[1] for asked in served.rules.asked] == [None]


async def test_defect_09_options_keep_their_case_and_are_stored() -> None:
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


async def test_defect_14_auth_lines_may_be_as_long_as_the_rfc_says_and_no_longer(identity: Identity) -> None:
    tls = ServerTls(mode="Implicit", certificates=("main",))
    listener = Listener(name="mx", tls=tls, auth=ServerAuth(mode="Optional", credentials="users"))
    certificates, tables = {"main": identity.certificate}, {"users": DictTable({})}
    async with serve(listener, certificates=certificates, tables=tables) as served:
        client = await served.connect(tls=identity.client())
        await client.greet()
        longest = "A" * (12_288 - len("AUTH PLAIN \r\n"))
        assert (await client.ask(f"AUTH PLAIN {longest}")).startswith("501")
        assert (await client.ask(f"AUTH PLAIN {longest}A")).startswith("500 5.5.2")
        for response in ("A" * 12_286, "not base64", "\x7f"):
            assert (await client.ask("AUTH LOGIN")).startswith("334 ")
            assert (await client.ask(response)).startswith(("334 ", "501 5.5.2"))
            assert (await client.ask("*"))[:3] in {"500", "501"}
        assert (await client.ask("NOOP")).startswith("250")


@pytest.mark.parametrize("behind", [b"MAIL FROM:<evil@example.test>\r\n", b"\x16", b"NO"])
async def test_defect_15_bytes_behind_starttls_are_refused_not_dropped(identity: Identity, behind: bytes) -> None:
    tls = ServerTls(mode="StartTLS", certificates=("main",))
    async with serve(Listener(name="mx", tls=tls), certificates={"main": identity.certificate}) as served:
        client = await served.greeted()
        await client.send(b"STARTTLS\r\n" + behind)
        assert await client.reply() == "554 5.5.0 Protocol synchronization error"
        assert await client.closed()
    assert Limits().handshake_timeout_seconds <= 30
