"""`python -m bench.queue`: a queue of a million. Start, memory, many due at once, and what compaction leaves.

Three queues, each written first as a stopped Paquebot would leave it. On the first one Paquebot starts. On the second
all is told to be delivered at once, while short sessions of other clients note how long each took. Of the third, all
but one message in a hundred is delivered and the others wait on; then the queue keeps house as it does each minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from statistics import median, quantiles

import click
from msgspec import Struct, json
from rich.console import Console

from bench.machine import disk_directory
from bench.scale import Ground, measured_ground
from bench.scale_queue import Filling, fill
from bench.usage import cpu_of, pss_bytes_of
from paquebot_mta.config.service import Queue
from paquebot_mta.mail.envelope import EnvelopeState, Result
from paquebot_mta.spool.journal import Journal
from paquebot_mta.spool.open import open_spool
from paquebot_mta.spool.options import JournalOptions
from tests.support.paquebot import Paquebot
from tests.support.paquebot_config import FAR
from tests.support.processes import LOOPBACK, PeerProcess, peer_directory

RESULTS = Path(__file__).parent / "results"
START_SECONDS = 600.0
SETTLE_SECONDS = 2.0
SESSIONS, PAUSE_SECONDS = 5, 0.1
KEPT_ONE_OF = 100
LATER_SECONDS = 6 * 3_600.0
_DOMAINS = [f"domain{number}.test" for number in range(1_000)]


class Start(Struct, frozen=True, kw_only=True):
    """A start on a long queue, and the CPU that it took; memory is all of the process (PSS)."""

    messages: int
    written_seconds: float
    ready_seconds: float
    cpu_seconds: float
    pss_bytes: int


class Stall(Struct, frozen=True, kw_only=True):
    """Whole sessions of one small message, from connect to the reply after the final dot, in milliseconds."""

    due: int
    alone_p99_milliseconds: float
    sessions: int
    median_milliseconds: float
    p99_milliseconds: float
    delivered: int


class Compaction(Struct, frozen=True, kw_only=True):
    """The segments of a queue whose messages were delivered but for one of a hundred, in bytes."""

    messages: int
    live_bytes: int
    before_bytes: int
    after_bytes: int
    seconds: float

    @property
    def factor(self) -> float:
        """What is held in all for each live byte."""
        return self.after_bytes / self.live_bytes


class PatientPaquebot(Paquebot):
    """An instance that may take long to be ready."""

    def _start(self) -> PeerProcess:
        process = PeerProcess(self._argv(), self.log_path)
        process.wait_for(self.is_ready, "readiness", timeout_seconds=START_SECONDS)
        return process


@click.command()
@click.option("--messages", type=click.IntRange(1_000, 10_000_000), default=1_000_000, show_default=True)
@click.option("--due", type=click.IntRange(1_000, 1_000_000), default=100_000, show_default=True, help="At once.")
@click.option("--seconds", type=click.FloatRange(2), default=20.0, show_default=True, help="Of sessions, each time.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Where queues lie.")
def main(*, messages: int, due: int, seconds: float, directory: Path | None) -> None:
    """Measure a very long queue: start and memory, many due at once beside new mail, the volume after compaction."""
    console = Console(width=120)
    with peer_directory(directory or disk_directory()) as place, measured_ground(place, _DOMAINS) as ground:
        start = _measure_start(ground, messages)
        console.print(
            f"{start.messages} messages, written in {start.written_seconds:.0f} s: ready after "
            f"{start.ready_seconds:.1f} s ({start.cpu_seconds:.1f} s of CPU), {start.pss_bytes / 2**20:.0f} MiB"
        )
        stall = _measure_stall(ground, due, seconds)
        console.print(
            f"{stall.due} due at once: {stall.sessions} sessions, median {stall.median_milliseconds:.0f} ms, p99 "
            f"{stall.p99_milliseconds:.0f} ms (alone {stall.alone_p99_milliseconds:.0f} ms); "
            f"{stall.delivered} delivered"
        )
        compaction = asyncio.run(_measure_compaction(place / "compaction", due))
        console.print(
            f"{compaction.messages} messages, 1 % waits on: {compaction.before_bytes / 2**20:.0f} MiB, after "
            f"{compaction.seconds:.1f} s of compaction {compaction.after_bytes / 2**20:.1f} MiB, of which "
            f"{compaction.live_bytes / 2**20:.1f} MiB are live: {compaction.factor:.2f} times"
        )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "queue.json").write_bytes(json.format(json.encode([start, stall, compaction])))


def _measure_start(ground: Ground, messages: int) -> Start:
    directory = ground.directory / "start"
    directory.mkdir()
    written = fill(directory / "spool", [Filling(messages, _DOMAINS)])
    started = time.monotonic()
    paquebot = PatientPaquebot(directory, ground.settings)
    try:
        ready, cpu = time.monotonic() - started, cpu_of(paquebot.process.pid).total_seconds
        time.sleep(SETTLE_SECONDS)
        memory = pss_bytes_of(paquebot.process.pid)
    finally:
        paquebot.kill()
    return Start(messages=messages, written_seconds=written, ready_seconds=ready, cpu_seconds=cpu, pss_bytes=memory)


def _measure_stall(ground: Ground, due: int, seconds: float) -> Stall:
    directory = ground.directory / "stall"
    directory.mkdir()
    fill(directory / "spool", [Filling(due, _DOMAINS)])
    paquebot = PatientPaquebot(directory, ground.settings)
    try:
        alone = asyncio.run(_sessions(paquebot.ports.mx, seconds / 2))
        before = ground.sink.count()
        with subprocess.Popen(paquebot.command("schedule", "all"), stdout=subprocess.DEVNULL) as flush:
            times = asyncio.run(_sessions(paquebot.ports.mx, seconds))
            flush.wait(60)
        delivered = ground.sink.count() - before
    finally:
        paquebot.kill()
    return Stall(
        due=due,
        alone_p99_milliseconds=_p99(alone) * 1e3,
        sessions=len(times),
        median_milliseconds=median(times) * 1e3,
        p99_milliseconds=_p99(times) * 1e3,
        delivered=delivered,
    )


async def _sessions(port: int, seconds: float) -> list[float]:
    """Some clients, each with one short session after another; answers how long each session took."""
    times: list[float] = []
    until = time.monotonic() + seconds

    async def client() -> None:
        while (started := time.monotonic()) < until:
            await _session(port)
            times.append(time.monotonic() - started)
            await asyncio.sleep(PAUSE_SECONDS)

    await asyncio.gather(*(client() for _ in range(SESSIONS)))
    return times


async def _session(port: int) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    content = b"Subject: small\r\n\r\n" + b"a line of text\r\n" * 100 + b".\r\n"
    lines = (b"EHLO bench.test\r\n", b"MAIL FROM:<bench@client.test>\r\n", b"RCPT TO:<x@%s>\r\n" % FAR.encode())
    try:
        await _reply(reader)
        for line in (*lines, b"DATA\r\n", content):
            writer.write(line)
            await _reply(reader)
    finally:
        writer.close()


async def _reply(reader: asyncio.StreamReader) -> None:
    while (line := await reader.readuntil(b"\r\n"))[3:4] == b"-":
        pass
    if line[:1] not in {b"2", b"3"}:
        raise click.ClickException(f"refused: {line!r}")


async def _measure_compaction(directory: Path, messages: int) -> Compaction:
    """Deliver all but some, then do what housekeeping does."""
    await asyncio.to_thread(fill, directory, [Filling(messages, _DOMAINS)])
    async with _journal(directory) as spool:
        evpids = [evpid for message in [m async for m in spool.recovered()] for evpid in message.states]
        final = [Result(e, EnvelopeState(attempts=2), "delivered") for n, e in enumerate(evpids) if n % KEPT_ONE_OF]
        for at in range(0, len(final), 1_000):
            await spool.update(final[at : at + 1_000])
        before, started = _held_bytes(directory), time.monotonic()
        await _keep_house(spool)
        return Compaction(
            messages=messages,
            live_bytes=sum(segment.live_bytes for home in spool.parts.homes for segment in home.segments.values()),
            before_bytes=before,
            after_bytes=_held_bytes(directory),
            seconds=time.monotonic() - started,
        )


@contextlib.asynccontextmanager
async def _journal(directory: Path) -> AsyncIterator[Journal]:
    options = JournalOptions(ballast_bytes=0, housekeeping_seconds=LATER_SECONDS)
    spool = await open_spool(Queue(minimum_free_percent=0), directory, options=options)
    assert isinstance(spool, Journal)
    try:
        yield spool
    finally:
        await spool.close()


async def _keep_house(spool: Journal) -> None:
    parts = spool.parts
    await parts.compactor.begin_anew(parts.homes, parts.clock())
    for segment in parts.compactor.candidates(parts.homes, parts.clock() + LATER_SECONDS):
        await parts.compactor.empty(segment, spool.busy)
        parts.janitor.consider(segment)
    parts.janitor.sweep_soon()
    await parts.janitor.finish()


def _held_bytes(directory: Path) -> int:
    """Return what the segments take on the volume, with what is reserved ahead."""
    return sum(path.stat().st_blocks * 512 for path in directory.rglob("seg-*"))


def _p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100)[98]


if __name__ == "__main__":
    main()
