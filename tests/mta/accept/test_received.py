"""The trace field in front of each message (RFC 5321, 4.4), to the letter, for each way that mail comes in."""

from pathlib import Path

import pytest

from paquebot_mta.config.listeners import Listener, ProxyProtocol, ServerAuth, ServerTls
from paquebot_mta.telemetry.events import LinkTls
from tests.mta.accept.conftest import Identity
from tests.mta.accept.support import Client, DictTable, Served, serve
from tests.mta.accept.test_auth import USERS, plain

PROXIED = ProxyProtocol(trusted=("127.0.0.0/8",))
DATE = "\tTue, 14 Nov 2023 22:13:20 +0000\r\n"


async def field(served: Served, client: Client, *recipients: str, mail: str = "MAIL FROM:<>") -> str:
    """Send a message and give the field that stands before it, its id as ID."""
    await client.codes(mail, *(f"RCPT TO:<{each}>" for each in recipients))
    assert (await client.data(b"a: b\r\n\r\n.\r\n")).startswith("250")
    ((message, content),) = served.spool.stored.values()
    received, _, rest = content.decode().partition("a: b\r\n")
    assert rest == "\r\n"
    return received.replace(message.msgid, "ID")


async def proxied(served: Served, header: str, name: str = "client.example") -> Client:
    client = await served.connect()
    await client.send(header + "\r\n")
    await client.greet(name)
    return client


@pytest.mark.parametrize(
    ("header", "literal"),
    [
        ("PROXY TCP4 192.0.2.7 198.51.100.2 4711 25", "[192.0.2.7]"),
        ("PROXY TCP6 2001:db8::7 2001:db8::2 4711 25", "[IPv6:2001:db8::7]"),
    ],
)
async def test_one_recipient_is_named(header: str, literal: str) -> None:
    async with serve(Listener(name="mx", proxy_protocol=PROXIED)) as served:
        assert await field(served, await proxied(served, header), "alice@example.test") == (
            f"Received: from client.example (<unknown> {literal})\r\n"
            "\tby mx.example.test (Paquebot) with ESMTP id ID\r\n"
            "\tfor <alice@example.test>;\r\n" + DATE
        )


async def test_of_several_recipients_none_learns_of_the_others() -> None:
    async with serve() as served:
        assert await field(served, await served.greeted(), "alice@example.test", "bob@example.test") == (
            "Received: from client.example (localhost [127.0.0.1])\r\n"
            "\tby mx.example.test (Paquebot) with ESMTP id ID;\r\n" + DATE
        )


async def test_a_listener_may_mask_where_mail_came_from() -> None:
    async with serve(Listener(name="mx", proxy_protocol=PROXIED, mask_source=True)) as served:
        client = await proxied(served, "PROXY TCP4 192.0.2.7 198.51.100.2 4711 25", "inside.example")
        assert await field(served, client, "alice@example.test") == (
            "Received: by mx.example.test (Paquebot) with ESMTP id ID\r\n\tfor <alice@example.test>;\r\n" + DATE
        )


@pytest.mark.parametrize("shown", [True, False])
async def test_a_user_is_named_where_the_listener_says_so(identity: Identity, shown: bool) -> None:
    tls = ServerTls(mode="Implicit", certificates=("main",))
    auth = ServerAuth(mode="Required", credentials="users")
    listener = Listener(name="mx", tls=tls, auth=auth, received_auth=shown)
    tables, certificates = {"users": DictTable(USERS)}, {"main": identity.certificate}
    async with serve(listener, tables=tables, certificates=certificates) as served:
        client = await served.connect(tls=identity.client())
        await client.greet()
        await client.ask(f"AUTH PLAIN {plain('bob')}")
        received = await field(served, client, "alice@example.test")
        (used,) = served.of(LinkTls)
        agreed, user = f"{used.version}:{used.cipher}:{used.bits}", " auth=yes user=bob" if shown else ""
        assert received == (
            "Received: from client.example (localhost [127.0.0.1])\r\n"
            f"\tby mx.example.test (Paquebot) with ESMTPSA id ID ({agreed}:NO){user}\r\n"
            "\tfor <alice@example.test>;\r\n" + DATE
        )


@pytest.mark.parametrize(
    ("greeting", "mail", "protocol"),
    [
        ("HELO client.example", "MAIL FROM:<>", "SMTP"),
        ("EHLO client.example", "MAIL FROM:<>", "ESMTP"),
        ("EHLO client.example", "MAIL FROM:<> SMTPUTF8", "UTF8SMTP"),
    ],
)
async def test_the_protocol_has_its_registered_name(greeting: str, mail: str, protocol: str) -> None:
    """RFC 3848 and RFC 6531, 4.3."""
    async with serve() as served:
        client = await served.connect()
        await client.reply()
        await client.ask(greeting)
        assert f" with {protocol} id ID\r\n" in await field(served, client, "alice@example.test", mail=mail)


async def test_a_client_of_this_machine_is_told_by_its_socket(tmp_path: Path) -> None:
    listener = Listener(name="mx", role="LMTP", address=f"unix:{tmp_path / 'mx.sock'}")
    async with serve(listener) as served:
        client = await served.connect()
        await client.reply()
        await client.ask("LHLO client.example")
        received = await field(served, client, "alice@example.test")
        first, second, *_ = received.split("\r\n")
        assert first.startswith("Received: from client.example (")
        assert first.endswith(" [local])")
        assert second == "\tby mx.example.test (Paquebot) with LMTP id ID"


@pytest.mark.parametrize("role", ["MX", "LMTP"])
async def test_nothing_but_the_trace_field_is_added_to_mail_from_outside(role: str) -> None:
    """An MX rewrites nothing: not what submission completes, drops or masquerades."""
    content = b"bcc: hidden@x.test\r\nFrom: joe\r\nTo: nobody in particular\r\n\r\nbody\r\n"
    listener = Listener(name="mx", role="LMTP" if role == "LMTP" else "MX")
    async with serve(listener) as served:
        client = await served.connect()
        await client.reply()
        await client.ask("LHLO a.example" if role == "LMTP" else "EHLO a.example")
        await client.envelope()
        assert (await client.data(content + b".\r\n")).startswith("250")
        assert served.spool.contents() == [content]
