"""Behind a proxy: the client's address is the one that a believed header tells, everywhere; others are dropped."""

import asyncio
import socket
import ssl
import struct
from typing import Literal

import pytest
import uvloop

from paquebot_mta.config.listeners import Listener, ProxyProtocol, ServerTls
from paquebot_mta.config.service import Limits
from paquebot_mta.telemetry.events import LinkConnect, Notice
from tests.mta.accept.conftest import Identity
from tests.mta.accept.support import Client, Served, serve

TEXT = b"PROXY TCP4 192.0.2.7 198.51.100.2 4711 25\r\n"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"
LOOPBACK = ProxyProtocol(trusted=("127.0.0.0/8",))
PLAIN = Listener(name="mx", proxy_protocol=LOOPBACK)


def binary(source: str = "2001:db8::7", destination: str = "2001:db8::2") -> bytes:
    body = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, destination)
    tail = body + struct.pack("!HH", 4711, 25) + b"\x04\x00\x01x"
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x21, 0x21, len(tail)) + tail


async def through(served: Served, header: bytes) -> Client:
    client = await served.connect()
    await client.send(header)
    return client


@pytest.mark.parametrize(
    ("header", "address", "source"),
    [
        (TEXT, "192.0.2.7", "192.0.2.7:4711"),
        (binary(), "2001:db8::7", "[2001:db8::7]:4711"),
        (binary("::ffff:192.0.2.7", "::ffff:192.0.2.8"), "192.0.2.7", "192.0.2.7:4711"),
    ],
)
async def test_the_address_of_the_client_is_the_headers(header: bytes, address: str, source: str) -> None:
    async with serve(PLAIN) as served:
        client = await through(served, header)
        await client.greet()
        await client.envelope()
        await client.data(b"a: b\r\n\r\n.\r\n")
        ((message, content),) = served.spool.stored.values()
        (facts, _, _) = served.rules.asked[0]
        tag = f"IPv6:{address}" if ":" in address else address
        assert content.startswith(f"Received: from client.example (<unknown> [{tag}])".encode())
        assert message.client_address == facts.client_address == address
        assert [each.source for each in served.of(LinkConnect)] == [source]
        assert not facts.local


@pytest.mark.parametrize(
    ("fcrdns", "believed"), [("pass", "mail.trusted.example"), ("fail", "<unknown>"), ("error", "<unknown>")]
)
async def test_rules_know_only_names_that_lead_back(fcrdns: Literal["pass", "fail", "error"], believed: str) -> None:
    async def lookup_name(address: str) -> tuple[str, Literal["pass", "fail", "error"]]:
        return ("mail.trusted.example", fcrdns)

    async with serve(PLAIN, lookup_name=lookup_name) as served:
        client = await through(served, TEXT)
        await client.greet()
        await client.envelope()
        await client.data(b"a: b\r\n\r\n.\r\n")
        ((message, content),) = served.spool.stored.values()
        assert served.rules.asked[0][0].client_name == message.client_name == believed
        # What is shown is what DNS says, beside what it is worth.
        assert content.startswith(b"Received: from client.example (mail.trusted.example [192.0.2.7])")
        assert [(each.rdns, each.fcrdns) for each in served.of(LinkConnect)] == [("mail.trusted.example", fcrdns)]


async def test_limits_count_the_clients_behind_the_proxy() -> None:
    async with serve(PLAIN, limits=Limits(sessions_per_client=1)) as served:
        first = await through(served, TEXT)
        assert (await first.reply()).startswith("220")
        assert (await (await through(served, TEXT)).reply()).startswith("421 4.7.0")
        assert (await (await through(served, binary())).reply()).startswith("220")


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n"])
async def test_a_proxy_may_speak_for_itself(header: bytes) -> None:
    async with serve(PLAIN) as served:
        assert (await (await through(served, header)).reply()).startswith("220")
        assert served.of(LinkConnect)[0].source.startswith("127.0.0.1:")


@pytest.mark.parametrize(
    "header",
    [b"EHLO client.example\r\n", TEXT.replace(b"192.0.2.7", b"192.0.2.777"), b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"],
)
async def test_a_connection_without_a_good_header_is_dropped(header: bytes) -> None:
    async with serve(PLAIN) as served:
        client = await through(served, header)
        assert await client.closed()
        assert [each.event for each in served.of(Notice)] == ["smtp-in.proxy"]
        assert served.reports() == []


async def test_a_peer_that_is_no_proxy_of_ours_is_dropped() -> None:
    listener = Listener(name="mx", proxy_protocol=ProxyProtocol(trusted=("192.0.2.0/24", "::1/128")))
    async with serve(listener) as served:
        assert await (await served.connect()).closed()
        assert served.of(Notice)[0].details["error"] == "the peer is not among the trusted networks"


async def test_a_header_that_never_comes_is_not_waited_for() -> None:
    async with serve(PLAIN, limits=Limits(handshake_timeout_seconds=0)) as served:
        assert await (await through(served, b"PROXY ")).closed()


@pytest.mark.parametrize("fast", [False, True], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("header", [TEXT, binary(), LOCAL])
def test_header_and_hello_of_tls_may_come_in_one_segment(identity: Identity, header: bytes, fast: bool) -> None:
    tls = ServerTls(mode="Implicit", certificates=("main",))
    listener = Listener(name="mx", proxy_protocol=LOOPBACK, tls=tls)

    async def converse() -> bytes:
        async with serve(listener, certificates={"main": identity.certificate}) as served:
            host, _, port = served.acceptor.addresses()["mx"].rpartition(":")
            return await asyncio.to_thread(_speak_tls, (host, int(port)), header, identity.client())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if fast else asyncio.new_event_loop) as runner:
        assert runner.run(converse()).startswith(b"220 mx.example.test")


def _speak_tls(where: tuple[str, int], header: bytes, context: ssl.SSLContext) -> bytes:
    """Shake hands by hand, so that header and hello leave in one write."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname="mx.example.test")
    with socket.create_connection(where, 5) as wire:
        while True:
            try:
                return connection.read()
            except ssl.SSLWantReadError:
                wire.sendall(header + outgoing.read())
                header = b""
                incoming.write(wire.recv(65_536))
