"""``python -m tests.faults.ledger.compare``: cut the power of Paquebot and of others: who kept what. Needs root."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import get_args

import click
import msgspec

from tests.faults.ledger.account import Account
from tests.faults.ledger.rivals import Name, lose_power
from tests.support.processes import peer_directory

NAMES: tuple[Name, ...] = get_args(Name)


@click.command()
@click.option("--cuts", type=click.IntRange(1), default=20, show_default=True, help="Power losses of each server.")
@click.option("--seed", type=int, default=1, show_default=True, help="Chooses the loads and the moments.")
@click.option("--server", "servers", multiple=True, type=click.Choice(NAMES), help="Only this one; may be repeated.")
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write the counts here too.")
def main(*, cuts: int, seed: int, servers: tuple[Name, ...], json_path: Path | None) -> None:
    """Lose the power under load, again and again, on an ext4 volume; then deliver all that is left."""
    if os.geteuid() != 0:
        raise click.ClickException("a volume of its own needs root")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was mounted and started is taken away
    found: dict[str, Account] = {}
    click.echo("| server | power losses | accepted | delivered | lost | altered | twice |\n" + "| --- " * 7 + "|")
    for name in servers or NAMES:
        with peer_directory() as place:
            found[name] = each = lose_power(place, name, cuts, seed)
        counts = (name, cuts, each.accepted, each.delivered, each.lost, each.altered + each.strangers, each.duplicates)
        click.echo("| " + " | ".join(str(count) for count in counts) + " |")
    if json_path is not None:
        json_path.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")


if __name__ == "__main__":
    main()
