"""``paquebot rehearse``: ask the filters of a compiled configuration about recorded sessions."""

import asyncio
import secrets
import sys
import time
from pathlib import Path

import click

from paquebot_mta.config.codec import load
from paquebot_mta.config.directory import read_directory
from paquebot_mta.config.errors import ConfigError
from paquebot_mta.config.service import MtaConfig
from paquebot_mta.filter.chain import NAMES
from paquebot_mta.filter.decisions import Disconnect, Reject, Rewrite
from paquebot_mta.filter.reports.rehearsal import Asked, Rehearsal
from paquebot_mta.filter.reports.replay import Tally, recorded_lines
from paquebot_mta.filter.running import RunningFilters
from paquebot_mta.filter.tools import Tools
from paquebot_mta.resolver.dns_resolver import DnsResolver
from paquebot_mta.table.open import build_tables
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import Event, FilterReport, Notice

_TOLD = frozenset({"filter.stderr", "filter.crashed", "filter.timeout"})


@click.command("rehearse")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--config", type=click.Path(path_type=Path, file_okay=False), required=True,
              help="Directory of the compiled configuration.")  # fmt: skip
@click.option("--listener", required=True, help="Name of the listener whose filters are asked.")
def command(file: Path, config: Path, listener: str) -> None:
    """Ask a listener's filters about the sessions recorded in FILE, and print each decision.

    Example: paquebot rehearse events.log --config .paquebot/config --listener mx
    """
    try:
        settings = load(read_directory(config))
        sys.exit(asyncio.run(_rehearse(settings, listener, file)))
    except ConfigError as error:
        raise click.ClickException(str(error)) from None


async def _rehearse(settings: MtaConfig, listener: str, file: Path) -> int:
    bus = Bus()
    bus.subscribe(_show_event)
    running = RunningFilters(await _tools(settings, bus))
    plan = running.plan(settings, build_tables(settings.tables))
    screen = plan.screens.get(listener)
    if screen is None:
        raise click.ClickException(f"no filter is asked on listener {listener!r}")
    await running.apply(plan)
    tally = Tally()
    try:
        with file.open("rb") as lines:
            rehearsal = Rehearsal(screen.chain, bus, _show)
            sessions = await rehearsal.play(recorded_lines(lines, tally, listener))
    finally:
        await running.close()
    click.echo(f"{sessions} sessions; {tally.missing} missing and {tally.unreadable} unreadable lines", err=True)
    return 0 if sessions else 1


async def _tools(settings: MtaConfig, bus: Bus) -> Tools:
    resolver = await DnsResolver.from_config(settings.service.resolver, lambda *_: None)
    return Tools(
        bus=bus,
        resolver=lambda: resolver,
        tables=dict,
        wall_clock=time.time,
        monotonic=time.monotonic,
        randbits=secrets.randbits,
        hostname=settings.service.hostname,
        service=settings.service.name,
    )


def _show(asked: Asked) -> None:
    decision = asked.verdict.decision
    said = f" {decision.reply}" if isinstance(decision, Reject | Disconnect) else ""
    said = f" {decision.parameter}" if isinstance(decision, Rewrite) else said
    by = f"  ({asked.verdict.filter})" if asked.verdict.filter else ""
    click.echo(f"{asked.session} {asked.phase:<9} {asked.parameter or '-'} -> {NAMES[type(decision)]}{said}{by}")


def _show_event(event: Event) -> None:
    if isinstance(event, FilterReport):
        click.echo(f"{event.session} {event.filter} says: {event.message}")
    elif isinstance(event, Notice) and event.event in _TOLD:
        click.echo(f"{event.event}: {dict(event.details)}", err=True)
