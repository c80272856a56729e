"""`python -m bench`: compare with Postfix on this machine, print tables, write bench/results/latest.json."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from bench.contest import Contest
from bench.machine import describe_machine, disk_directory
from bench.plan import SCENARIOS, Plan
from bench.report import make_report, print_machine, print_report, write_report
from tests.support.processes import PeerError, find_program, peer_directory

RESULTS = Path(__file__).parent / "results"
WIDTH = 120
QUICK_ROUNDS, QUICK_MESSAGES = 2, 1_000
NAMES = [scenario.name for scenario in SCENARIOS]


@click.command()
@click.option("--quick", is_flag=True, help="Two short rounds and no second Paquebot: a look, not a measurement.")
@click.option("--only", multiple=True, type=click.Choice(NAMES), help="Only this scenario; may be repeated.")
@click.option("--runs", type=click.IntRange(1, 100), help="Rounds of each scenario.  [default: 5]")
@click.option("--messages", type=click.IntRange(100, 1_000_000), help="Messages of one run.  [default: 3000]")
@click.option(
    "--workers", multiple=True, type=click.IntRange(1, 64), help="Paquebot's processes.  [default: 2, then 1]"
)
@click.option("--no-rivals", is_flag=True, help="Only Postfix, without Exim, OpenSMTPD and Haraka.")
@click.option("--no-profile", is_flag=True, help="Rates only.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Where queues lie.")
def main(
    *,
    quick: bool,
    only: tuple[str, ...],
    runs: int | None,
    messages: int | None,
    workers: tuple[int, ...],
    no_rivals: bool,
    no_profile: bool,
    directory: Path | None,
) -> None:
    """Measure accept and end-to-end rates beside Debian's Postfix and others, and where the time goes.

    Example: python -m bench --only end_to_end --runs 7
    """
    _check_surroundings()
    # A log file has no width; the tables need one.
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    with peer_directory(directory or disk_directory()) as place:
        plan = Plan(
            scenarios=tuple(scenario for scenario in SCENARIOS if not only or scenario.name in only),
            rounds=runs or (QUICK_ROUNDS if quick else 5),
            messages=messages or (QUICK_MESSAGES if quick else 3_000),
            workers=tuple(dict.fromkeys(workers)) or ((2,) if quick else (2, 1)),
            rivals=not no_rivals,
            profiles=not no_profile,
            directory=place,
            flames=RESULTS,
        )
        _run(plan, console)


def _run(plan: Plan, console: Console) -> None:
    """Measure, print and write."""
    started = time.monotonic()
    plan.flames.mkdir(parents=True, exist_ok=True)
    machine = describe_machine(plan.directory)
    print_machine(machine, console)
    contest = Contest(plan, lambda line: console.print(line, highlight=False))
    try:
        contest.run()
    except PeerError as error:
        raise click.ClickException(str(error)) from error
    report = make_report(plan, machine, contest, time.monotonic() - started)
    print_report(report, console)
    write_report(report, RESULTS / "latest.json")
    console.print(f"written to {RESULTS / 'latest.json'} after {report.seconds:.0f} s")


def _check_surroundings() -> None:
    """Refuse early what can't work."""
    if os.geteuid() != 0:
        raise click.ClickException("Postfix and the profiler need root: run it as root")
    try:
        for name in ("smtp-source", "smtp-sink", "postsuper"):
            find_program(name)
    except PeerError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
