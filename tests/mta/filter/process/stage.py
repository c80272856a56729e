"""A process filter on a stage: a real child, a real bus, and what it was told and said about it."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from paquebot_mta.config.filters import Process
from paquebot_mta.filter.contract import Facts
from paquebot_mta.filter.process.process_filter import ProcessFilter, build_process
from paquebot_mta.filter.tools import Places, Tools
from paquebot_mta.mail.ids import Msgid, SessionId
from paquebot_mta.resolver.questions import Resolver
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import Event, Notice

PROBE = str(Path(__file__).with_name("probe.py"))
S = SessionId("7641df9771b4ed00")
M = Msgid("508f4cf1")


def facts(session: str = S, endpoint: str = "mx") -> Facts:
    """Facts of a session that said EHLO."""
    return Facts(
        session=SessionId(session), endpoint=endpoint, client_address="192.0.2.1", client_port=2525,
        client_name="client.example", fcrdns="pass", hostname="mx.example.test", local_address="192.0.2.9",
        helo="client.example", method="EHLO",
    )  # fmt: skip


def probe(mode: str, wanted: str = "filter:smtp-in:helo", log: Path | None = None) -> tuple[str, ...]:
    """The command of the probe."""
    return (sys.executable, "-I", "-S", PROBE, mode, wanted, *([str(log)] if log else []))


class Notices:
    """What was said on a bus about filters."""

    def __init__(self, bus: Bus) -> None:
        self.all: list[Notice] = []
        bus.subscribe(self._take)

    def _take(self, event: Event) -> None:
        if isinstance(event, Notice):
            self.all.append(event)

    def named(self, name: str) -> list[Notice]:
        """Those of a name."""
        return [notice for notice in self.all if notice.event == name]


def _no_resolver() -> Resolver:
    raise AssertionError("process filters ask no name server")


def tools(bus: Bus) -> Tools:
    """The world around a filter."""
    return Tools(
        bus=bus, resolver=_no_resolver, tables=dict, wall_clock=time.time, monotonic=time.monotonic,
        randbits=lambda bits: 4, hostname="mx.example.test",
    )  # fmt: skip


MX = Places(listeners=frozenset({"mx"}))


@asynccontextmanager
async def running(bus: Bus, settings: Process, places: Places = MX) -> AsyncIterator[ProcessFilter]:
    """Run a filter to the end of the block."""
    found = build_process("probe", settings, places, tools(bus))
    await found.start()
    try:
        yield found
    finally:
        await found.close()


async def until(ready: Callable[[], bool], timeout_seconds: float = 10.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(timeout_seconds):
        while not ready():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.01)
