"""``paquebot log``: what to do with recorded report events."""

import asyncio
import shlex
import sys
from pathlib import Path

import click

from paquebot_mta.filter.reports.replay import ReplayError, replay


@click.group("log")
def command() -> None:
    """Work with recorded report events."""


@command.command("replay")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--to", "program", required=True, metavar="COMMAND", help="A filter and its arguments; no shell is used.")
def replay_command(file: Path, program: str) -> None:
    """Feed a recorded stream of report events to a filter, as if it had been there.

    FILE is what a subscriber in spec.reports wrote. What the filter says is printed.

    Example: paquebot log replay events.log --to "python3 filter.py"
    """
    try:
        arguments = tuple(shlex.split(program))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--to") from None
    if not arguments:
        raise click.BadParameter("a program is wanted", param_hint="--to")
    try:
        with file.open("rb") as lines:
            tally = asyncio.run(replay(lines, arguments, click.echo))
    except ReplayError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{tally.told} reports told, {tally.missing} missing, {tally.unreadable} unreadable lines", err=True)
    sys.exit(1 if tally.unreadable and not tally.told else 0)
