"""A client that is never silent and never done: each wait has a deadline that a byte now and then does not move."""

import asyncio
import itertools
import time
from collections.abc import Iterable
from contextlib import suppress

import pytest

from paquebot_mta.config.listeners import Listener, ServerTls
from paquebot_mta.config.service import Limits
from paquebot_mta.telemetry.events import LinkDisconnect, Timeout, TlsFailure
from tests.mta.accept.conftest import Identity
from tests.mta.accept.support import Client, Served, serve

pytestmark = pytest.mark.slow  # deadlines are whole seconds

PATIENCE = 5.0
"""Far more than any deadline here: who is still there then is waited for for ever."""
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500
"""The beginning of a handshake."""


async def drip(client: Client, pieces: Iterable[bytes]) -> tuple[float, str]:
    """Send a piece every 50 ms until the server hangs up; give how long that took in seconds, and all that was said."""
    began, said = time.monotonic(), bytearray()

    async def listen() -> None:
        with suppress(ConnectionError):
            while heard := await client.reader.read(4_096):
                said.extend(heard)

    listening = asyncio.create_task(listen())
    for piece in pieces:
        if listening.done() or time.monotonic() - began > PATIENCE:
            break
        client.writer.write(piece)
        await asyncio.sleep(0.05)
    took = time.monotonic() - began
    listening.cancel()
    return took, said.decode("latin-1")


def bytewise(text: bytes) -> Iterable[bytes]:
    return (bytes((byte,)) for byte in itertools.cycle(text))


async def ended_by(served: Served) -> list[tuple[str, str]]:
    """Give phase and reason of the end of the only session."""
    await served.finished()
    return [(each.phase, end.reason) for each in served.of(Timeout) for end in served.of(LinkDisconnect)]


@pytest.mark.parametrize("before", [(), ("MAIL FROM:<>", "RCPT TO:<alice@example.test>")], ids=["first", "in-mail"])
async def test_a_command_that_comes_byte_by_byte_has_one_deadline(before: tuple[str, ...]) -> None:
    async with serve(limits=Limits(command_timeout_seconds=1)) as served:
        client = await served.greeted()
        await client.codes(*before)
        took, said = await drip(client, bytewise(b"NOOP "))
        assert 0.9 < took < PATIENCE
        assert said == "421 4.4.2 Timeout, closing connection\r\n"
        assert await ended_by(served) == [("command", "timeout")]


async def test_each_whole_command_has_its_own_time() -> None:
    async with serve(limits=Limits(command_timeout_seconds=1)) as served:
        client = await served.greeted()
        for _ in range(4):
            await asyncio.sleep(0.4)
            assert (await client.ask("VRFY alice")).startswith("252")
        assert served.of(Timeout) == []


async def test_content_that_comes_byte_by_byte_is_too_slow() -> None:
    async with serve(limits=Limits(data_timeout_seconds=1, data_bytes_per_second=1_000)) as served:
        client = await served.greeted()
        await client.envelope()
        await client.ask("DATA")
        took, said = await drip(client, bytewise(b"a: b\r\n"))
        assert 0.9 < took < PATIENCE
        assert said.startswith("421 4.4.2")
        assert await ended_by(served) == [("data", "timeout")]
        assert served.spool.drafts[0].aborted


async def test_content_at_the_least_rate_is_waited_for() -> None:
    async with serve(limits=Limits(data_timeout_seconds=1, data_bytes_per_second=100)) as served:
        client = await served.greeted()
        await client.envelope()
        await client.ask("DATA")
        await drip(client, [b"a: bcdef\r\n"] * 40)
        await client.send(b".\r\n")
        assert (await client.reply()).startswith("250")


@pytest.mark.parametrize("mode", ["Implicit", "StartTLS"])
async def test_a_handshake_that_comes_byte_by_byte_has_one_deadline(identity: Identity, mode: str) -> None:
    tls = ServerTls(mode="Implicit" if mode == "Implicit" else "StartTLS", certificates=("main",))
    limits = Limits(handshake_timeout_seconds=1)
    async with serve(
        Listener(name="mx", tls=tls), limits=limits, certificates={"main": identity.certificate}
    ) as served:
        context = identity.client() if mode == "Implicit" else None  # takes long, and the first client's time runs soon
        client = await served.connect()
        if mode == "StartTLS":
            await client.greet()
            assert (await client.ask("STARTTLS")).startswith("220")
        dripping = asyncio.create_task(drip(client, bytewise(HELLO)))
        other = await served.connect(tls=context)
        assert (await other.greet()).startswith("250")  # nobody waits for it
        assert 0.9 < (await dripping)[0] < PATIENCE
        await served.until(lambda: bool(served.of(TlsFailure)))
        assert [each.reason for each in served.of(TlsFailure)] == ["timeout"]


async def test_commands_do_not_prolong_a_session() -> None:
    async with serve(limits=Limits(session_timeout_seconds=1, junk_commands=1_000)) as served:
        client = await served.greeted()
        took, said = await drip(client, itertools.repeat(b"NOOP\r\n"))
        assert 0.9 < took < PATIENCE
        assert said.endswith("250 2.0.0 Ok\r\n421 4.4.2 Timeout, closing connection\r\n")
        assert await ended_by(served) == [("session", "timeout")]


async def test_under_stress_a_new_client_and_a_new_command_are_waited_for_a_short_time_only() -> None:
    limits = Limits(sessions=4, stress_sessions_percent=50, stress_timeout_seconds=1)
    async with serve(limits=limits) as served:
        spoke, _silent = await served.greeted(), await served.greeted()
        await served.until(lambda: served.acceptor.stressed)
        came = await served.connect()
        assert (await came.reply()).startswith("220")
        assert (await spoke.ask("VRFY alice")).startswith("252")
        for client in (spoke, came):
            assert await client.reply() == "421 4.4.2 Timeout, closing connection"


async def test_much_content_earns_no_silence() -> None:
    async with serve(limits=Limits(data_timeout_seconds=1, data_bytes_per_second=1)) as served:
        client = await served.greeted()
        await client.envelope()
        await client.ask("DATA")
        began = time.monotonic()
        await client.send(b"a: b\r\n" * 10_000)
        assert await client.reply() == "421 4.4.2 Timeout, closing connection"
        assert time.monotonic() - began > 0.9
        assert await ended_by(served) == [("data", "timeout")]
        assert served.spool.drafts[0].aborted


async def test_content_does_not_prolong_a_session() -> None:
    async with serve(limits=Limits(session_timeout_seconds=1, data_bytes_per_second=1)) as served:
        client = await served.greeted()
        await client.envelope()
        await client.ask("DATA")
        took, said = await drip(client, itertools.repeat(b"a: b\r\n"))
        assert took < PATIENCE
        assert said == "421 4.4.2 Timeout, closing connection\r\n"
        assert await ended_by(served) == [("data", "timeout")]
        assert served.spool.drafts[0].aborted
