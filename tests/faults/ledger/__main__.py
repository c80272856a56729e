"""``python -m tests.faults.ledger``: break a pool at random, and balance its books. Needs root."""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path

import click
import msgspec

from tests.faults.ledger.account import kinds_table
from tests.faults.ledger.plan import KINDS, MEANINGS, Plan
from tests.faults.ledger.run import run_ledger
from tests.support.processes import peer_directory


@click.command()
@click.option("--minutes", type=click.FloatRange(0.1), default=3.0, show_default=True, help="Of strikes, at most.")
@click.option("--points", type=click.IntRange(1), default=1_000_000, help="Crash points, at most.")
@click.option("--seed", type=int, help="Of another run: the same strikes, though not the same moments.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Only these; may be repeated.")
@click.option("--machines", is_flag=True, help="Each process believes to be on a machine of its own.")
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write the counts here too.")
def main(
    *, minutes: float, points: int, seed: int | None, kinds: tuple[str, ...], machines: bool, json_path: Path | None
) -> None:
    """Kill, stop, fill, forbid and cut the power of a pool of three under load; say what became of all mail.

    Ends with 1 if anything is lost, altered or unexplained.
    """
    if os.geteuid() != 0:
        raise click.ClickException("a volume of its own needs root")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was mounted and started is taken away
    chosen = seed if seed is not None else random.SystemRandom().randrange(2**32)
    kept = tuple(kind for kind in KINDS if not kinds or kind in kinds)
    plan = Plan(seed=chosen, seconds=minutes * 60, points=points, kinds=kept, machines=machines)
    click.echo(f"seed {chosen}; strikes: {'; '.join(f'{kind}: {MEANINGS[kind]}' for kind in kept)}")
    with peer_directory() as place:
        found, made = run_ledger(place, plan, click.echo)
    click.echo(f"\ncrash points by kind, seed {chosen}:\n{kinds_table(made)}\nthe books, in messages:\n{found.table()}")
    if json_path is not None:
        json_path.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    if found.faults:
        click.echo(f"NOT IN ORDER: {', '.join(found.faults)}")
        sys.exit(1)
    click.echo("in order: nothing lost, nothing altered, every duplicate explained and counted")


if __name__ == "__main__":
    main()
