"""A subscriber that ends loses what it was given last, which is counted; what it was not given waits for the next."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import pytest
import uvloop

from paquebot_mta.config.reports import Subscriber
from paquebot_mta.filter.reports.subscribers import Subscribers
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import ProtocolClient
from tests.mta.filter.process.stage import S, until

pytestmark = pytest.mark.timeout(30)

LINES: Final = 2_000
GIVEN_BYTES: Final = 65_536
"""At most so much is lost with one that ends."""
Run = Callable[[Coroutine[Any, Any, None]], None]


def _emit(bus: Bus, count: int) -> None:
    for _ in range(count):
        bus.emit(ProtocolClient(direction="in", session=S, endpoint="mx", command="x" * 500))


async def _numbers(reader: asyncio.StreamReader, got: list[int]) -> None:
    while line := await reader.readline():
        got.append(int(line.split(b"|", 1)[0]))


async def _one_that_ends(path: Path) -> None:
    bus, got, end, lives = Bus(), list[int](), asyncio.Event(), list[int]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lives.append(1)
        if len(lives) == 1:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await end.wait()
        else:
            await _numbers(reader, got)
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    subscribers = Subscribers(bus, lambda: 1.5)
    await subscribers.apply({"probe": Subscriber(socket=str(path))})
    await until(lambda: bool(lives))
    _emit(bus, LINES)
    await asyncio.sleep(0.05)
    end.set()
    await until(lambda: bool(got) and got[-1] == LINES)
    missing = LINES - len(got)
    assert 0 < missing < GIVEN_BYTES / 500
    assert 0 < subscribers.dropped() <= missing
    await subscribers.close()
    server.close()


async def _one_with_a_queue_at_the_end(path: Path) -> None:
    bus, got, done = Bus(), list[int](), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _numbers(reader, got)
        writer.close()
        done.set()

    server = await asyncio.start_unix_server(serve, path)
    subscribers = Subscribers(bus, lambda: 1.5)
    await subscribers.apply({"probe": Subscriber(socket=str(path))})
    _emit(bus, 1)
    await until(lambda: bool(got))
    _emit(bus, LINES - 1)
    await subscribers.close()
    await done.wait()
    assert len(got) == LINES
    assert subscribers.dropped() == 0
    server.close()


async def _one_that_never_came(path: Path) -> None:
    bus = Bus()
    subscribers = Subscribers(bus, lambda: 1.5)
    await subscribers.apply({"probe": Subscriber(socket=str(path))})
    _emit(bus, 3)
    await subscribers.close()
    assert subscribers.dropped() == 3


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("of", [_one_that_ends, _one_with_a_queue_at_the_end, _one_that_never_came])
def test_lines_are_handed_on_or_counted(
    of: Callable[[Path], Coroutine[Any, Any, None]], run: Run, tmp_path: Path
) -> None:
    run(of(tmp_path / "socket"))
