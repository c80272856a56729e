"""One run: a load from smtp-source, timed, and what it cost."""

from __future__ import annotations

import os
import time

from msgspec import Struct

from bench.plan import MESSAGE_BYTES, Run, Scenario
from bench.servers import GENERATOR, RECIPIENT, Server
from bench.usage import Cpu, cpu_of, cpu_of_tools, machine_busy_seconds, pss_bytes_of
from tests.support.processes import PeerError, wait_until
from tests.support.smtp_tools import SmtpSink, SourceLoad, run_source

RUN_TIMEOUT_SECONDS = 60.0
SETTLE_SECONDS = 0.3
"""Between runs, so that what one leaves to do in the background isn't charged to the next."""


class Meter(Struct, frozen=True):
    """What had been used up at a moment."""

    at: float
    server: Cpu
    tools: Cpu
    machine_seconds: float


def load_of(scenario: Scenario, messages: int, sessions: int) -> SourceLoad:
    """Return smtp-source's part of a scenario."""
    return SourceLoad(
        sessions=sessions,
        messages=messages,
        length_bytes=MESSAGE_BYTES,
        recipient=RECIPIENT,
        reuses_connections=scenario.reuses_connections,
    )


def measure(server: Server, sink: SmtpSink, scenario: Scenario, messages: int) -> Run:
    """Run a load to its end, see that no message is missing, and empty the queue.

    Raises `PeerError` when a message is refused or missing, or when it takes longer than the timeout.
    """
    time.sleep(SETTLE_SECONDS)
    before, received = _meter(server, sink), sink.count()
    ended = run_load(server, sink, scenario, messages)
    after = _meter(server, sink)
    run = _run(scenario, server, messages, ended - before.at, before, after)
    _check_queue(server, scenario, messages)
    if server.name != GENERATOR and scenario.delivers and sink.count() != received + messages:
        raise PeerError(f"{server.name}: {sink.count() - received} messages of {messages} arrived")
    return run


def run_load(server: Server, sink: SmtpSink, scenario: Scenario, messages: int) -> float:
    """Send a load, and end to end wait until it has arrived; return the monotonic time of its end."""
    received = sink.count()
    run_source(server.port, load_of(scenario, messages, server.sessions), timeout_seconds=RUN_TIMEOUT_SECONDS)
    if scenario.delivers:
        sink.wait_for_count(received + messages, RUN_TIMEOUT_SECONDS)
    return time.monotonic()


def _check_queue(server: Server, scenario: Scenario, messages: int) -> None:
    """See that what was accepted lies in the queue, or has left it, and empty it."""
    if scenario.delivers:
        wait_until(lambda: server.queued() == 0, f"an empty queue of {server.name}")
        return
    if server.name != GENERATOR and (found := server.queued()) != messages:
        raise PeerError(f"{server.name} has {found} messages of {messages} in its queue")
    server.clear()
    wait_until(lambda: server.queued() == 0, f"an empty queue of {server.name}")


def _meter(server: Server, sink: SmtpSink) -> Meter:
    used = cpu_of(server.session)
    tools = cpu_of_tools() if server.name == GENERATOR else cpu_of_tools() + cpu_of(sink.process.pid)
    return Meter(time.monotonic(), used, tools, machine_busy_seconds())


def _run(scenario: Scenario, server: Server, messages: int, seconds: float, before: Meter, after: Meter) -> Run:
    used = after.server - before.server
    ours = (after.tools - before.tools) + used
    foreign = after.machine_seconds - before.machine_seconds - ours.total_seconds
    capacity = (after.at - before.at) * len(os.sched_getaffinity(0))
    return Run(
        scenario=scenario.name,
        server=server.name,
        messages=messages,
        seconds=seconds,
        user_seconds=used.user_seconds,
        system_seconds=used.system_seconds,
        pss_bytes=pss_bytes_of(server.session),
        foreign_share=max(0.0, foreign / capacity),
    )
