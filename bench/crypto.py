"""`python -m bench.crypto`: what encryption and compression of the queue cost an accepted message.

One worker each, deliveries held back; they take turns in short rounds. CPU time and not the rate decides: the
machine may have other things to do.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import click
import msgspec
from msgspec import Struct
from rich.console import Console

from bench.machine import disk_directory
from bench.usage import nanoseconds_of
from paquebot_mta.config.service import Queue
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import FAR, PaquebotSettings
from tests.support.processes import peer_directory
from tests.support.smtp_tools import SourceLoad, run_source

RESULTS = Path(__file__).parent / "results"
TEXT = Path(__file__).parents[1] / "docs" / "durability.md"
SESSIONS = 20
KEY = base64.b64encode(bytes(range(32))).decode()
RING = json.dumps([{"id": 1, "key": KEY, "createdAt": "2026-01-01T00:00:00Z"}])
PLAIN = Queue(minimum_free_percent=0)
WAYS = {
    "neither": PLAIN,
    "encrypted": msgspec.structs.replace(PLAIN, key_ring=RING),
    "zstd": msgspec.structs.replace(PLAIN, compression="Zstd"),
    "gzip": msgspec.structs.replace(PLAIN, compression="Gzip"),
    "encrypted, zstd": msgspec.structs.replace(PLAIN, key_ring=RING, compression="Zstd"),
}


@dataclass(frozen=True, kw_only=True)
class TextLoad(SourceLoad):
    """A load of one message again and again: smtp-source's own, all of one letter, costs a compressor nothing."""

    message: Path

    def argv(self, port: int) -> list[str]:
        """The command line."""
        options = super().argv(port)
        at = options.index("-l")
        return [*options[:at], "-F", str(self.message), *options[at + 2 :]]


class Cost(Struct, frozen=True, kw_only=True):
    """Of one way.

    Attributes:
        cpu_microseconds: of the service, for one message, median of the rounds.
        rate: messages a second, median, as the machine allowed.
        share: CPU time without either divided by this, in the same round; median. What slows the machine down for a
            while slows both.
        least_share, most_share: a quarter of the rounds is below and above.
        log_bytes: taken in the log by one message.
    """

    way: str
    message_bytes: int
    cpu_microseconds: float
    rate: float
    share: float
    least_share: float
    most_share: float
    log_bytes: float


class _Round(Struct, frozen=True):
    cpu_seconds: float
    seconds: float
    log_bytes: int


@click.command()
@click.option("--rounds", type=click.IntRange(2, 100), default=24, show_default=True)
@click.option("--messages", type=click.IntRange(100, 1_000_000), default=500, show_default=True)
@click.option("--bytes", "message_bytes", type=click.IntRange(100, 10_000_000), default=4_096, show_default=True)
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Where queues lie.")
def main(*, rounds: int, messages: int, message_bytes: int, directory: Path | None) -> None:
    """Measure what encryption and compression cost an accepted message; some two minutes."""
    with peer_directory(directory or disk_directory()) as place, ExitStack() as stack:
        load = TextLoad(
            sessions=SESSIONS,
            messages=messages,
            recipient=f"somebody@{FAR}",
            reuses_connections=True,
            message=_write_message(place / "message", message_bytes),
        )
        services = {way: stack.enter_context(_service(place / way.replace(", ", "-"), WAYS[way])) for way in WAYS}
        found: dict[str, list[_Round]] = {way: [] for way in WAYS}
        for number in range(rounds + 1):
            for way in _in_turn(number):
                found[way].append(_measure(services[way], load))
        found = {way: measured[1:] for way, measured in found.items()}  # the first one warms up
    costs = _costs(found, message_bytes, messages)
    _print(costs)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "crypto.json").write_bytes(msgspec.json.format(msgspec.json.encode(costs)))


def _in_turn(number: int) -> list[str]:
    """Let each way be the first one, and each the last one, as often as the others."""
    ways = list(WAYS)
    at = number % len(ways)
    return [*ways[at:], *ways[:at]]


def _write_message(path: Path, message_bytes: int) -> Path:
    """Write a text as people write them: a page of the project's own documentation, as long as it takes."""
    text = "From: bench@client.test\nSubject: bench\n\n" + TEXT.read_text()
    path.write_text((text * (message_bytes // len(text) + 1))[:message_bytes] + "\n")
    return path


@contextmanager
def _service(place: Path, queue: Queue) -> Iterator[Paquebot]:
    """Run one that takes mail and delivers none."""
    with running_paquebot(place, PaquebotSettings(queue=queue, grace_seconds=1.0)) as paquebot:
        paquebot.cli("pause", "mta").checked()
        yield paquebot


def _measure(paquebot: Paquebot, load: TextLoad) -> _Round:
    worker = paquebot.process.pid
    taken, before, started = _log_bytes(paquebot), nanoseconds_of(worker), time.monotonic()
    run_source(paquebot.ports.mx, load, timeout_seconds=120.0)
    seconds, cpu = time.monotonic() - started, nanoseconds_of(worker) - before
    return _Round(cpu / 1e9, seconds, _log_bytes(paquebot) - taken)


def _log_bytes(paquebot: Paquebot) -> int:
    """Bytes written to segments: what was preallocated and not used is nothing."""
    segments = paquebot.directory.glob("spool/v1/pods/*/seg-*.q")
    return sum(len(each.read_bytes().rstrip(b"\0")) for each in segments)


def _costs(found: dict[str, list[_Round]], message_bytes: int, messages: int) -> list[Cost]:
    plain = found["neither"]
    costs = []
    for way, rounds in found.items():
        shares = [before.cpu_seconds / each.cpu_seconds for before, each in zip(plain, rounds, strict=True)]
        least, middle, most = quantiles(shares, n=4)
        cost = Cost(
            way=way,
            message_bytes=message_bytes,
            cpu_microseconds=median(each.cpu_seconds for each in rounds) / messages * 1e6,
            rate=messages / median(each.seconds for each in rounds),
            share=middle,
            least_share=least,
            most_share=most,
            log_bytes=median(each.log_bytes for each in rounds) / messages,
        )
        costs.append(cost)
    return costs


def _print(costs: list[Cost]) -> None:
    console = Console(width=150)
    for each in costs:
        console.print(
            f"{each.way:16} {each.cpu_microseconds:7.0f} us CPU a message, {each.share:.2f} of the rate by CPU "
            f"({each.least_share:.2f} to {each.most_share:.2f}); "
            f"{each.rate:6.0f} messages/s; {each.log_bytes:6.0f} bytes of log",
            highlight=False,
        )


if __name__ == "__main__":
    main()
