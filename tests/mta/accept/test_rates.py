"""Counts in sliding windows, and what clients are told that do things too often."""

import asyncio
import itertools
import time
from pathlib import Path

import pytest

from paquebot_mta.accept.crowd import Crowd
from paquebot_mta.accept.rates import HOUR, RateCounter, client_of, network_of
from paquebot_mta.accept.stress import Stress, memory_used
from paquebot_mta.config.listeners import Listener, ProxyProtocol, ServerTls
from paquebot_mta.config.rates import Rates
from paquebot_mta.config.service import Limits
from paquebot_mta.telemetry.events import Event, LimitHit, Notice
from tests.mta.accept.conftest import Identity
from tests.mta.accept.support import Client, serve


class Clock:
    def __init__(self) -> None:
        self.now = 600.0

    def __call__(self) -> float:
        return self.now


def test_a_window_slides() -> None:
    clock = Clock()
    rates = RateCounter(clock)
    assert [rates.take("message", "a", 2) for _ in range(3)] == [True, True, False]
    assert rates.take("message", "b", 2)
    clock.now += 75  # a quarter into the next minute: three quarters of the two still count
    assert [rates.take("message", "a", 2) for _ in range(2)] == [False, False]
    clock.now += 30
    assert [rates.take("message", "a", 2) for _ in range(2)] == [True, False]
    clock.now += 120
    assert not rates.reached("message", "a", 1)


def test_no_limit_counts_nothing_and_memory_is_bounded() -> None:
    rates = RateCounter(Clock(), keys=10)
    assert all(rates.take("session", str(number), 0) for number in range(100))
    assert rates._counts == {}
    for number in range(100):
        rates.take("session", str(number), 1)
    assert len(rates._counts) == 10
    assert not rates.take("session", "99", 1, HOUR) or rates.take("session", "0", 1)


@pytest.mark.parametrize(
    ("address", "client", "network"),
    [
        ("192.0.2.77", "192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("local", "local", "local"),
    ],
)
def test_neighbours_are_counted_together(address: str, client: str, network: str) -> None:
    assert (client_of(address), network_of(address)) == (client, network)


class Session:
    deadline = 0.0

    def hurry(self, until: float) -> None: ...

    def expire(self, now: float) -> None: ...

    def wind_down(self) -> None: ...

    def abandon(self) -> None: ...


def test_sessions_are_limited_by_network() -> None:
    crowd, limits = Crowd(), Limits(sessions_per_network=2)
    here = [Session() for _ in range(2)]
    for number, session in enumerate(here):
        assert crowd.refusal(limits, f"192.0.2.{number}") is None
        crowd.add(session, f"192.0.2.{number}")
    refusal = crowd.refusal(limits, "192.0.2.9")
    assert refusal is not None
    assert str(refusal) == "421 4.7.0 Too many sessions from your network, try again later"
    assert crowd.refusal(limits, "198.51.100.1") is None
    crowd.remove(here[0], "192.0.2.0")
    assert crowd.refusal(limits, "192.0.2.9") is None


def test_the_addresses_of_one_site_are_one_client() -> None:
    crowd, limits = Crowd(), Limits(sessions_per_client=2)
    here = [Session() for _ in range(2)]
    for number, session in enumerate(here):
        assert crowd.refusal(limits, f"2001:db8:1:2::{number}") is None
        crowd.add(session, f"2001:db8:1:2::{number}")
    refusal = crowd.refusal(limits, "2001:db8:1:2:ffff::9")
    assert refusal is not None
    assert str(refusal).startswith("421 4.7.0 ")
    assert crowd.refusal(limits, "2001:db8:1:3::1") is None
    crowd.remove(here[1], "2001:db8:1:2::1")
    assert crowd.refusal(limits, "2001:db8:1:2:ffff::9") is None


def test_neighbours_of_the_old_family_are_clients_of_their_own() -> None:
    crowd, limits = Crowd(), Limits(sessions_per_client=1)
    crowd.add(Session(), "192.0.2.1")
    assert crowd.refusal(limits, "192.0.2.1") is not None
    assert crowd.refusal(limits, "192.0.2.2") is None


async def test_a_session_too_many_from_a_network_is_told_so() -> None:
    listener = Listener(name="mx", proxy_protocol=ProxyProtocol(trusted=("127.0.0.0/8",)))
    async with serve(listener, limits=Limits(sessions_per_network=2)) as served:
        replies = []
        for client_address in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1"):
            client = await served.connect()
            await client.send(f"PROXY TCP4 {client_address} 203.0.113.9 1 25\r\n")
            replies.append(await client.reply())
        assert [reply[:3] for reply in replies] == ["220", "220", "421", "220"]
        assert replies[2] == "421 4.7.0 Too many sessions from your network, try again later"
        assert len(served.of(LimitHit)) == 1


async def test_connections_of_a_client_in_a_minute_are_limited() -> None:
    async with serve(limits=Limits(rates=Rates(sessions_per_minute=2))) as served:
        replies = [await (await served.connect()).reply() for _ in range(3)]
        assert [reply[:9] for reply in replies] == ["220 mx.ex", "220 mx.ex", "421 4.7.0"]
        assert [each.limit for each in served.of(LimitHit)] == ["rate"]


async def test_messages_and_recipients_of_a_client_in_a_minute_are_limited() -> None:
    rates = Rates(messages_per_minute=3, recipients_per_minute=2)
    async with serve(limits=Limits(rates=rates)) as served:
        for code in ("250", "250", "450"):
            client = await served.greeted()
            assert (await client.ask("MAIL FROM:<>")).startswith("250")
            assert (await client.ask("RCPT TO:<alice@example.test>")).startswith(code)
        assert await (await served.greeted()).ask("MAIL FROM:<>") == (
            "450 4.7.1 Too much mail from your address, try again later"
        )
        assert [each.limit for each in served.of(LimitHit)] == ["rate", "rate"]


async def test_a_client_behind_a_proxy_is_limited_not_the_proxy() -> None:
    listener = Listener(name="mx", proxy_protocol=ProxyProtocol(trusted=("127.0.0.0/8",)))
    async with serve(listener, limits=Limits(rates=Rates(sessions_per_minute=1))) as served:
        codes = []
        for client_address in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
            client = await served.connect()
            await client.send(f"PROXY TCP4 {client_address} 192.0.2.9 1 25\r\n")
            codes.append((await client.reply())[:3])
        assert codes == ["220", "220", "421"]


@pytest.mark.parametrize(
    ("lag", "sessions", "memory"), [(0.6, 0, 0.0), (0.0, 90, 0.0), (0.0, 0, 0.9)], ids=["lag", "sessions", "memory"]
)
def test_stress_begins_with_any_shortage_and_is_told_once(lag: float, sessions: int, memory: float) -> None:
    told: list[Event] = []
    used = [memory]
    stress = Stress(told.append, lambda: used[0])
    limits = Limits(sessions=100)
    assert [stress.judge(lag_seconds=lag, sessions=sessions, limits=limits) for _ in range(2)] == [True, False]
    used[0] = 0.0
    assert not stress.judge(lag_seconds=0.0, sessions=0, limits=limits)
    assert [each.event for each in told if isinstance(each, Notice)] == ["smtp-in.stress", "smtp-in.stress-over"]


def test_memory_is_measured_against_the_containers_limit(tmp_path: Path) -> None:
    assert memory_used(tmp_path) == 0.0
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_used(tmp_path) == 0.0
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("anon 250\nfile 700\n")
    assert memory_used(tmp_path) == 0.25


async def test_under_stress_clients_are_waited_for_a_short_time_only() -> None:
    async with serve(limits=Limits(sessions=2, stress_timeout_seconds=1)) as served:
        waiting = [await served.greeted() for _ in range(2)]
        await served.until(lambda: served.acceptor.stressed)
        assert [(await client.reply())[:9] for client in waiting] == ["421 4.4.2"] * 2
        await served.until(lambda: not served.acceptor.stressed)


async def _drip(clients: list[Client], texts: list[bytes]) -> None:
    """Send each client's text a byte at a time, for ever."""
    for place in itertools.count():
        for client, text in zip(clients, texts, strict=True):
            if not client.writer.is_closing():
                client.writer.write(text[place % len(text) :][:1])
        await asyncio.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_thousand_slow_clients_leave_a_fast_one_alone(identity: Identity) -> None:
    """They drip into commands, content and handshakes; the fast one's whole transactions stay below a second."""
    limits = Limits(sessions=2_000, sessions_per_client=2_000)
    tls = ServerTls(mode="Implicit", certificates=("main",))
    listeners = (Listener(name="mx"), Listener(name="smtps", address="127.0.0.2", tls=tls))
    async with serve(*listeners, limits=limits, certificates={"main": identity.certificate}) as served:
        talking = [await served.connect() for _ in range(400)]
        sending = [await served.greeted() for _ in range(300)]
        for client in sending:
            await client.envelope()
            await client.ask("DATA")
        shaking = [await served.connect("smtps") for _ in range(300)]
        texts = [b"EHLO a "] * 400 + [b"x: y\r\n"] * 300 + [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] * 300
        dripping = asyncio.create_task(_drip([*talking, *sending, *shaking], texts))
        took = []
        for _ in range(20):
            began = time.monotonic()
            client = await served.greeted()
            await client.envelope()
            assert (await client.data(b"a: b\r\n\r\n.\r\n")).startswith("250")
            await client.ask("QUIT")
            took.append(time.monotonic() - began)
            await asyncio.sleep(0.1)
        dripping.cancel()
        assert max(took) < 1.0
        assert served.acceptor.sessions >= 1_000
