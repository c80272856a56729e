"""`python -m bench.telemetry`: what events, metrics and log lines cost, apart from everything else, by kind of event.

Times are of the process's own CPU, so that others on the machine hardly matter: the least of some rounds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any

import click

from bench.dialogue import accepted, closing, delivered, opening
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import Event
from paquebot_mta.telemetry.log import Log
from paquebot_mta.telemetry.metrics import Metrics
from paquebot_mta.telemetry.privacy import Mode, Privacy
from paquebot_mta.telemetry.sink import BufferedSink

ROUNDS = 7
SESSIONS = 300
MODES: tuple[Mode, ...] = ("Pseudonym", "Full")


def new_connection(number: int) -> Iterable[Event]:
    """Give the events of a message on a connection of its own."""
    session = SessionId(f"{number:016x}")
    base: dict[str, Any] = {"direction": "in", "session": session, "endpoint": "mx"}
    yield from opening(base, 1_024 + number)
    yield from accepted(session)
    yield from closing(base)


def reused_connection(_: int) -> Iterable[Event]:
    """Give the events of a message on a connection that stays."""
    return accepted(SessionId("0" * 16))


def end_to_end(number: int) -> Iterable[Event]:
    """Give the events of a message that comes and goes on connections that stay."""
    yield from reused_connection(number)
    yield from delivered(SessionId("f" * 16), f"{number:08X}")


SCENARIOS: dict[str, Callable[[int], Iterable[Event]]] = {
    "new connection": new_connection,
    "reused": reused_connection,
    "end to end": end_to_end,
}


@click.command()
@click.option("--kinds", is_flag=True, help="The cost of each kind of event too.")
def main(*, kinds: bool) -> None:
    """Print microseconds of CPU a message, with the thread that writes the log."""
    print(f"{'':16}{'events':>8}{'bus alone':>11}{'metrics':>9}" + "".join(f"{f'log, {mode}':>16}" for mode in MODES))
    for name, make in SCENARIOS.items():
        messages = [list(make(number)) for number in range(SESSIONS)]
        alone = _cost(Bus(), messages)
        counted = _cost(counting(), messages) - alone
        logged = "".join(f"{_logged(mode, messages) - alone:16.1f}" for mode in MODES)
        print(f"{name:16}{len(messages[0]):8}{alone:11.1f}{counted:9.1f}{logged}")
    if kinds:
        _print_kinds()


def counting() -> Bus:
    """Make a bus that counts."""
    bus = Bus()
    bus.subscribe(Metrics())
    return bus


def _logged(mode: Mode, messages: list[list[Event]]) -> float:
    with open(os.devnull, "wb") as nowhere:
        sink, bus = BufferedSink(nowhere.fileno()), Bus()
        bus.subscribe(Log(sink, privacy=Privacy(mode, b"key"), pod="mta-0"))
        try:
            return _cost(bus, messages, lambda: sink.flush(5.0))
        finally:
            sink.close()


def _cost(bus: Bus, messages: list[list[Event]], settle: Callable[[], object] = lambda: None) -> float:
    """Give microseconds a message, the least of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time_ns()
        for events in messages:
            for event in events:
                bus.emit(event)
        settle()
        best = min(best, (time.process_time_ns() - started) / 1_000 / len(messages))
    assert bus.dropped == 0
    return best


def _print_kinds() -> None:
    """Print what one event of each kind costs to count, and to log."""
    by_kind: dict[str, list[Event]] = {}
    for number in range(SESSIONS):
        for event in (*new_connection(number), *delivered(SessionId("f" * 16), f"{number:08X}")):
            by_kind.setdefault(type(event).__name__, []).append(event)
    print(f"\n{'µs an event':18}{'metrics':>9}{'log, Pseudonym':>16}")
    for kind, events in by_kind.items():
        alone = [[event] for event in events]
        print(f"{kind:18}{_cost(counting(), alone):9.2f}{_logged('Pseudonym', alone):16.2f}")


if __name__ == "__main__":
    main()
