"""What filters cost: the same Paquebot without any, with twenty built-in ones, with a program that hears everything,
with a real rspamd; and Debian's OpenSMTPD without any and with the same program.

All servers run at once and are loaded in turns, so that a busy machine is as bad for one as for another. CPU is that of
all processes of a server, the program's too, for each accepted message; what rspamd itself needs is not counted.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from msgspec import Struct

from bench.filter_rules import PROGRAM, builtins, program, rspamd
from bench.plan import MESSAGE_BYTES, SESSIONS
from bench.rivals import OPENSMTPD_SESSIONS, running_opensmtpd_server
from bench.servers import RECIPIENT, UNLIMITED, PaquebotServer, Server
from bench.usage import cpu_of_family
from paquebot_mta.config.filters import Filter
from paquebot_mta.config.service import Queue
from tests.support.paquebot import running_paquebot
from tests.support.paquebot_config import PaquebotSettings
from tests.support.processes import PeerError, peer_directory
from tests.support.rspamd import running_rspamd
from tests.support.smtp_tools import SourceLoad, run_source

BUILTIN_CPU = 0.05
"""Wanted: what twenty built-in filters may add to the CPU of a message."""
PROGRAM_RATE = 0.6
"""Wanted: what is left of the accept rate with a program that hears everything."""
BUDGET_SECONDS = 180.0
"""After this time no new round starts, so that all of it stays below five minutes."""
LEAST_ROUNDS = 3
LONGEST_SECONDS = 60.0
"""For one load; a server that takes longer is out of order."""
NEXT_HOP = 1
"""Nothing is delivered here."""


class Variant(Struct, frozen=True, kw_only=True):
    """One server.

    Attributes:
        name: in the table. base: the variant without filters that it is compared with.
    """

    name: str
    server: Server
    base: str


class Cost(Struct, frozen=True, kw_only=True):
    """One load of one server: CPU for each message, and how many it took in a second."""

    cpu_microseconds: float
    messages_per_second: float


PLAIN, BUILTINS, PROGRAMMED, ASKED = "no filter", "20 built-in filters", "a program, all events", "rspamd"
RIVAL, RIVAL_PROGRAMMED = "OpenSMTPD, no filter", "OpenSMTPD, the program"


def start_all(stack: ExitStack) -> list[Variant]:
    """Start all servers; rspamd and OpenSMTPD are left out, and said to be, where they can't be had."""
    rules: dict[str, Mapping[str, Filter]] = {PLAIN: {}, BUILTINS: builtins(), PROGRAMMED: program()}
    try:
        rules[ASKED] = rspamd(stack.enter_context(running_rspamd(stack.enter_context(peer_directory()))))
    except PeerError as error:
        print(f"{ASKED} is left out: {error}")
    variants = [Variant(name=name, server=_start(stack, filters), base=PLAIN) for name, filters in rules.items()]
    try:
        for name, command in ((RIVAL, ""), (RIVAL_PROGRAMMED, " ".join(PROGRAM))):
            rival = running_opensmtpd_server(stack.enter_context(peer_directory()), NEXT_HOP, command)
            variants.append(Variant(name=name, server=stack.enter_context(rival), base=RIVAL))
    except PeerError as error:
        print(f"OpenSMTPD is left out: {error}")
    return variants


def _start(stack: ExitStack, filters: Mapping[str, Filter]) -> Server:
    """Start a Paquebot that accepts into its queue and delivers nothing."""
    settings = PaquebotSettings(
        filters=filters,
        listener_filters=tuple(filters),
        limits=UNLIMITED,
        queue=Queue(minimum_free_percent=0),
    )
    paquebot = stack.enter_context(running_paquebot(stack.enter_context(peer_directory()), settings))
    paquebot.cli("pause", "mta").checked()
    return PaquebotServer(paquebot)


def measure(server: Server, messages: int) -> Cost:
    """Load a server once and empty its queue again."""
    before = cpu_of_family(server.session)
    load = SourceLoad(sessions=server.sessions, messages=messages, length_bytes=MESSAGE_BYTES, recipient=RECIPIENT)
    run = run_source(server.port, load, timeout_seconds=LONGEST_SECONDS)
    used = cpu_of_family(server.session) - before
    server.clear()
    return Cost(cpu_microseconds=used.total_seconds * 1e6 / messages, messages_per_second=run.messages_per_second)


def compare(variants: Sequence[Variant], rounds: int, messages: int) -> dict[str, Cost]:
    """Load all in turns, and give medians; the first round warms them up and is not kept."""
    found: dict[str, list[Cost]] = {each.name: [] for each in variants}
    ends_at = time.monotonic() + BUDGET_SECONDS
    for number in range(rounds + 1):
        if number > LEAST_ROUNDS and time.monotonic() > ends_at:
            break
        for each in variants:
            cost = measure(each.server, messages)
            if number:
                found[each.name].append(cost)
    return {name: _median(costs) for name, costs in found.items()}


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(
        cpu_microseconds=statistics.median(each.cpu_microseconds for each in costs),
        messages_per_second=statistics.median(each.messages_per_second for each in costs),
    )


def table(variants: Sequence[Variant], costs: Mapping[str, Cost]) -> str:
    """Write a line for each, against the same server without filters."""
    lines = [f"{'':24}{'CPU us/message':>16}{'more':>9}{'messages/s':>12}{'of rate':>9}"]
    for each in variants:
        cost, base = costs[each.name], costs[each.base]
        more = cost.cpu_microseconds / base.cpu_microseconds - 1
        rate = cost.messages_per_second / base.messages_per_second
        figures = f"{cost.cpu_microseconds:16.0f}{more:9.1%}{cost.messages_per_second:12.0f}{rate:9.1%}"
        lines.append(f"{each.name:24}{figures}")
    return "\n".join(lines)


def verdicts(costs: Mapping[str, Cost]) -> str:
    """Write what was wanted beside what was reached."""
    plain, builtin, programmed = (costs[name] for name in (PLAIN, BUILTINS, PROGRAMMED))
    more = builtin.cpu_microseconds / plain.cpu_microseconds - 1
    left = programmed.messages_per_second / plain.messages_per_second
    lines = [
        _verdict("20 built-in filters: more CPU a message", f"{more:.1%}", f"< {BUILTIN_CPU:.0%}", more < BUILTIN_CPU),
        _verdict("a program: left of the accept rate", f"{left:.1%}", f">= {PROGRAM_RATE:.0%}", left >= PROGRAM_RATE),
    ]
    if (rival := costs.get(RIVAL_PROGRAMMED)) is not None:
        ahead = programmed.messages_per_second / rival.messages_per_second
        lines.append(_verdict("the same program: rate, by OpenSMTPD's", f"{ahead:.2f}", "> 1", ahead > 1.0))
    return "\n".join(lines)


def _verdict(what: str, reached: str, wanted: str, is_reached: bool) -> str:
    return f"{what:44}{reached:>9}   wanted {wanted:8}{'reached' if is_reached else 'NOT reached'}"


def main() -> None:
    """Print the table, and what was wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=2_000)
    chosen = parser.parse_args()
    with ExitStack() as stack:
        variants = start_all(stack)
        costs = compare(variants, chosen.rounds, chosen.messages)
    print(table(variants, costs))
    print(f"OpenSMTPD has {OPENSMTPD_SESSIONS} sessions, all others {SESSIONS}; it syncs nothing.")
    print(verdicts(costs))


if __name__ == "__main__":
    main()
