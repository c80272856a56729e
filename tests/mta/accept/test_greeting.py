"""Before the first command: names, early talkers, limits; and the end, when the service goes down."""

import asyncio
from pathlib import Path
from typing import Any, Literal

import pytest

from paquebot_mta.accept.policy import PolicyError
from paquebot_mta.accept.session import MtaSession
from paquebot_mta.config.listeners import Listener, ProxyProtocol, ServerAuth
from paquebot_mta.config.service import Limits
from paquebot_mta.telemetry.events import Attempt, LimitHit, LinkConnect, LinkDisconnect, Notice
from tests.mta.accept.support import DictTable, Rules, Served, make_policy, serve

Fcrdns = Literal["pass", "fail", "error"]


class Wire(asyncio.Transport):
    """A transport in the hand of the test, with a client at a documentation address."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 4711), "sockname": ("192.0.2.1", 25)})
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True


async def _connect(served: Served) -> tuple[MtaSession, Wire]:
    policy = served.acceptor.policy_of("mx")
    assert policy is not None
    session, wire = MtaSession(served.acceptor, policy), Wire()
    session.connection_made(wire)
    return session, wire


async def test_the_verified_name_stands_in_the_first_event() -> None:
    async def lookup_name(address: str) -> tuple[str, Fcrdns]:
        assert address == "192.0.2.7"
        return ("client.example", "pass")

    async with serve(lookup_name=lookup_name) as served:
        session, wire = await _connect(served)
        await served.until(lambda: wire.written.startswith(b"220 "))
        (event,) = served.of(LinkConnect)
        assert event.fields() == ("client.example", "pass", "192.0.2.7:4711", "192.0.2.1:25")
        session.connection_lost(None)


async def test_a_name_that_can_not_be_found_is_unknown() -> None:
    async def lookup_name(address: str) -> tuple[str, Fcrdns]:
        raise TimeoutError

    async with serve(lookup_name=lookup_name) as served:
        session, wire = await _connect(served)
        await served.until(lambda: wire.written.startswith(b"220 "))
        assert [each.fields()[:2] for each in served.of(LinkConnect)] == [("<unknown>", "error")]
        session.connection_lost(None)


async def test_a_client_that_talks_before_the_banner_is_refused() -> None:
    may_answer = asyncio.Event()

    async def lookup_name(address: str) -> tuple[str, Fcrdns]:
        await may_answer.wait()
        return ("client.example", "pass")

    async with serve(lookup_name=lookup_name) as served:
        session, wire = await _connect(served)
        session.data_received(b"EHLO eager.example\r\n")
        may_answer.set()
        await served.until(lambda: wire.closed)
        assert wire.written == b"554 5.5.0 Protocol synchronization error\r\n"
        assert [line.split("|")[0] for line in served.reports()] == ["link-connect", "protocol-server"]
        session.connection_lost(None)


@pytest.mark.parametrize(
    ("limits", "code", "limit"),
    [
        (Limits(sessions=1), "421 4.3.2", "session"),
        (Limits(sessions_per_client=1), "421 4.7.0", "per_ip"),
    ],
)
async def test_too_many_sessions_are_refused_instead_of_the_banner(limits: Limits, code: str, limit: str) -> None:
    async with serve(limits=limits) as served:
        first = await served.greeted()
        second = await served.connect()
        assert (await second.reply()).startswith(code)
        assert await second.closed()
        assert [each.limit for each in served.of(LimitHit)] == [limit]
        assert len(served.of(Attempt)) == 1
        await first.ask("QUIT")
        await served.finished()
        assert [each.reason for each in served.of(LinkDisconnect)] == ["limit", "quit"]
        assert (await (await served.connect()).reply()).startswith("220")


async def test_a_unix_socket_is_local(tmp_path: Path) -> None:
    path = tmp_path / "smtp.sock"
    listener = Listener(name="local", address=f"unix:{path}")
    for _ in range(2):  # the second time over the socket that was left behind
        async with serve(listener) as served:
            client = await served.greeted("local")
            await client.envelope()
            await client.data(b"a: b\r\n\r\n.\r\n")
            (facts, _, _) = served.rules.asked[0]
            assert (facts.client_address, facts.local) == ("local", True)
            assert served.reports()[0].startswith("link-connect|localhost|pass|unix:")
            ((_, content),) = served.spool.stored.values()
            assert content.startswith(b"Received: from client.example (localhost [local])\r\n\tby mx.example.test")


async def test_an_address_in_use_names_the_listener() -> None:
    async with serve() as served:
        host, _, port = served.acceptor.addresses()["mx"].rpartition(":")
        other = Listener(name="other", address="192.0.2.1", port=int(port))
        with pytest.raises(OSError, match=r"listener other: 192\.0\.2\.1"):
            async with serve(other):
                raise AssertionError(host)


async def test_a_drain_says_goodbye_to_the_idle_and_lets_transactions_finish() -> None:
    async with serve() as served:
        idle, busy = await served.greeted(), await served.greeted()
        await busy.envelope()
        draining = asyncio.create_task(served.acceptor.drain(5))
        assert (await idle.reply()).startswith("421 4.3.2")
        assert (await busy.data(b"a: b\r\n\r\n.\r\n")).startswith("250")
        assert (await busy.reply()).startswith("421 4.3.2")
        await draining
        assert len(served.accepted) == 1
        assert [each.reason for each in served.of(LinkDisconnect)] == ["shutdown", "shutdown"]
        with pytest.raises(OSError, match=r"refused|Connect"):
            await served.connect()


async def test_a_drain_ends_after_the_grace_time() -> None:
    async with serve() as served:
        client = await served.greeted()
        await client.envelope()
        await served.acceptor.drain(0.05)
        assert served.acceptor.sessions == 0
        assert served.spool.drafts[0].aborted


async def test_another_policy_holds_from_the_next_transaction_on() -> None:
    async with serve(limits=Limits(recipients=1)) as served:
        client = await served.greeted()
        await client.envelope()
        await served.acceptor.replace_policy(make_policy(served.rules, limits=Limits(recipients=2)))
        assert (await client.ask("RCPT TO:<bob@example.test>")).startswith("452")
        await client.ask("RSET")
        await client.envelope("alice@example.test", "bob@example.test")


async def test_a_pause_refuses_new_sessions_only() -> None:
    async with serve() as served:
        client = await served.greeted()
        served.acceptor.pause(True)
        assert (await (await served.connect()).reply()).startswith("421 4.3.2")
        await client.envelope()
        assert (await client.data(b"a: b\r\n\r\n.\r\n")).startswith("250")
        served.acceptor.pause(False)
        assert (await (await served.connect()).reply()).startswith("220")
        assert served.of(LimitHit) == []


@pytest.mark.parametrize(
    "listener",
    [
        Listener(name="mx", filters=("spam",)),
        Listener(name="mx", hostnames="missing"),
        Listener(name="mx", auth=ServerAuth(credentials="missing")),
    ],
)
def test_a_listener_that_can_not_be_served_as_configured_is_named(listener: Listener) -> None:
    with pytest.raises(PolicyError, match="listener mx: "):
        make_policy(Rules(), listener)


async def test_a_table_of_host_names_goes_by_the_local_address() -> None:
    names = {"192.0.2.9": "nine.example.test"}
    listener = Listener(name="mx", hostnames="names", proxy_protocol=ProxyProtocol(trusted=("127.0.0.0/8",)))
    async with serve(listener, tables={"names": DictTable(names)}) as served:
        for local, name in (("192.0.2.9", "nine.example.test"), ("192.0.2.8", "mx.example.test")):
            client = await served.connect()
            await client.send(f"PROXY TCP4 198.51.100.1 {local} 4711 25\r\n")
            assert await client.reply() == f"220 {name} ESMTP Paquebot"
            assert (await client.ask("EHLO client.example")).startswith(f"250-{name} Hello")
            await client.envelope()
            await client.data(b"a: b\r\n\r\n.\r\n")
            content = list(served.spool.stored.values())[-1][1]
            assert f"\tby {name} (Paquebot)".encode() in content


async def test_host_names_that_can_not_be_looked_up_cost_no_session() -> None:
    listener = Listener(name="mx", hostnames="names")
    async with serve(listener, tables={"names": DictTable(None)}) as served:
        assert (await (await served.connect()).reply()).startswith("220 mx.example.test")
        assert [each.event for each in served.of(Notice)] == ["smtp-in.hostname"]
