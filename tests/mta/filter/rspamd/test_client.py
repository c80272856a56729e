"""The way to rspamd and back: what it is told, deadlines, bounds, hostile servers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from paquebot_mta.config.filters import Rspamd
from paquebot_mta.filter.contract import Facts, FilterError
from paquebot_mta.filter.decisions import PROCEED
from paquebot_mta.filter.rspamd.answer import MAX_BYTES
from paquebot_mta.filter.rspamd.rspamd import RspamdFilter, build_rspamd
from paquebot_mta.filter.tools import Places
from tests.support.processes import LOOPBACK, free_port

from ..asked import MSGID, MemoryContent, World, facts, told_of

LETTER = b"Subject: hi\r\n\r\n" + b"body \r\n" * 40_000
FINE = b'{"action":"no action","score":1.0,"required_score":15.0}'
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
KNOWN = facts(
    msgid=MSGID,
    reverse_path="joe@else.test",
    recipients=["bob@example.test"],
    client_name="mail.else.test",
    fcrdns="pass",
    hostname="mx.example.test",
    tls="TLSv1.3:TLS_AES_256_GCM_SHA384:256",
)


class Stub:
    """A server that answers one thing, and keeps what it was asked."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while head := (await reader.readuntil(b"\r\n\r\n")).decode():
            self.heads.append(head)
            size = int(next(line for line in head.splitlines() if line.lower().startswith("content-length")).split()[1])
            self.bodies.append(await reader.readexactly(size))
            writer.write(self.answer)

    def fields(self) -> list[str]:
        return self.heads[0].splitlines()[1:]


def http(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


@asynccontextmanager
async def asking(serve: Serve, **settings: object) -> AsyncIterator[RspamdFilter]:
    serving: set[asyncio.Task[None]] = set()

    async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        with contextlib.suppress(OSError):
            writer.close()
            await writer.wait_closed()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(task := asyncio.create_task(quiet(reader, writer)))
        await task

    server = await asyncio.start_server(accept, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    config = Rspamd(url=f"http://{LOOPBACK}:{port}", **{"timeout_seconds": 20.0, **settings})  # type: ignore[arg-type]
    found = build_rspamd("rspamd", config, Places(), World().tools)
    try:
        yield found
    finally:
        await found.close()
        if serving:
            await asyncio.wait(serving, timeout=20.0)
        await asyncio.sleep(0)
        server.close()


async def test_the_whole_message_and_what_is_known_of_it_are_told() -> None:
    stub = Stub(http(FINE))
    async with asking(stub.serve, password="secret") as rspamd:
        decision, changes = await rspamd.judge(KNOWN, MemoryContent(LETTER))
    assert decision == PROCEED
    assert changes.prepend[1] == b"X-Spam-Score: 1.00 / 15.00\r\n"
    assert stub.bodies == [LETTER]
    assert stub.heads[0].startswith("POST /checkv2 HTTP/1.1\r\n")
    assert {
        "IP: 192.0.2.1", "Helo: client.example.test", "From: <joe@else.test>", "Rcpt: <bob@example.test>",
        "Queue-Id: 508f4cf1", "Hostname: mail.else.test", "MTA-Tag: mx.example.test", "MTA-Name: mx.example.test",
        "Deliver-To: bob@example.test", "Password: secret", "TLS-Version: TLSv1.3",
    } <= set(stub.fields())  # fmt: skip
    assert not any(field.startswith("User:") for field in stub.fields())


@pytest.mark.parametrize("fcrdns", ["fail", "error"])
async def test_a_name_that_does_not_lead_back_is_not_told(fcrdns: str) -> None:
    stub = Stub(http(FINE))
    async with asking(stub.serve) as rspamd:
        await rspamd.judge(facts(client_name="mail.else.test", fcrdns=fcrdns), MemoryContent(LETTER))
    assert not any(field.startswith("Hostname:") for field in stub.fields())


async def test_each_recipient_and_the_user_are_told() -> None:
    stub = Stub(http(FINE))
    known = facts("local", reverse_path=None, recipients=["a@b.test", "c@b.test"], user="joe\r\nIP: 127.0.0.1")
    async with asking(stub.serve) as rspamd:
        await rspamd.judge(known, MemoryContent(b"\r\n"))
    assert [field for field in stub.fields() if field.startswith("Rcpt")] == ["Rcpt: <a@b.test>", "Rcpt: <c@b.test>"]
    assert "User: joe??IP: 127.0.0.1" in stub.fields()
    assert "From: <>" in stub.fields()
    assert not any(field.startswith(("IP:", "Deliver-To:")) for field in stub.fields())


async def test_a_connection_serves_many_messages() -> None:
    stub = Stub(http(FINE))
    async with asking(stub.serve) as rspamd:
        for _ in range(5):
            await rspamd.judge(KNOWN, MemoryContent(LETTER))
    assert (stub.connections, len(stub.heads)) == (1, 5)


async def test_a_longer_message_goes_on_unasked() -> None:
    stub = Stub(http(FINE))
    content = MemoryContent(LETTER)
    async with asking(stub.serve, max_bytes=len(LETTER) - 1) as rspamd:
        assert (await rspamd.judge(KNOWN, content))[0] == PROCEED
    assert (stub.connections, content.reads) == (0, 0)


@pytest.mark.parametrize(
    "answer",
    [
        http(b"no", "403 Forbidden"),
        http(b"", "302 Found", "Location: http://192.0.2.1/\r\n"),
        http(b"not json"),
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        http(b" " * (MAX_BYTES + 1)),
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
    ],
    ids=["refused", "elsewhere", "no JSON", "no HTTP", "cut", "endless", "endless head"],
)
async def test_a_bad_answer_is_a_fault_of_the_filter(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with asking(serve) as rspamd:
        with pytest.raises(FilterError):
            await rspamd.judge(KNOWN, MemoryContent(b"A: b\r\n\r\n"))


async def test_silence_ends_at_the_deadline() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with asking(serve, timeout_seconds=0.05) as rspamd:
        with pytest.raises(FilterError, match="in time") as caught:
            await rspamd.judge(KNOWN, MemoryContent(LETTER))
    assert caught.value.reason == "timeout"


async def test_an_rspamd_that_is_away_is_a_fault_of_the_filter() -> None:
    rspamd = RspamdFilter("rspamd", Rspamd(url=f"http://{LOOPBACK}:{free_port()}/"), World().tools)
    with pytest.raises(FilterError):
        await rspamd.judge(KNOWN, MemoryContent(b"\r\n"))
    await rspamd.close()


async def test_an_rspamd_that_is_away_is_known_before_mail_comes() -> None:
    rspamd = RspamdFilter("rspamd", Rspamd(url=f"http://{LOOPBACK}:{free_port()}/"), World().tools)
    assert "ClientConnectorError" in await told_of(rspamd)


@pytest.mark.parametrize(("status", "trouble"), [("200 OK", ""), ("404 Not Found", ""), ("503 No", "status 503")])
async def test_an_rspamd_is_there_if_it_answers_anything_but_a_gateway_s_no(status: str, trouble: str) -> None:
    stub = Stub(http(b"pong", status))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stub.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(stub.answer)

    async with asking(serve) as rspamd:
        assert trouble in await told_of(rspamd)
    assert stub.heads[0].startswith("GET /ping ")


async def test_one_slow_answer_holds_nobody_else_up() -> None:
    first = asyncio.Event()
    stub = Stub(http(FINE))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not first.is_set():
            first.set()
            await reader.read()
        await stub.serve(reader, writer)

    async with asking(serve) as rspamd:
        slow = asyncio.create_task(rspamd.judge(KNOWN, MemoryContent(b"\r\n")))
        await first.wait()
        known: Facts = KNOWN
        done = await asyncio.wait_for(
            asyncio.gather(*(rspamd.judge(known, MemoryContent(b"\r\n")) for _ in range(20))), timeout=15.0
        )
        assert len(done) == 20
        assert not slow.done()
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
