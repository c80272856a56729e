"""LMTP, and sockets in the file system: their clients are local, which is not the same as authenticated."""

from pathlib import Path

import pytest

from paquebot_mta.config.listeners import Listener, ServerAuth
from paquebot_mta.config.service import Limits
from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool.store import SpoolError
from tests.mta.accept.support import serve

LMTP = Listener(name="mx", role="LMTP")
FULL = SpoolError(Reply(452, "Insufficient system storage", "4.3.1"), "full")


async def test_lmtp_answers_once_for_each_recipient_that_was_accepted() -> None:
    async with serve(LMTP) as served:
        client = await served.connect()
        assert await client.reply() == "220 mx.example.test LMTP Paquebot"
        await client.ask("LHLO client.example")
        codes = await client.codes(
            "MAIL FROM:<>",
            "RCPT TO:<alice@example.test>",
            "RCPT TO:<nobody@example.test>",
            "RCPT TO:<bob@example.test>",
        )
        assert codes == ["250", "250", "550", "250"]
        first, second = await client.data(b"a: b\r\n\r\n.\r\n"), await client.reply()
        assert first == second
        assert first.startswith("250 2.0.0 ")
        assert await client.ask("NOOP") == "250 2.0.0 Ok"
        assert b" with LMTP id " in next(iter(served.spool.stored.values()))[1]


@pytest.mark.parametrize("command", ["DATA", "BDAT 8 LAST"])
async def test_lmtp_refuses_for_each_recipient_too(command: str) -> None:
    async with serve(LMTP) as served:
        served.spool.commit_fault = FULL
        client = await served.connect()
        await client.reply()
        await client.ask("LHLO client.example")
        await client.envelope("alice@example.test", "bob@example.test")
        if command == "DATA":
            replies = [await client.data(b"a: b\r\n\r\n.\r\n"), await client.reply()]
        else:
            replies = [await client.ask(f"{command}\r\na: b\r\n"), await client.reply()]
        assert replies == ["452 4.3.1 Insufficient system storage"] * 2
        assert (await client.ask("MAIL FROM:<>")).startswith("250")


async def test_lmtp_without_an_accepted_recipient_takes_no_content() -> None:
    async with serve(LMTP) as served:
        client = await served.connect()
        await client.reply()
        assert await client.codes("LHLO a.example", "MAIL FROM:<>", "RCPT TO:<nobody@example.test>", "DATA") == [
            "250", "250", "550", "503",
        ]  # fmt: skip


@pytest.mark.parametrize("role", ["MX", "LMTP"])
async def test_a_socket_in_the_file_system_is_local_not_authenticated(tmp_path: Path, role: str) -> None:
    listener = Listener(name="mx", role="LMTP" if role == "LMTP" else "MX", address=f"unix:{tmp_path / 'mx.sock'}")
    async with serve(listener, limits=Limits(sessions_per_client=1)) as served:
        for _ in range(2):  # no limit by client: all of them have one address
            client = await served.connect()
            await client.reply()
            await client.ask(f"{'LHLO' if role == 'LMTP' else 'EHLO'} client.example")
            await client.envelope()
            assert (await client.data(b"a: b\r\n\r\n.\r\n")).startswith("250")
        facts = [asked[0] for asked in served.rules.asked]
        assert {(each.local, each.client_address, each.user) for each in facts} == {(True, "local", "")}
        assert all(b"(localhost [local])" in content for _, content in served.spool.stored.values())


async def test_local_clients_need_no_password_where_others_do(tmp_path: Path) -> None:
    auth = ServerAuth(mode="Required")
    listener = Listener(name="mx", address=f"unix:{tmp_path / 'mx.sock'}", auth=auth)
    async with serve(listener, Listener(name="tcp", auth=auth)) as served:
        assert await (await served.greeted()).ask("MAIL FROM:<>") == "250 2.0.0 Ok"
        assert (await (await served.greeted("tcp")).ask("MAIL FROM:<>")).startswith("530 5.7.0")
