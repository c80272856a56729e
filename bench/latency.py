"""`python -m bench.latency`: what big and slow senders do to small ones, and what idle connections cost.

50 small sessions send one message after another and note how long each took, from MAIL to the reply after the final
dot: first alone, then beside messages of 10 MiB and 50 senders of one byte a second. Then 5,000 connections say EHLO
and nothing more.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median, quantiles

import click
from msgspec import Struct, json
from rich.console import Console

from bench.machine import disk_directory
from bench.usage import pss_bytes_of
from paquebot_mta.config.service import Limits
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import FAR, PaquebotSettings
from tests.support.processes import LOOPBACK, peer_directory

RESULTS = Path(__file__).parent / "results"
SMALL_SESSIONS, SMALL_BYTES, PAUSE_SECONDS = 50, 2_000, 0.25
SLOW_SENDERS, BIG_BYTES = 50, 10 * 2**20
# All come from one address; and slow ones are to stay slow instead of being turned away.
LIMITS = Limits(
    sessions=100_000,
    sessions_per_client=100_000,
    messages_per_session=1_000_000,
    message_bytes=2 * BIG_BYTES,
    data_bytes_per_second=0,
)
RECIPIENT = f"somebody@{FAR}"
Task = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Latency(Struct, frozen=True, kw_only=True):
    """Of small messages, in milliseconds; memory in bytes (PSS)."""

    name: str
    messages: int
    median_milliseconds: float
    p99_milliseconds: float
    big_messages: int
    pss_bytes: int


class Idle(Struct, frozen=True):
    """Connections that say EHLO and no more, and the memory that they cost together."""

    connections: int
    bytes: int


@click.command()
@click.option("--seconds", type=click.FloatRange(2), default=15.0, show_default=True, help="Of each measurement.")
@click.option("--connections", type=click.IntRange(1, 50_000), default=5_000, show_default=True, help="Idle ones.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Where queues lie.")
def main(*, seconds: float, connections: int, directory: Path | None) -> None:
    """Measure small senders beside big and slow ones, and idle connections."""
    console = Console(width=120)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, connections * 2 + 1_000), hard))
    with peer_directory(directory or disk_directory()) as place, _paquebot(place) as paquebot:
        found = [asyncio.run(_measure(paquebot, name, seconds)) for name in ("alone", "beside big and slow ones")]
        idle = asyncio.run(_measure_idle(paquebot, connections))
    for each in found:
        console.print(
            f"{each.name}: {each.messages} messages, median {each.median_milliseconds:.1f} ms, "
            f"p99 {each.p99_milliseconds:.1f} ms; {each.big_messages} of 10 MiB; {each.pss_bytes / 2**20:.0f} MiB"
        )
    console.print(f"p99 above idle: {found[1].p99_milliseconds - found[0].p99_milliseconds:.1f} ms")
    console.print(f"{idle.connections} idle connections: {idle.bytes / 2**20:.0f} MiB")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latency.json").write_bytes(json.format(json.encode({"latency": found, "idle": idle})))


@contextlib.contextmanager
def _paquebot(place: Path) -> Iterator[Paquebot]:
    """Run one that takes mail and delivers none."""
    settings = PaquebotSettings(limits=LIMITS, grace_seconds=1.0)
    with running_paquebot(place / "paquebot", settings) as paquebot:
        paquebot.cli("pause", "mta").checked()
        yield paquebot


async def _measure(paquebot: Paquebot, name: str, seconds: float) -> Latency:
    times: list[float] = []
    big: list[int] = []
    port, until = paquebot.ports.mx, time.monotonic() + seconds
    tasks = [_session(port, lambda r, w: _small(r, w, until, times)) for _ in range(SMALL_SESSIONS)]
    if name != "alone":
        tasks += [_session(port, lambda r, w: _slow(r, w, until)) for _ in range(SLOW_SENDERS)]
        tasks.append(_session(port, lambda r, w: _big(r, w, until, big)))
    await asyncio.gather(*tasks)
    return Latency(
        name=name,
        messages=len(times),
        median_milliseconds=median(times) * 1_000,
        p99_milliseconds=quantiles(times, n=100)[98] * 1_000,
        big_messages=len(big),
        pss_bytes=pss_bytes_of(paquebot.process.pid),
    )


async def _measure_idle(paquebot: Paquebot, connections: int) -> Idle:
    before = pss_bytes_of(paquebot.process.pid)
    writers = []
    for _ in range(connections):
        reader, writer = await asyncio.open_connection(LOOPBACK, paquebot.ports.mx)
        await _reply(reader)
        writer.write(b"EHLO idle.test\r\n")
        await _reply(reader)
        writers.append(writer)
    after = pss_bytes_of(paquebot.process.pid)
    for writer in writers:
        writer.close()
    return Idle(connections, after - before)


async def _session(port: int, task: Task) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    await _reply(reader)
    await _say(reader, writer, b"EHLO bench.test\r\n")
    with contextlib.suppress(ConnectionError, EOFError):
        await task(reader, writer)
    writer.close()


async def _begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _say(reader, writer, b"MAIL FROM:<bench@client.test>\r\n")
    await _say(reader, writer, f"RCPT TO:<{RECIPIENT}>\r\n".encode())
    await _say(reader, writer, b"DATA\r\n")


async def _small(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, until: float, times: list[float]) -> None:
    """Send small messages with pauses: it measures waiting, not throughput."""
    content = b"Subject: small\r\n\r\n" + b"a line of text\r\n" * (SMALL_BYTES // 16) + b".\r\n"
    while (started := time.monotonic()) < until:
        await _begin(reader, writer)
        await _say(reader, writer, content)
        times.append(time.monotonic() - started)
        await asyncio.sleep(PAUSE_SECONDS)


async def _big(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, until: float, big: list[int]) -> None:
    block = b"a line of sixty-four bytes, of which there are very many in it\r\n" * 1_024
    while time.monotonic() < until:
        await _begin(reader, writer)
        writer.write(b"Subject: big\r\n\r\n")
        for _ in range(BIG_BYTES // len(block)):
            writer.write(block)
            await writer.drain()
        await _say(reader, writer, b".\r\n")
        big.append(BIG_BYTES)


async def _slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, until: float) -> None:
    await _begin(reader, writer)
    writer.write(b"Subject: slow\r\n\r\n")
    while time.monotonic() < until:
        writer.write(b"x")
        await asyncio.sleep(1.0)


async def _say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> None:
    writer.write(line)
    code = await _reply(reader)
    if not code.startswith((b"2", b"3")):
        raise click.ClickException(f"refused: {code!r}")


async def _reply(reader: asyncio.StreamReader) -> bytes:
    while (line := await reader.readuntil(b"\r\n"))[3:4] == b"-":
        pass
    return line


if __name__ == "__main__":
    main()
