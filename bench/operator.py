"""`python -m bench.operator`: the operator on a real Kubernetes, from `kubectl apply` to what an SMTP client sees.

Writes bench/results/operator.json.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
from msgspec import Struct, json
from rich.console import Console

from bench import operator_effect, operator_scale
from tests.kube.programs import UnavailableError
from tests.support.processes import peer_directory

RESULTS = Path(__file__).parent / "results"
SIZES = (1_000, 10_000)


class Report(Struct, frozen=True):
    """Everything; ``effect`` is None where it was left out."""

    effect: operator_effect.Figures | None
    scale: tuple[operator_scale.Figures, ...]


@click.command()
@click.option("--changes", type=click.IntRange(0, 10_000), default=100, show_default=True, help="0 leaves them out.")
@click.option(
    "--domains", type=click.IntRange(1, 100_000), multiple=True, help="May be repeated.  [default: 1000, 10000]"
)
@click.option("--no-scale", is_flag=True, help="Only the time from a change to its effect.")
def main(*, changes: int, domains: tuple[int, ...], no_scale: bool) -> None:
    """Measure the operator: how soon a change is in force, and what many MailDomains cost.

    Example: python -m bench.operator --changes 0 --domains 1000
    """
    if os.geteuid() != 0:
        raise click.ClickException("a cluster with nodes needs root")
    console = Console(width=120)
    try:
        effect = _effect(changes, console) if changes else None
        scale = tuple(_scaled(number, console) for number in (() if no_scale else domains or SIZES))
    except UnavailableError as error:
        raise click.ClickException(str(error)) from None
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "operator.json").write_bytes(json.format(json.encode(Report(effect, scale))))
    console.print(f"written to {RESULTS / 'operator.json'}")


def _effect(changes: int, console: Console) -> operator_effect.Figures:
    found = operator_effect.measure(changes, lambda line: console.print(line, highlight=False))
    _print_effect(found, console)
    return found


def _scaled(domains: int, console: Console) -> operator_scale.Figures:
    with peer_directory() as directory:
        found = operator_scale.measure(domains, directory, lambda line: console.print(line, highlight=False))
    _print_scale(found, console)
    return found


def _print_effect(found: operator_effect.Figures, console: Console) -> None:
    for name, each in (("accepted by all pods", found.added), ("refused by all pods", found.removed)):
        console.print(
            f"{each.changes} changes, {name}: p50 {each.p50_seconds:.2f} s, p90 {each.p90_seconds:.2f} s, "
            f"p99 {each.p99_seconds:.2f} s, slowest {each.slowest_seconds:.2f} s"
        )


def _print_scale(found: operator_scale.Figures, console: Console) -> None:
    cpu = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in found.cpu_seconds.items())
    writes = ", ".join(f"{name} {count:.0f}" for name, count in found.bulk_writes.items())
    change = ", ".join(f"{name} {count:.2f}" for name, count in found.change_writes.items())
    total = sum(found.change_writes.values())
    console.print(
        f"{found.domains} MailDomains: created in {found.created_seconds:.0f} s ({found.alone_seconds:.0f} s without "
        f"an operator), all programmed after {found.programmed_seconds:.0f} s; CPU: {cpu}; "
        f"operator at most {found.resident_bytes / 2**20:.0f} MiB\n"
        f"  its writes: {writes}\n"
        f"  one change: {total:.1f} writes ({change}) and {found.change_nudges:.1f} nudges of pods; "
        f"restart: {found.restart_seconds:.1f} s, {sum(found.restart_writes.values()):.0f} writes; "
        f"all deleted after {found.deleted_seconds:.1f} s"
    )


if __name__ == "__main__":
    main()
