"""``paquebot rehearse``: ask the filters of a compiled configuration about recorded sessions."""

import asyncio
import difflib
import secrets
import sys
import time
from pathlib import Path
from typing import Final

import click
from msgspec.structs import replace

from paquebot_mta.config.codec import load
from paquebot_mta.config.directory import read_directory
from paquebot_mta.config.errors import ConfigError
from paquebot_mta.config.filters import Chain, Greylist, Kind, Milter, Rspamd
from paquebot_mta.config.service import MtaConfig
from paquebot_mta.filter.chain import NAMES, Verdict
from paquebot_mta.filter.decisions import JUNK, PROCEED, Disconnect, Reject, Rewrite
from paquebot_mta.filter.process.lines import clean
from paquebot_mta.filter.reports.rehearsal import Asked, Rehearsal, Seen
from paquebot_mta.filter.reports.replay import Tally, recorded_lines
from paquebot_mta.filter.running import RunningFilters
from paquebot_mta.filter.tools import Tools
from paquebot_mta.resolver.dns_resolver import DnsResolver
from paquebot_mta.table.open import build_tables
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import Event, FilterReport, Notice
from paquebot_mta.telemetry.filter_events import FilterFault

_CHANGED_LINES: Final = 200
"""Of one message, as many are printed."""
_COMPARED_BYTES: Final = 262_144
_TOLD = frozenset({"filter.stderr", "filter.crashed", "filter.timeout"})


@click.command("rehearse")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--config", type=click.Path(path_type=Path, file_okay=False), required=True,
              help="Directory of the compiled configuration.")  # fmt: skip
@click.option("--listener", required=True, help="Name of the listener whose filters are asked.")
@click.option("--message", "messages", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Content of a transaction, for filters that look at it; several in their order.")  # fmt: skip
@click.option("--ask-services", is_flag=True, help="Ask rspamd and milters, too, where they really are.")
def command(file: Path, config: Path, listener: str, messages: tuple[Path, ...], ask_services: bool) -> None:
    """Ask a listener's filters about the sessions recorded in FILE, and print each decision.

    A record has no content: give it by --message, and what filters make of it is printed, too.

    Example: paquebot rehearse events.log --config .paquebot/config --listener mx --message letter.eml
    """
    try:
        settings = load(read_directory(config))
        if not ask_services:
            settings = _without_services(settings)
        contents = [b"\r\n".join(each.read_bytes().splitlines()) + b"\r\n" for each in messages]
        sys.exit(asyncio.run(_rehearse(settings, listener, file, contents)))
    except ConfigError as error:
        raise click.ClickException(str(error)) from None


def _without_services(settings: MtaConfig) -> MtaConfig:
    """Leave out filters that would ask a service of others, and say so; a greylist begins with an empty memory."""
    filters = settings.service.filters
    left_out = {name for name, each in filters.items() if isinstance(each.kind, Rspamd | Milter)}
    for name in sorted(left_out):
        click.echo(f"{name} is not asked: it is a service of its own (--ask-services)", err=True)

    def kept(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if name not in left_out)

    def alone(kind: Kind) -> Kind:
        if isinstance(kind, Chain):
            return Chain(filters=kept(kind.filters))
        # A rehearsal must not make strangers known to those who answer mail.
        return replace(kind, store="memory") if isinstance(kind, Greylist) else kind

    chosen = {name: replace(each, kind=alone(each.kind)) for name, each in filters.items() if name not in left_out}
    listeners = tuple(replace(each, filters=kept(each.filters)) for each in settings.service.listeners)
    return replace(settings, service=replace(settings.service, filters=chosen, listeners=listeners))


async def _rehearse(settings: MtaConfig, listener: str, file: Path, messages: list[bytes]) -> int:
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
            rehearsal = Rehearsal(screen.chain, bus, _show, messages)
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


def _show(told: Asked | Seen) -> None:
    if isinstance(told, Asked):
        _show_decision(told.session, told.phase, told.parameter, told.verdict)
    else:
        _show_content(told)


def _show_decision(session: str, phase: str, parameter: str, verdict: Verdict, junk: bool = False) -> None:
    decision = JUNK if junk and verdict.decision is PROCEED else verdict.decision
    said = f" {decision.reply}" if isinstance(decision, Reject | Disconnect) else ""
    said = f" {decision.parameter}" if isinstance(decision, Rewrite) else said
    by = f"  ({verdict.filter})" if verdict.filter else ""
    click.echo(f"{session} {phase:<9} {parameter or '-'} -> {NAMES[type(decision)]}{said}{by}")


def _show_content(seen: Seen) -> None:
    """Print how it was decided, which lines changed, and what becomes of the envelope."""
    _show_decision(seen.session, "content", f"{len(seen.before)} bytes", seen.verdict, seen.junk)
    changed = _differences(seen.before, seen.after)
    for each in seen.changes:
        changed += [f"recipient added: {name}" for name in each.add_recipients]
        changed += [f"recipient removed: {name}" for name in each.remove_recipients]
    for line in changed[:_CHANGED_LINES]:
        click.echo(f"{seen.session}   {clean(line)}")
    if len(changed) > _CHANGED_LINES:
        click.echo(f"{seen.session}   ... {len(changed) - _CHANGED_LINES} lines more")


def _differences(before: bytes, after: bytes) -> list[str]:
    """Give the lines that are gone (``-``) and new (``+``), of messages that are not too long to be compared."""
    if before == after:
        return []
    if max(len(before), len(after)) > _COMPARED_BYTES:
        return [f"{len(after)} bytes now"]
    old, new = (each.decode("utf-8", "replace").split("\r\n") for each in (before, after))
    lines = list(difflib.unified_diff(old, new, n=0, lineterm=""))[2:]
    return [line for line in lines if not line.startswith("@@")]


def _show_event(event: Event) -> None:
    if isinstance(event, FilterReport):
        click.echo(f"{event.session} {event.filter} says: {event.message}")
    elif isinstance(event, FilterFault):
        click.echo(f"{event.session} {event.phase:<9} {event.filter} can't answer: {event.cause}", err=True)
    elif isinstance(event, Notice) and event.event in _TOLD:
        click.echo(f"{event.event}: {dict(event.details)}", err=True)
