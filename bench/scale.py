"""`python -m bench.scale`: a long queue. How soon it is ready, what a queued message costs, what a dead host spoils.

The queue is written first, as a stopped Paquebot would leave it. Then Paquebot starts on it, is asked for its queue,
and is told to deliver all at once to smtp-sink; half of the mail is for one domain whose host takes connections and
never says a word. The rate of the other half is compared with that of the same mail without the dead domain.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from msgspec import Struct, json
from rich.console import Console

from bench.machine import disk_directory
from bench.scale_queue import Filling, fill
from bench.usage import pss_bytes_of
from paquebot_mta.config.actions import Action, ClientTls, Relay
from tests.support.dns_server import DnsServer, Zones
from tests.support.loop_thread import in_thread
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import PaquebotSettings
from tests.support.processes import LOOPBACK, PeerProcess, find_program, free_port, peer_directory
from tests.support.smtp_tools import SmtpSink

RESULTS = Path(__file__).parent / "results"
HOSTS = 50
SETTLE_SECONDS = 1.0
ASKING_SECONDS = 30.0
"""The order to deliver all goes through the whole queue before the first delivery."""


class Figures(Struct, frozen=True, kw_only=True):
    """What was measured on one queue.

    Attributes:
        ready_seconds: from the start of the process to the first 200 of /readyz; of an empty queue in ``Idle``.
        bytes_per_message: memory (PSS) beyond that of an empty one, divided by the messages.
        first_line_seconds: of ``paquebot show queue``, the command's own start included.
        all_lines_seconds: of the same.
        delivered: messages that arrived at the sink within the time given, which runs from the first one on;
            ``rate``: of these, a second.
    """

    name: str
    messages: int
    written_seconds: float
    ready_seconds: float
    bytes_per_message: float
    first_line_seconds: float
    all_lines_seconds: float
    delivered: int
    rate: float


class Idle(Struct, frozen=True):
    """The same of an empty queue."""

    ready_seconds: float
    pss_bytes: int


class Ground(Struct, frozen=True):
    """Where and against what it runs."""

    directory: Path
    sink: SmtpSink
    settings: PaquebotSettings


@click.command()
@click.option("--messages", type=click.IntRange(100, 10_000_000), default=100_000, show_default=True)
@click.option("--domains", type=click.IntRange(2, 100_000), default=1_000, show_default=True)
@click.option("--seconds", type=click.FloatRange(1), default=30.0, show_default=True, help="Of delivering, each time.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Where queues lie.")
def main(*, messages: int, domains: int, seconds: float, directory: Path | None) -> None:
    """Measure a long queue: start, memory, listing, and one dead destination with half of it."""
    console = Console(width=120)
    living = Filling(messages // 2, [f"domain{number}.test" for number in range(domains - 1)])
    dead = Filling(messages - messages // 2, ["dead.test"], "dead")
    with peer_directory(directory or disk_directory()) as place, measured_ground(place, living.domains) as ground:
        idle = _measure_idle(ground)
        console.print(f"empty: ready after {idle.ready_seconds:.2f} s, {idle.pss_bytes / 2**20:.0f} MiB")
        found = [
            _measure(ground, idle, "without the dead domain", [living], seconds),
            _measure(ground, idle, "with the dead domain", [living, dead], seconds),
        ]
    for each in found:
        _print(each, console)
    console.print(f"rate with the dead domain: {found[1].rate / max(found[0].rate, 1e-9):.2f} of the rate without")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "scale.json").write_bytes(json.format(json.encode(found)))


@contextlib.contextmanager
def measured_ground(place: Path, living: Sequence[str]) -> Iterator[Ground]:
    """Start what is needed around: names, a sink at all addresses of loopback, and a host that never says a word."""
    with in_thread(DnsServer(_zones(living))) as dns, _sink(place / "sink") as sink, _black_hole() as hole_port:
        dead = Action(relay=Relay(host=LOOPBACK, port=hole_port))
        settings = PaquebotSettings(
            actions={"dead": dead},
            resolver_port=dns.port,
            outbound_port=sink.port,
            retry_seconds=400,
            outgoing_tls=ClientTls(policy="None"),
        )
        yield Ground(place, sink, settings)


def _zones(living: Sequence[str]) -> Zones:
    """Hosts with some twenty domains each, as providers have them."""
    hosts = {f"mx{number}.host.test": {"A": [f"127.1.0.{number + 1}"]} for number in range(HOSTS)}
    return {**hosts, **{domain: {"MX": [f"10 mx{n % HOSTS}.host.test."]} for n, domain in enumerate(living)}}


@contextlib.contextmanager
def _sink(directory: Path) -> Iterator[SmtpSink]:
    directory.mkdir()
    directory.chmod(0o777)  # it runs as another user
    port = free_port()
    argv = [find_program("smtp-sink"), "-c", "-u", "mail", f"0.0.0.0:{port}", "1000"]
    with PeerProcess(argv, directory / "smtp-sink.log", cwd=directory) as process:
        process.wait_for_port(port)
        yield SmtpSink(port, process, directory)


@contextlib.contextmanager
def _black_hole() -> Iterator[int]:
    """Take connections and never say a word."""
    with socket.socket() as hole:
        hole.bind((LOOPBACK, 0))
        hole.listen(4096)
        yield int(hole.getsockname()[1])


def _measure_idle(ground: Ground) -> Idle:
    started = time.monotonic()
    with running_paquebot(ground.directory / "idle", ground.settings) as paquebot:
        ready = time.monotonic() - started
        time.sleep(SETTLE_SECONDS)
        return Idle(ready, pss_bytes_of(paquebot.process.pid))


def _measure(ground: Ground, idle: Idle, name: str, fillings: Sequence[Filling], seconds: float) -> Figures:
    directory = ground.directory / name.replace(" ", "-")
    directory.mkdir()
    written = fill(directory / "spool", fillings)
    messages = sum(each.messages for each in fillings)
    started = time.monotonic()
    with running_paquebot(directory, ground.settings) as paquebot:
        ready = time.monotonic() - started
        time.sleep(SETTLE_SECONDS)
        memory = pss_bytes_of(paquebot.process.pid) - idle.pss_bytes
        first, whole = _list(paquebot)
        delivered, rate = _deliver(ground.sink, paquebot, fillings[0].messages, seconds)
    return Figures(
        name=name,
        messages=messages,
        written_seconds=written,
        ready_seconds=ready,
        bytes_per_message=memory / messages,
        first_line_seconds=first,
        all_lines_seconds=whole,
        delivered=delivered,
        rate=rate,
    )


def _list(paquebot: Paquebot) -> tuple[float, float]:
    """Time the first line of the queue, and all of it."""
    started = time.monotonic()
    with subprocess.Popen(paquebot.command("show", "queue", "--jsonl"), stdout=subprocess.PIPE) as listing:
        assert listing.stdout is not None
        listing.stdout.readline()
        first = time.monotonic() - started
        for _ in listing.stdout:
            pass
    return first, time.monotonic() - started


def _deliver(sink: SmtpSink, paquebot: Paquebot, wanted: int, seconds: float) -> tuple[int, float]:
    """Deliver all at once for so long, or until all that can arrive has arrived."""
    before, deadline = sink.count(), time.monotonic() + ASKING_SECONDS + seconds
    with subprocess.Popen(paquebot.command("schedule", "all"), stdout=subprocess.DEVNULL) as flush:
        while (delivered := sink.count() - before) == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        started = time.monotonic()
        while (elapsed := time.monotonic() - started) < seconds and delivered < wanted:
            time.sleep(0.05)
            delivered = sink.count() - before
        flush.wait(60)
    return delivered, delivered / max(elapsed, 1e-9)


def _print(found: Figures, console: Console) -> None:
    console.print(
        f"{found.messages} messages, {found.name}: written in {found.written_seconds:.0f} s; "
        f"ready after {found.ready_seconds:.2f} s; {found.bytes_per_message:.0f} bytes a message; "
        f"show queue: first line {found.first_line_seconds:.2f} s, all {found.all_lines_seconds:.1f} s; "
        f"delivered {found.delivered}, {found.rate:.0f} a second"
    )


if __name__ == "__main__":
    main()
