"""The whole benchmark: starts the servers, lets them take turns, and gathers all runs and profiles."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.figures import summarise
from bench.measure import measure
from bench.plan import BUDGET_SECONDS, LEAST_ROUNDS, Plan, Run, Scenario
from bench.profiler import Profile, profile
from bench.rivals import running_rival
from bench.servers import (
    POSTFIX,
    BareSink,
    Server,
    paquebot_name,
    running_paquebot_server,
    running_postfix_server,
)
from bench.usage import pss_bytes_of
from tests.support.processes import PeerError
from tests.support.smtp_tools import SmtpSink, running_sink

Say = Callable[[str], None]
PROFILED_RUNS = 4
"""A profile's load is as long as so many measured runs: samples, not rates, need the time."""


class Contest:
    """One benchmark by a plan; ``say`` is told of each step as it is done."""

    def __init__(self, plan: Plan, say: Say) -> None:
        self._plan = plan
        self._say = say
        self._ends_at = time.monotonic() + BUDGET_SECONDS
        self.runs: list[Run] = []
        self.idle_pss_bytes: dict[str, int] = {}
        self.profiles: list[Profile] = []

    def run(self) -> None:
        """Measure everything. Raises `PeerError` when Paquebot or Postfix fails: a rate of lost mail is none."""
        for delivers in (False, True):
            scenarios = [scenario for scenario in self._plan.scenarios if scenario.delivers == delivers]
            if scenarios:
                self._run_stage(scenarios, self._plan.directory / ("deliver" if delivers else "accept"), delivers)

    def _run_stage(self, scenarios: Sequence[Scenario], directory: Path, delivers: bool) -> None:
        """Measure the scenarios that need the same set-up."""
        directory.mkdir(mode=0o755)
        self._say(f"starting {POSTFIX} and paquebot ({', '.join(map(str, self._plan.workers))} workers)")
        with _servers(self._plan, directory, delivers) as (sink, servers):
            self._weigh(servers)
            for scenario in scenarios:
                with ExitStack() as stack:
                    rivals = self._start_rivals(scenario, directory, sink, stack) if self._plan.rivals else []
                    self._run_scenario(scenario, sink, servers, rivals)
            for scenario in scenarios:  # last: the long queues of a profile leave a process with more memory
                self._profile(scenario, sink, servers)

    def _weigh(self, servers: Sequence[Server]) -> None:
        """Note what the servers take before their first message."""
        for server in servers:
            self.idle_pss_bytes.setdefault(server.name, pss_bytes_of(server.session))

    def _start_rivals(self, scenario: Scenario, directory: Path, sink: SmtpSink, stack: ExitStack) -> list[Server]:
        """Start who takes part in this scenario only; one that this machine lacks is told and left out."""
        started: list[Server] = []
        for name in scenario.rivals:
            place = directory / name
            place.mkdir(mode=0o755)
            try:
                started.append(stack.enter_context(running_rival(name, place, sink.port)))
            except PeerError as error:
                self._say(f"{scenario.name:14} without {name}: {error}")
        self._weigh(started)
        return started

    def _run_scenario(
        self, scenario: Scenario, sink: SmtpSink, servers: Sequence[Server], rivals: Sequence[Server]
    ) -> None:
        """Let the servers take turns, so that a slow minute of the machine meets all of them."""
        for server in servers:
            measure(server, sink, scenario, max(200, self._plan.messages // 3))
        working = [rival for rival in rivals if self._measure_rival(rival, sink, scenario) is not None]
        for number in range(self._plan.rounds):
            if number >= LEAST_ROUNDS and time.monotonic() > self._ends_at:
                self._say(f"{scenario.name}: {number} rounds only, time is up")
                return
            for server in servers:
                run = measure(server, sink, scenario, self._plan.messages)
                self.runs.append(run)
                self._tell(run, number)
            for rival in tuple(working):
                if (found := self._measure_rival(rival, sink, scenario)) is None:
                    working.remove(rival)
                else:
                    self.runs.append(found)
                    self._tell(found, number)

    def _measure_rival(self, rival: Server, sink: SmtpSink, scenario: Scenario) -> Run | None:
        """Measure a rival; one that fails is told, and its runs so far stay."""
        try:
            return measure(rival, sink, scenario, max(100, self._plan.messages // 2))
        except PeerError as error:
            self._say(f"{scenario.name:14} no more of {rival.name}: {str(error).partition(chr(10))[0]}")
            return None

    def _tell(self, run: Run, number: int) -> None:
        rate = f"{run.messages_per_second:8,.0f}/s {run.cpu_microseconds_per_message:6,.0f} us CPU a message"
        noise = f", {run.foreign_share:.0%} of the machine is used by others" if run.foreign_share > 0.1 else ""
        self._say(f"{run.scenario:14} {number + 1}/{self._plan.rounds} {run.server:20} {rate}{noise}")

    def _profile(self, scenario: Scenario, sink: SmtpSink, servers: Sequence[Server]) -> None:
        """Profile the first Paquebot."""
        name = paquebot_name(self._plan.workers[0])
        server = next(each for each in servers if each.name == name)
        if not self._plan.profiles:
            return
        cpu = next(
            found.cpu_microseconds_per_message.median
            for found in summarise(self.runs)
            if found.scenario == scenario.name and found.server == name
        )
        self._say(f"{scenario.name:14} profile of a worker")
        output = self._plan.flames / f"flame-{scenario.name.replace('_', '-')}.svg"
        self.profiles.append(profile(server, sink, scenario, self._plan.messages * PROFILED_RUNS, cpu, output))
        server.clear()


@contextmanager
def _servers(plan: Plan, directory: Path, delivers: bool) -> Iterator[tuple[SmtpSink, list[Server]]]:
    """Run all servers of a stage, one sink as next hop of them all."""
    with ExitStack() as stack:
        sink = stack.enter_context(running_sink(directory / "sink"))
        servers: list[Server] = [
            stack.enter_context(running_postfix_server(directory / "postfix", sink.port, delivers=delivers))
        ]
        for workers in plan.workers:
            place = directory / f"paquebot-{workers}"
            servers.append(stack.enter_context(running_paquebot_server(place, workers, sink.port, delivers=delivers)))
        if not delivers:
            servers.append(BareSink(sink))
        yield sink, servers
