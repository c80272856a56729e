"""``paquebot run DIR``: compile manifests, start an MTA with them, and follow their changes."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from paquebot_mta.config.service import MtaConfig
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.local.build import Build, Snapshot, build, snapshot
from paquebot_operator.local.check import print_findings
from paquebot_operator.local.child import ADMIN, command_line, exited, started, wait_ready
from paquebot_operator.local.state import State, StateBusyError
from paquebot_operator.local.welcome import welcome

POLL_SECONDS = 0.5
Places = frozenset[tuple[str, str, int]]
"""Name, address and port of listeners."""


@click.command("run")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--state", default=".paquebot", type=click.Path(file_okay=False, path_type=Path), show_default=True,
              help="Where everything is kept: configuration, queue, certificates, passwords.")  # fmt: skip
@click.option("--workers", default=1, type=click.IntRange(1, 64), show_default=True, help="Processes of the MTA.")
@click.option("--admin", default=ADMIN, metavar="ADDRESS:PORT", show_default=True, help="Where /metrics is served.")
@click.option("--service", metavar="NAMESPACE/NAME", help="Which MailService to run, if there are several.")
@click.option("--log-format", default="auto", type=click.Choice(["auto", "json", "text"]), show_default=True,
              help="JSON lines, readable lines, or what suits the output.")  # fmt: skip
def command(directory: Path, *, state: Path, workers: int, admin: str, service: str | None, log_format: str) -> None:
    """Run the manifests in DIRECTORY on this machine, without a cluster.

    A change of the manifests is in force within a second; a mistake is named and the last good configuration stays.
    Listeners that are new, gone or moved to another port need a new start, and this is said.

    Example: paquebot run examples/quickstart
    """
    place = State(state)
    try:
        with place.locked():
            code = _run(directory, place, _key(service), admin, command_line(place, workers, admin, log_format))
    except StateBusyError as error:
        raise click.ClickException(str(error)) from None
    sys.exit(code)


def _run(directory: Path, state: State, service: ObjectKey | None, admin: str, arguments: list[str]) -> int:
    seen = snapshot(directory)
    first = build(directory, state, service, datetime.now(UTC))
    _complain(first)
    if first.config is None:
        return 1
    state.write(first.files)
    with started(arguments) as child:
        if (code := wait_ready(child, admin)) is not None:
            return code
        click.echo("\n".join(welcome(first, state, admin)))
        return _follow(directory, state, service, child, seen, _places(first.config))


def _follow(
    directory: Path,
    state: State,
    service: ObjectKey | None,
    child: subprocess.Popen[bytes],
    seen: Snapshot,
    bound: Places,
) -> int:
    """Recompile on change until the child ends; its exit code."""
    while (code := exited(child, POLL_SECONDS)) is None:
        try:
            now_there = snapshot(directory)
            if now_there != seen:
                seen = now_there
                _apply(build(directory, state, service, datetime.now(UTC)), state, bound)
        except OSError as error:
            # The directory is away, or the disk full: the MTA goes on with what it has.
            click.echo(f"{directory}: {error.strerror}", err=True)
            exited(child, POLL_SECONDS)
    return code


def _apply(changed: Build, state: State, bound: Places) -> None:
    _complain(changed)
    if changed.config is None:
        click.echo("The last good configuration stays in force.", err=True)
        return
    state.write(changed.files)
    click.echo(f"Configuration {changed.config.digest[:12]} written.", err=True)
    moved = sorted({name for name, _, _ in bound ^ _places(changed.config)})
    if moved:
        click.echo(f"Listeners as they were until the next start: {', '.join(moved)}.", err=True)


def _places(config: MtaConfig) -> Places:
    """Where listeners listen: bound at the start, and never again."""
    return frozenset((each.name, each.address, each.port) for each in config.service.listeners)


def _complain(built: Build) -> None:
    """Name errors and warnings on stderr."""
    bad = [finding for finding in built.findings if finding.condition.severity != "Info"]
    if bad:
        print_findings(bad, Console(stderr=True))


def _key(service: str | None) -> ObjectKey | None:
    if service is None:
        return None
    namespace, slash, name = service.partition("/")
    return ObjectKey(namespace, name) if slash else ObjectKey("default", namespace)
