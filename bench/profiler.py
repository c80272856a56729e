"""Samples one worker of Paquebot with py-spy while it works, from outside, and reads its threads' CPU from /proc."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from bench.flame import flame_svg
from bench.measure import run_load
from bench.pinning import alone_on_a_core
from bench.plan import Scenario
from bench.servers import Server
from bench.stages import Slice, Stack, ThreadCpu, divide, function_of, module_of, parse_folded, pool_name, stage_of
from bench.usage import PROC, ProcessStat, parse_stat, processes_of
from tests.support.processes import PeerError, PeerProcess
from tests.support.smtp_tools import SmtpSink

SAMPLES_PER_SECOND = 250
LONGEST_SECONDS = 120
LISTED = 15


class Profile(Struct, frozen=True, kw_only=True):
    """Where a worker's CPU goes in a scenario; ``reason`` says why there is none."""

    scenario: str
    server: str
    samples: int = 0
    system_share: float = 0.0
    stages: tuple[Slice, ...] = ()
    modules: tuple[Slice, ...] = ()
    functions: tuple[Slice, ...] = ()
    reason: str = ""


def profile(
    server: Server, sink: SmtpSink, scenario: Scenario, messages: int, microseconds_per_message: float, output: Path
) -> Profile:
    """Run a load once more under the profiler; a profiler that isn't there or isn't allowed is a reason, no error.

    ``output`` is the flame graph's path.
    """
    worker = worker_of(server.session)
    try:
        stacks, threads = _sample(worker, server, sink, scenario, messages, output.with_suffix(".folded"))
        title = f"{server.name}: {scenario.title}; us of CPU a message"
        output.write_text(flame_svg(stacks, threads, microseconds_per_message, title))
        return _divided(scenario, server, stacks, threads, microseconds_per_message)
    except (PeerError, OSError, ValueError) as error:
        reason = f"no profile: {error}".partition("\n")[0]
        return Profile(scenario=scenario.name, server=server.name, reason=reason)


def worker_of(session: int) -> int:
    """Choose the process to look at: the first worker, which is nobody's parent, or the only process."""
    found = processes_of(session)
    return min({each.pid for each in found} - {each.parent for each in found})


def _sample(
    worker: int, server: Server, sink: SmtpSink, scenario: Scenario, messages: int, output: Path
) -> tuple[list[Stack], dict[str, ThreadCpu]]:
    """Sample while a load runs; return the stacks and the CPU of each pool of threads."""
    # The tools that answer the worker, and its fellow workers.
    peers = {found.pid for session in (server.session, sink.process.pid) for found in processes_of(session)} - {worker}
    with alone_on_a_core(worker, peers), _start(worker, output) as py_spy:
        py_spy.wait_for_log("Sampling process", 20.0)
        before = _tasks(worker)
        run_load(server, sink, scenario, messages)
        after = _tasks(worker)
        py_spy.signal(signal.SIGINT)
        py_spy.wait(30.0)
    text = output.read_text()
    return parse_folded(text), _spent(before, after, thread_names(text))


def _start(worker: int, output: Path) -> PeerProcess:
    program = Path(sys.executable).parent / "py-spy"
    options = ["--threads", "--gil", "--rate", str(SAMPLES_PER_SECOND), "--duration", str(LONGEST_SECONDS)]
    argv = [str(program), "record", "--pid", str(worker), "--format", "raw", "--output", str(output), *options]
    return PeerProcess(argv, output.with_suffix(".log"))


def thread_names(folded: str) -> dict[int, str]:
    """Read the names of threads by their id of the kernel: ``thread (4711): spool-read_0;...``."""
    names = {}
    for line in folded.splitlines():
        head = line.partition(";")[0]
        number, _, name = head.removeprefix("thread (").partition("): ")
        if number.isdigit() and name:
            names[int(number)] = name
    return names


def _tasks(pid: int) -> dict[int, ProcessStat]:
    found = {}
    for entry in (PROC / str(pid) / "task").iterdir():
        with contextlib.suppress(OSError):
            found[int(entry.name)] = parse_stat((entry / "stat").read_text())
    return found


def _spent(
    before: Mapping[int, ProcessStat], after: Mapping[int, ProcessStat], names: Mapping[int, str]
) -> dict[str, ThreadCpu]:
    """Add up what the threads of each pool used; those that were never sampled are together ``others``."""
    spent: dict[str, ThreadCpu] = {}
    for thread, end in after.items():
        start = before.get(thread)
        name = pool_name(names.get(thread, "others"))
        so_far = spent.get(name, ThreadCpu(user_ticks=0, system_ticks=0))
        user = end.user_ticks - (start.user_ticks if start else 0)
        system = end.system_ticks - (start.system_ticks if start else 0)
        spent[name] = ThreadCpu(user_ticks=so_far.user_ticks + user, system_ticks=so_far.system_ticks + system)
    return spent


def _divided(
    scenario: Scenario,
    server: Server,
    stacks: list[Stack],
    threads: Mapping[str, ThreadCpu],
    microseconds_per_message: float,
) -> Profile:
    used = sum(cpu.ticks for cpu in threads.values())
    stages, modules, functions = (
        tuple(divide(stacks, threads, microseconds_per_message, name_of))
        for name_of in (stage_of, module_of, function_of)
    )
    return Profile(
        scenario=scenario.name,
        server=server.name,
        samples=sum(stack.samples for stack in stacks),
        system_share=sum(cpu.system_ticks for cpu in threads.values()) / max(used, 1),
        stages=stages,
        modules=modules[:LISTED],
        functions=functions[:LISTED],
    )
