"""A filter hears of its own sessions what it registered for, and of others no more than it must know."""

import asyncio
from pathlib import Path

import pytest

from paquebot_mta.config.filters import Process
from paquebot_mta.filter.contract import Facts, FilterError
from paquebot_mta.filter.decisions import PROCEED
from paquebot_mta.filter.process import channel, hearing
from paquebot_mta.filter.tools import Places
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import (
    Direction,
    LinkConnect,
    LinkDisconnect,
    LinkIdentify,
    ProtocolClient,
    TxBegin,
    TxRcpt,
    TxReset,
)
from tests.mta.filter.process.stage import M, Notices, S, facts, probe, running, until

ALL = "report:smtp-in:*,filter:smtp-in:helo,filter:smtp-in:rcpt-to"


def _connect(session: str = S, endpoint: str = "mx", direction: Direction = "in") -> LinkConnect:
    return LinkConnect(
        direction=direction, session=SessionId(session), endpoint=endpoint, source="192.0.2.1:25", destination="x:25"
    )


def _heard(log: Path) -> list[str]:
    """Events and parameters, without times."""
    lines = [line.split("|", 6) for line in log.read_text().splitlines()]
    return [f"{line[3]}|{line[4]}|{'|'.join(line[6:])}" for line in lines if line[0] == "report"]


async def test_a_filter_hears_its_listener_s_sessions_in_order(tmp_path: Path) -> None:
    log, bus = tmp_path / "log", Bus()
    async with running(bus, Process(command=probe("proceed", ALL, log))) as found:
        bus.emit(_connect())
        await found.decide("helo", facts(), "client.example")
        bus.emit(LinkIdentify(direction="in", session=S, endpoint="mx", method="EHLO", identity="client.example"))
        bus.emit(_connect("2" * 16, endpoint="submission"))
        bus.emit(_connect("3" * 16, endpoint="mx", direction="out"))
        bus.emit(LinkDisconnect(direction="in", session=S, endpoint="mx"))
        bus.emit(TxBegin(direction="in", session=S, endpoint="mx", msgid=M))
        assert found.status().sessions == 0
        await found.decide("helo", facts("5" * 16), "the end")
    kinds = [line.split("|")[4] for line in log.read_text().splitlines() if not line.startswith("config")]
    assert kinds[:4] == ["link-connect", "helo", "link-identify", "link-disconnect"]
    assert "submission" not in log.read_text()
    assert "smtp-out" not in log.read_text().replace("config|subsystem|smtp-out", "")


async def test_a_filter_hears_only_what_it_registered_for(tmp_path: Path) -> None:
    log, bus = tmp_path / "log", Bus()
    wanted = "report:smtp-in:tx-begin,report:smtp-out:tx-reset,filter:smtp-in:helo"
    places = Places(listeners=frozenset({"mx"}), relays=frozenset({"out"}))
    async with running(bus, Process(command=probe("proceed", wanted, log)), places) as found:
        for session, endpoint, direction in ((S, "mx", "in"), (SessionId("2" * 16), "out", "out")):
            way: Direction = "in" if direction == "in" else "out"
            bus.emit(_connect(session, endpoint, way))
            bus.emit(TxBegin(direction=way, session=session, endpoint=endpoint, msgid=M))
            bus.emit(TxReset(direction=way, session=session, endpoint=endpoint, msgid=M))
            bus.emit(LinkDisconnect(direction=way, session=session, endpoint=endpoint))
        await found.decide("helo", facts(), "the end")
    assert _heard(log) == [f"smtp-in|tx-begin|{M}", f"smtp-out|tx-reset|{M}"]


def _with_transaction() -> Facts:
    known = facts()
    known.user, known.tls = "joe", "TLSv1.3:TLS_AES_256_GCM_SHA384:256"
    known.msgid, known.reverse_path, known.recipients = M, "", ["a@one.test", "b@two.test"]
    return known


async def test_a_session_that_began_before_is_introduced(tmp_path: Path) -> None:
    log, bus = tmp_path / "log", Bus()
    async with running(bus, Process(command=probe("proceed", ALL, log))) as found:
        for _ in range(2):
            await found.decide("rcpt-to", _with_transaction(), "c@one.test")
    assert _heard(log) == [
        "smtp-in|link-connect|client.example|pass|192.0.2.1:2525|192.0.2.9:0",
        "smtp-in|link-greeting|mx.example.test",
        "smtp-in|link-tls|TLSv1.3:TLS_AES_256_GCM_SHA384:256",
        "smtp-in|link-identify|EHLO|client.example",
        "smtp-in|link-auth|pass|joe",
        f"smtp-in|tx-begin|{M}",
        f"smtp-in|tx-mail|{M}|ok|",
        f"smtp-in|tx-rcpt|{M}|ok|a@one.test",
        f"smtp-in|tx-rcpt|{M}|ok|b@two.test",
    ]


async def test_a_domain_s_filter_never_hears_of_other_domains_recipients(tmp_path: Path) -> None:
    log, bus = tmp_path / "log", Bus()
    places = Places(domains=frozenset({"two.test"}))
    async with running(bus, Process(command=probe("proceed", ALL, log)), places) as found:
        bus.emit(_connect())
        assert found.status().sessions == 0
        await found.decide("rcpt-to", _with_transaction(), "c@two.test")
        for address in ("d@one.test", "e@two.test"):
            bus.emit(ProtocolClient(direction="in", session=S, endpoint="mx", command=f"RCPT TO:<{address}>"))
            bus.emit(TxRcpt(direction="in", session=S, endpoint="mx", msgid=M, result="ok", address=address))
        bus.emit(TxReset(direction="in", session=S, endpoint="mx", msgid=M))
        bus.emit(LinkDisconnect(direction="in", session=S, endpoint="mx"))
        await found.decide("helo", facts("5" * 16), "the end")
    heard = "\n".join(_heard(log))
    assert "one.test" not in heard
    assert heard.count("two.test") == 2
    assert f"tx-reset|{M}" in heard
    assert "protocol-client" not in heard


async def test_a_filter_that_does_not_read_loses_its_sessions_and_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "MAX_WAITING_BYTES", 100_000)
    bus, log = Bus(), tmp_path / "log"
    settings = Process(command=probe("hang", ALL, log), timeout_seconds=30)
    async with running(bus, settings) as found:
        bus.emit(_connect())
        waiting = found.decide("helo", facts("4" * 16), "x")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting, 0.1)
        for _ in range(2_000):
            bus.emit(ProtocolClient(direction="in", session=S, endpoint="mx", command="x" * 500))
        assert found.status().lost == 1
        with pytest.raises(FilterError, match="lost"):
            await found.decide("helo", facts(), "x")


async def test_a_filter_that_loses_too_many_sessions_is_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "MAX_WAITING_BYTES", 0)
    monkeypatch.setattr(hearing, "MAX_LOST_SESSIONS", 20)
    bus, log = Bus(), tmp_path / "log"
    notices = Notices(bus)
    settings = Process(command=probe("proceed", "report:smtp-in:*", log), timeout_seconds=30)
    async with running(bus, settings) as found:
        for number in range(20):
            _pass_by(bus, f"{number:016x}")
        assert found.trouble() == ""
        _pass_by(bus, "f" * 16)
        assert found.trouble() == "it is being started again"
        _pass_by(bus, "e" * 16)
        monkeypatch.undo()
        await until(lambda: found.status().restarts == 1 and not found.trouble())
        assert "lost reports of 20 sessions" in str(notices.named("filter.timeout")[0].details["cause"])
        _pass_by(bus, "d" * 16)
        await until(lambda: "d" * 16 in log.read_text())
    assert [line.split("|")[1] for line in _heard(log)] == ["link-connect", "link-disconnect"]


def _pass_by(bus: Bus, session: str) -> None:
    bus.emit(_connect(session))
    bus.emit(LinkDisconnect(direction="in", session=SessionId(session), endpoint="mx"))


async def test_a_lost_session_is_ended_for_the_filter_and_may_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus, log = Bus(), tmp_path / "log"
    async with running(bus, Process(command=probe("proceed", ALL, log))) as found:
        bus.emit(_connect())
        monkeypatch.setattr(channel, "MAX_WAITING_BYTES", 0)
        bus.emit(TxBegin(direction="in", session=S, endpoint="mx", msgid=M))
        bus.emit(TxReset(direction="in", session=S, endpoint="mx", msgid=M))
        monkeypatch.undo()
        assert found.status().lost == 1
        assert await found.decide("helo", facts(), "x") == PROCEED
    names = [line.split("|")[1] for line in _heard(log)]
    assert names == ["link-connect", "link-disconnect", "link-connect", "link-greeting", "link-identify"]


async def test_a_filter_started_anew_hears_of_sessions_that_went_on(tmp_path: Path) -> None:
    bus, log = Bus(), tmp_path / "log"
    async with running(bus, Process(command=probe("die", ALL, log))) as found:
        bus.emit(_connect())
        for _ in range(2):
            await until(lambda: not found.trouble())
            with pytest.raises(FilterError):
                await found.decide("helo", facts(), "x")
    assert [line.split("|")[1] for line in _heard(log)].count("link-connect") == 2
