"""What is shown and written of a benchmark: tables for people, one JSON document for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from bench.contest import Contest
from bench.figures import Figure, Summary, ratio, summarise
from bench.machine import Machine
from bench.plan import MESSAGE_BYTES, SCENARIOS, SESSIONS, Plan, Run
from bench.profiler import Profile
from bench.rivals import TITLES
from bench.servers import GENERATOR, POSTFIX, paquebot_name


class Report(Struct, frozen=True, kw_only=True):
    """All of one benchmark. A ratio is Paquebot's median rate divided by Postfix's; None if it wasn't measured.

    Attributes:
        rival_ratios: the same for others, by ``<scenario>_<rival>``.
        idle_pss_mebibytes: of each server, with all its processes, before its first message.
    """

    accept_new_ratio: float | None
    accept_reused_ratio: float | None
    end_to_end_ratio: float | None
    rival_ratios: dict[str, float | None]
    idle_pss_mebibytes: dict[str, float]
    measured_at: str
    seconds: float
    machine: Machine
    workers: int
    sessions: int = SESSIONS
    message_bytes: int = MESSAGE_BYTES
    summaries: tuple[Summary, ...]
    profiles: tuple[Profile, ...]
    runs: tuple[Run, ...]


def make_report(plan: Plan, machine: Machine, contest: Contest, seconds: float) -> Report:
    """Put it together."""
    runs, profiles = contest.runs, contest.profiles
    summaries = summarise(runs)
    ours = paquebot_name(plan.workers[0])
    ratios = {f"{scenario.name}_ratio": ratio(summaries, scenario.name, ours, POSTFIX) for scenario in SCENARIOS}
    return Report(
        accept_new_ratio=ratios["accept_new_ratio"],
        accept_reused_ratio=ratios["accept_reused_ratio"],
        end_to_end_ratio=ratios["end_to_end_ratio"],
        rival_ratios={
            f"{scenario.name}_{rival}": ratio(summaries, scenario.name, ours, TITLES[rival])
            for scenario in SCENARIOS
            for rival in scenario.rivals
        },
        idle_pss_mebibytes={name: pss / 2**20 for name, pss in contest.idle_pss_bytes.items()},
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=seconds,
        machine=machine,
        workers=plan.workers[0],
        summaries=tuple(summaries),
        profiles=tuple(profiles),
        runs=tuple(runs),
    )


def write_report(report: Report, path: Path) -> None:
    """Write it as JSON; a reader sees the old document or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    draft.replace(path)


def print_machine(machine: Machine, console: Console) -> None:
    """Say where it is measured, and warn of what makes it worthless."""
    disk = machine.disk
    latency = f"median {disk.sync_median_milliseconds:.2f} ms, 99 % below {disk.sync_p99_milliseconds:.2f} ms"
    console.print(f"{machine.cores} cores, {machine.processor}, Linux {machine.kernel}; commit {machine.commit}")
    console.print(f"queues in {disk.directory} ({disk.file_system} on {disk.device}); a 4 KiB sync: {latency}")
    if disk.is_memory:
        console.print("[bold]The queues lie in memory: a sync costs nothing here. Choose a disk with --directory.")
    if machine.load_before > machine.cores / 4:
        console.print(f"[bold]The machine is not idle (load {machine.load_before:.1f}): expect noise.")


def print_report(report: Report, console: Console) -> None:
    """Print all tables."""
    console.print(_rates(report))
    idle = ", ".join(f"{name} {pss:,.0f}" for name, pss in report.idle_pss_mebibytes.items())
    console.print(f"PSS in MiB before the first message: {idle}", highlight=False)
    for found in report.profiles:
        if found.reason:
            console.print(f"{found.scenario}: {found.reason}")
        else:
            console.print(_stages(found))
            console.print(_functions(found))


def _rates(report: Report) -> Table:
    table = Table(title=f"{report.message_bytes} bytes, {report.sessions} sessions, fsync on; medians of the runs")
    table.add_column("server", no_wrap=True)
    for heading in ("messages/s", "spread", "ratio", "CPU us each", "kernel", "PSS MiB", "noise"):
        table.add_column(heading, justify="right", no_wrap=True)
    for scenario in SCENARIOS:
        rows = [each for each in report.summaries if each.scenario == scenario.name]
        if rows:
            table.add_row(f"[bold]{scenario.title}")
        for found in rows:
            table.add_row(found.server, *_cells(found, report.summaries))
        table.add_section()
    return table


def _cells(found: Summary, summaries: Sequence[Summary]) -> list[str]:
    quotient = None if found.server == GENERATOR else ratio(summaries, found.scenario, found.server, POSTFIX)
    return [
        f"{found.messages_per_second.median:,.0f}",
        _spread(found.messages_per_second),
        "" if quotient is None else f"{quotient:.2f}",
        f"{found.cpu_microseconds_per_message.median:,.0f}",
        f"{found.system_share:.0%}",
        f"{found.pss_mebibytes.median:,.0f}",
        f"{found.foreign_share:.0%}",
    ]


def _spread(of: Figure) -> str:
    return f"{of.lowest:,.0f}-{of.highest:,.0f}"


def _stages(found: Profile) -> Table:
    title = (
        f"{found.scenario}: where a worker's CPU goes ({found.samples} samples, {found.system_share:.0%} in the kernel)"
    )
    table = Table("stage", title=title)
    table.add_column("share", justify="right")
    table.add_column("us/message", justify="right")
    for each in found.stages:
        table.add_row(each.name, f"{each.share:.1%}", f"{each.microseconds_per_message:.0f}")
    return table


def _functions(found: Profile) -> Table:
    table = Table("function, with what it calls outside of our code", title=f"{found.scenario}: the dearest functions")
    table.add_column("us/message", justify="right")
    for each in found.functions:
        table.add_row(each.name, f"{each.microseconds_per_message:.0f}")
    return table
