"""Commands that change something: schedule, remove, suspend, pause, resume."""

import click
import msgspec

from paquebot_mta.admin.asking import Workers, read_target, with_workers
from paquebot_mta.admin.client import Worker
from paquebot_mta.admin.targets import ALL, parse_route_target

PARTS = ("smtp", "mta", "mda")
ROUTE = "route"
TARGET = click.argument("target", callback=read_target)


class Count(msgspec.Struct, frozen=True):
    """How many envelopes a worker acted on."""

    envelopes: int


class Routes(msgspec.Struct, frozen=True):
    """How many routes a worker let go."""

    routes: int


class Paused(msgspec.Struct, frozen=True):
    """What a worker has paused."""

    paused: tuple[str, ...]


def read_part_or_target(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Parse ``smtp``, ``mta``, ``mda``, ``route`` or a target (a callback of click); a bad one is a usage error."""
    return value if value in (*PARTS, ROUTE) else read_target(context, parameter, value)


@click.command()
@TARGET
@with_workers
def schedule(workers: Workers, target: str) -> None:
    """Try envelopes at once: one, those of a message, or all.

    \b
    Example:
        paquebot schedule all
    """
    _act(workers, "/schedule", target, "scheduled")


@click.command()
@TARGET
@with_workers
def remove(workers: Workers, target: str) -> None:
    """Remove envelopes that are not being delivered. Nobody is told: there is no bounce.

    \b
    Example:
        paquebot remove 508f4cf1
    """
    _act(workers, "/remove", target, "removed")


@click.command()
@TARGET
@with_workers
def suspend(workers: Workers, target: str) -> None:
    """Hold envelopes back until they are resumed, restarts included.

    \b
    Example:
        paquebot suspend 508f4cf1a3b2c1d0
    """
    _act(workers, "/suspend", target, "suspended")


@click.command()
@click.argument("part", type=click.Choice(PARTS))
@with_workers
def pause(workers: Workers, part: str) -> None:
    """Pause accepting (smtp), relaying (mta) or local delivery (mda), until resumed or restarted.

    \b
    Example:
        paquebot pause mta
    """
    _switch(workers, "/pause", part, "paused")


@click.command()
@click.argument("what", metavar="smtp|mta|mda|TARGET|route", callback=read_part_or_target)
@click.argument("route", metavar="[ROUTE]", required=False)
@with_workers
def resume(workers: Workers, what: str, route: str | None) -> None:
    """Go on with a paused part, with suspended envelopes, or with routes that rest (an id, an address or all).

    Mail that waits for a route comes when its time is up; `paquebot schedule` hastens it.

    \b
    Example:
        paquebot resume mta
        paquebot resume 508f4cf1
        paquebot resume route 3f0a91c2
        paquebot resume route all
    """
    if (what == ROUTE) != (route is not None):
        raise click.UsageError("name the route: `resume route ID`, `resume route ADDRESS` or `resume route all`")
    if route is not None:
        _enable(workers, route)
    elif what in PARTS:
        _switch(workers, "/resume-part", what, "resumed")
    else:
        _act(workers, "/resume", what, "resumed")


def _act(workers: Workers, resource: str, target: str, done: str) -> None:
    """Ask all workers; a message or envelope that none has is an error."""

    def ask(worker: Worker) -> int:
        return worker.post(resource, {"target": target}, Count).envelopes

    count = sum(count for _, count in workers.each(ask))
    if not count and target != ALL and not workers.failed:
        raise click.ClickException(f"{target}: no such envelope in the queue, or none that can be {done} now")
    click.echo(f"{count} envelope{'' if count == 1 else 's'} {done}")


def _enable(workers: Workers, text: str) -> None:
    try:
        target = parse_route_target(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    asked = workers.each(lambda worker: worker.post("/resume-route", {"target": target}, Routes).routes)
    count = sum(count for _, count in asked)
    if not count and target != ALL and not workers.failed:
        raise click.ClickException(f"{target}: no such route, or it does not rest")
    click.echo(f"{count} route{'' if count == 1 else 's'} resumed")


def _switch(workers: Workers, resource: str, part: str, done: str) -> None:
    for worker, answer in workers.each(lambda worker: worker.post(resource, {"part": part}, Paused)):
        click.echo(f"{worker.name}: {part} {done} (paused now: {', '.join(answer.paused) or 'nothing'})")
