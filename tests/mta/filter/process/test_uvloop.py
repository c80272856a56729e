"""The event loop of a worker is uvloop's: children, sockets and streams work there as on asyncio's own."""

import asyncio
import gc
import os
import socket
from pathlib import Path

import pytest
import uvloop

from paquebot_mta.config.filters import Process
from paquebot_mta.config.reports import Subscriber
from paquebot_mta.filter.decisions import PROCEED
from paquebot_mta.filter.process.channel import Channel
from paquebot_mta.filter.process.connect import ChildWay, OnErrorLine, _Child
from paquebot_mta.filter.process.registration import Introduction
from paquebot_mta.filter.reports.subscribers import Subscribers
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import TxReset
from tests.mta.filter.process.stage import M, Notices, S, facts, probe, running, until


async def _one_life() -> list[str]:
    bus = Bus()
    notices = Notices(bus)
    async with running(bus, Process(command=probe("die", "filter:smtp-in:helo"))) as found:
        answers = await asyncio.gather(found.decide("helo", facts(), "x"), return_exceptions=True)
        assert isinstance(answers[0], Exception)
        await until(lambda: found.status().restarts == 1 and not found.trouble())
    async with running(bus, Process(command=probe("same", "filter:smtp-in:data-line"))) as found:
        lines = found.open_lines(facts())
        content = b"x" * 998 + b"\r\n"
        got = [await lines.feed(content * 100) for _ in range(20)]
        assert b"".join([*got, await lines.finish()]) == content * 2_000
    async with running(bus, Process(command=probe("proceed"))) as found:
        assert await found.decide("helo", facts(), "x") == PROCEED
    return [each.event for each in notices.all]


async def _subscribe(path: Path) -> None:
    bus = Bus()
    subscribers = Subscribers(bus, lambda: 1.0)
    await subscribers.apply({"a": Subscriber(command=("/bin/sh", "-c", f"cat > {path}"))})
    bus.emit(TxReset(direction="in", session=S, endpoint="mx", msgid=M))
    await until(lambda: path.exists() and path.stat().st_size > 0)
    await subscribers.close()


def test_filters_run_on_uvloop() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        events = runner.run(_one_life())
    assert events.count("filter.started") == 4
    assert events.count("filter.crashed") == 1


def test_subscribers_run_on_uvloop(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_subscribe(tmp_path / "copy"))
    assert (tmp_path / "copy").read_text().startswith("1|report|0.7|")


def test_a_program_that_is_gone_at_once_closes_nothing_that_is_somebody_else_s(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_die_at_once(monkeypatch, tmp_path))


async def _die_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Reach a program that has ended before it is told anything, and open files meanwhile, as others do."""
    start = ChildWay._start

    async def started(way: ChildWay, its: socket.socket, on_error_line: OnErrorLine) -> _Child:
        child = await start(way, its, on_error_line)
        its.close()
        await child._exited.wait()
        return child

    monkeypatch.setattr(ChildWay, "_start", started)
    files = []
    for number in range(5):
        channel = Channel(Introduction(), lambda answer: None, lambda cause, reason: None)
        running = await ChildWay(("/bin/false",)).connect(channel, lambda line: None)
        await channel.registered
        files.append((tmp_path / str(number)).open("w"))
        await running.stop(0.0)
        channel.abort()
        del channel, running
        gc.collect()
        await asyncio.sleep(0.01)
    for each in files:
        os.fstat(each.fileno())
        each.close()
