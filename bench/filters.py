"""What filters cost: the same Paquebot without any, with twenty built-in ones, with a program that hears everything,
with a real rspamd.

Several servers run at once and are loaded in turns, so that a busy machine is as bad for one as for another. CPU is
what counts: of all processes of a server, the program's too, for each accepted message; what rspamd itself needs is
not counted.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct

from bench.servers import UNLIMITED
from bench.usage import cpu_of
from paquebot_mta.config.filters import Builtin, Criterion, Filter, FilterAction, Process, Rspamd
from paquebot_mta.config.service import Queue
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import FAR, PaquebotSettings
from tests.support.processes import peer_directory
from tests.support.rspamd import running_rspamd
from tests.support.smtp_tools import SourceLoad, run_source

RECIPIENT = f"somebody@{FAR}"
PROGRAM = Path(__file__).with_name("hears_all.py")
NO = FilterAction(kind="reject")
NETWORKS = tuple(f"198.51.{number}.0/24" for number in range(100))
NAMES = tuple(f"bad-{number}.test" for number in range(100))


class Cost(Struct, frozen=True, kw_only=True):
    """One load of one server: CPU for each message, and how many it took in a second."""

    cpu_microseconds: float
    messages_per_second: float


def builtins() -> dict[str, Filter]:
    """Make twenty filters as a careful postmaster has them; none of them holds for the load."""
    src = Criterion(kind="src", values=NETWORKS)
    kinds = [
        *(Builtin(phase="connect", when=src, action=NO) for _ in range(4)),
        *(Builtin(phase="ehlo", when=Criterion(kind="helo", values=NAMES), action=NO) for _ in range(2)),
        *(Builtin(phase="ehlo", when=_regex("helo", r"^[0-9.]+$"), action=NO) for _ in range(2)),
        *(Builtin(phase="mail-from", when=_set("mail-from"), action=NO) for _ in range(3)),
        *(Builtin(phase="mail-from", when=_regex("mail-from", r"^spam-"), action=NO) for _ in range(2)),
        *(Builtin(phase="rcpt-to", when=_set("rcpt-to"), action=NO) for _ in range(3)),
        *(Builtin(phase="rcpt-to", when=_both(), action=NO) for _ in range(2)),
        *(Builtin(phase="data", when=src, action=NO) for _ in range(1)),
        *(Builtin(phase="commit", when=_set("mail-from"), action=NO) for _ in range(1)),
    ]
    return {f"bench/builtin-{number:02d}": Filter(kind=kind) for number, kind in enumerate(kinds)}


def _set(kind: str) -> Criterion:
    return Criterion(kind=kind, values=tuple(f"@{name}" for name in NAMES))  # type: ignore[arg-type]


def _regex(kind: str, pattern: str) -> Criterion:
    return Criterion(kind=kind, values=(pattern,), regex=True)  # type: ignore[arg-type]


def _both() -> Criterion:
    return Criterion(kind="all", items=(Criterion(kind="not", items=(_set("rcpt-to"),)), _set("mail-from")))


def program() -> dict[str, Filter]:
    """Give a program that subscribes to every event and is asked in every phase."""
    return {"bench/program": Filter(kind=Process(command=(sys.executable, str(PROGRAM))))}


def measure(paquebot: Paquebot, messages: int) -> Cost:
    """Load a server once and empty its queue again."""
    before = cpu_of(paquebot.process.pid)
    load = SourceLoad(sessions=20, messages=messages, length_bytes=4_096, recipient=RECIPIENT)
    run = run_source(paquebot.ports.mx, load, timeout_seconds=600.0)
    used = cpu_of(paquebot.process.pid) - before
    paquebot.cli("remove", "all").checked()
    return Cost(cpu_microseconds=used.total_seconds * 1e6 / messages, messages_per_second=run.messages_per_second)


def compare(variants: Mapping[str, Mapping[str, Filter]], rounds: int, messages: int) -> dict[str, list[Cost]]:
    """Load all variants in turns; the first round warms them up and is not kept."""
    found: dict[str, list[Cost]] = {name: [] for name in variants}
    with ExitStack() as stack:
        servers = {name: _server(stack, filters) for name, filters in variants.items()}
        for number in range(rounds + 1):
            for name, server in servers.items():
                cost = measure(server, messages)
                if number:
                    found[name].append(cost)
    return found


def _server(stack: ExitStack, filters: Mapping[str, Filter]) -> Paquebot:
    """Start a server that accepts into its queue and delivers nothing."""
    directory = stack.enter_context(peer_directory())
    queue = Queue(minimum_free_percent=0)
    settings = PaquebotSettings(filters=filters, listener_filters=tuple(filters), limits=UNLIMITED, queue=queue)
    paquebot = stack.enter_context(running_paquebot(directory, settings))
    paquebot.cli("pause", "mta").checked()
    return paquebot


def report(found: Mapping[str, Sequence[Cost]]) -> str:
    """Write a table: medians, and each against the first."""
    medians = {
        name: Cost(
            cpu_microseconds=statistics.median(each.cpu_microseconds for each in costs),
            messages_per_second=statistics.median(each.messages_per_second for each in costs),
        )
        for name, costs in found.items()
    }
    base = next(iter(medians.values()))
    lines = [f"{'':24}{'CPU us/message':>16}{'more':>9}{'messages/s':>12}{'of rate':>9}"]
    for name, cost in medians.items():
        more = cost.cpu_microseconds / base.cpu_microseconds - 1
        rate = cost.messages_per_second / base.messages_per_second
        lines.append(f"{name:24}{cost.cpu_microseconds:16.0f}{more:9.1%}{cost.messages_per_second:12.0f}{rate:9.1%}")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=2_000)
    chosen = parser.parse_args()
    variants = {"no filter": {}, "20 built-in filters": builtins(), "a program, all events": program()}
    with peer_directory() as folder, running_rspamd(folder) as url:
        variants["rspamd"] = {"bench/rspamd": Filter(kind=Rspamd(url=url))}
        print(report(compare(variants, chosen.rounds, chosen.messages)))


if __name__ == "__main__":
    main()
