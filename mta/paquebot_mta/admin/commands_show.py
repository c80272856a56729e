"""``paquebot show``: what is in the queue, on its way and in the workers."""

import heapq
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import click
import msgspec

from paquebot_mta.admin.asking import Workers, read_target, with_json, with_workers
from paquebot_mta.admin.client import Worker
from paquebot_mta.admin.commands_keys import tell_locked
from paquebot_mta.admin.controls import EnvelopeDetail, FilterEntry, HostEntry, QueueEntry, RouteEntry, Status
from paquebot_mta.admin.output import flat, moment, print_fields, print_json, print_table, printable
from paquebot_mta.admin.targets import ALL
from paquebot_mta.mail.ids import msgid_of, parse_evpid, parse_msgid

QUEUE_COLUMNS = ("evpid", "state", "next try", "tries", "sender", "recipient", "flags", "last reply")
QUEUE_FOLDING = ("sender", "recipient", "last reply")
ROUTE_COLUMNS = (
    "worker", "route", "relay", "source", "destination", "flags", "open", "queued", "errors", "penalty", "timeout",
)  # fmt: skip
HOST_COLUMNS = ("worker", "address", "name", "routes", "open", "idle", "last error")
HOST_FOLDING = ("name", "last error")
FILTER_COLUMNS = ("worker", "filter", "kind", "mode", "where", "waiting", "answered", "failed", "trouble")
FILTER_FOLDING = ("where", "trouble")
_Entry = TypeVar("_Entry", RouteEntry, HostEntry, FilterEntry)
STATUS_COLUMNS = ("worker", "pid", "state", "paused", "generation", "digest", "listeners", "reasons")
STATUS_FOLDING = ("listeners", "reasons")


@click.group()
def show() -> None:
    """Show the queue, a message, an envelope, routes, hosts, filters, counts or the workers."""


@show.command()
@click.argument("target", default=ALL, callback=read_target)
@with_json
@with_workers
def queue(workers: Workers, target: str, form: str | None) -> None:
    """List queued envelopes, oldest first: all, those of a message id, or one envelope id.

    \b
    Example:
        paquebot show queue
        paquebot show queue --jsonl | jq .recipient
    """
    entries = _queue(workers, target)
    if form:
        print_json(entries, lines=form == "jsonl")
    else:
        print_table(QUEUE_COLUMNS, map(_queue_row, entries), folding=QUEUE_FOLDING, if_empty="the queue is empty")
    tell_locked(workers)


def _queue(workers: Workers, target: str) -> Iterator[QueueEntry]:
    """Merge the workers' queues as they stream in; raises NothingRunningError before anything is printed."""
    streams = workers.streams(lambda worker: worker.values(f"/queue?target={target}", QueueEntry))
    entries = heapq.merge(*streams, key=lambda entry: entry.created_at)
    first = list(itertools.islice(entries, 1))
    workers.check_running()
    return itertools.chain(first, entries)


def _queue_row(entry: QueueEntry) -> tuple[str, ...]:
    recipient = entry.recipient
    if entry.destination != recipient:
        recipient += f" -> {entry.destination}"
    return (
        entry.evpid,
        entry.state,
        moment(entry.due_at) if entry.state == "pending" else "-",
        str(entry.attempts),
        f"<{entry.sender}>",
        recipient,
        ",".join(entry.flags) or "-",
        entry.error or "-",
    )


@show.command()
@click.argument("identifier", metavar="MSGID|EVPID")
@with_workers
def message(workers: Workers, identifier: str) -> None:
    """Print a queued message's content. On a terminal, control characters are escaped; in a pipe, bytes are untouched.

    \b
    Example:
        paquebot show message 508f4cf1 > message.eml
    """
    msgid = _parsed(_any_msgid, identifier)
    chunks = _message(workers, msgid)
    if (chunk := next(chunks, None)) is None:
        workers.check_running()
        raise click.ClickException(f"message {msgid} is not in the queue")
    on_terminal = sys.stdout.isatty()
    for each in itertools.chain((chunk,), chunks):
        click.echo(_for_terminal(each) if on_terminal else each, nl=False)


def _any_msgid(text: str) -> str:
    """Read a message id, or an envelope id as the one of its message."""
    return parse_msgid(text) if len(text.strip()) <= 8 else msgid_of(parse_evpid(text))


def _message(workers: Workers, msgid: str) -> Iterator[bytes]:
    """Read the message from the first worker that has it."""
    for chunks in workers.streams(lambda worker: worker.chunks(f"/message/{msgid}")):
        if (chunk := next(chunks, None)) is not None:
            yield chunk
            yield from chunks
            return


def _for_terminal(chunk: bytes) -> str:
    text = chunk.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    return "\n".join(printable(line.replace("\t", "        ")) for line in text.split("\n"))


@show.command()
@click.argument("evpid")
@with_json
@with_workers
def envelope(workers: Workers, evpid: str, form: str | None) -> None:
    """Print all that is known of an envelope.

    \b
    Example:
        paquebot show envelope 508f4cf1a3b2c1d0
    """
    evpid = _parsed(parse_evpid, evpid)
    found = [detail for _, detail in workers.each(lambda worker: worker.get(f"/envelope/{evpid}", EnvelopeDetail))]
    if not found:
        raise click.ClickException(f"envelope {evpid} is not in the queue")
    if form:
        print_json(found, lines=form == "jsonl")
    else:
        print_fields(flat(msgspec.to_builtins(found[0])))


@show.command()
@with_json
@with_workers
def routes(workers: Workers, form: str | None) -> None:
    """List the routes to next hops of each worker: flags, penalty, and when it is lowered.

    \b
    Flags: N no session was greeted yet, D disabled, Q waits for a change of its penalty, K kept without connections.

    \b
    Example:
        paquebot show routes
    """
    _print_all(workers, form, _routes, _route_row, ROUTE_COLUMNS, if_empty="no routes")


def _routes(worker: Worker) -> list[RouteEntry]:
    return worker.get("/routes", list[RouteEntry])


def _print_all(
    workers: Workers,
    form: str | None,
    ask: Callable[[Worker], list[_Entry]],
    row: Callable[[Worker, _Entry], tuple[str, ...]],
    columns: Sequence[str],
    *,
    folding: Sequence[str] = (),
    if_empty: str,
) -> None:
    """Print what each worker has of something."""
    found = [(worker, each) for worker, all_ in workers.each(ask) for each in all_]
    if form:
        named = [{"worker": worker.name, **msgspec.to_builtins(each)} for worker, each in found]
        print_json(named, lines=form == "jsonl")
    else:
        print_table(columns, (row(worker, each) for worker, each in found), folding=folding, if_empty=if_empty)


def _route_row(worker: Worker, route: RouteEntry) -> tuple[str, ...]:
    counts = (route.connections, route.queued, route.errors, route.penalty)
    return (
        worker.name,
        route.id,
        route.relay or "-",
        route.source or "-",
        route.destination,
        route.state,
        *map(str, counts),
        "-" if route.timeout_seconds is None else f"{route.timeout_seconds:.0f}s",
    )


@show.command()
@with_json
@with_workers
def hosts(workers: Workers, form: str | None) -> None:
    """List the addresses of next hops that are known, of each worker.

    \b
    Example:
        paquebot show hosts
    """
    _print_all(workers, form, _hosts, _host_row, HOST_COLUMNS, folding=HOST_FOLDING, if_empty="no hosts")


def _hosts(worker: Worker) -> list[HostEntry]:
    return worker.get("/hosts", list[HostEntry])


@show.command()
@with_json
@with_workers
def filters(workers: Workers, form: str | None) -> None:
    """List the filters of each worker: where they are asked, what they did, and why one can't answer.

    \b
    Example:
        paquebot show filters
    """
    _print_all(workers, form, _filters, _filter_row, FILTER_COLUMNS, folding=FILTER_FOLDING, if_empty="no filters")


def _filters(worker: Worker) -> list[FilterEntry]:
    return worker.get("/filters", list[FilterEntry])


def _filter_row(worker: Worker, each: FilterEntry) -> tuple[str, ...]:
    counts = (str(each.waiting), str(each.answered), str(each.failed))
    return (worker.name, each.name, each.kind, each.mode, ", ".join(each.places) or "-", *counts, each.trouble or "-")


def _host_row(worker: Worker, host: HostEntry) -> tuple[str, ...]:
    counts = (str(host.routes), str(host.connections), f"{host.idle_seconds:.0f}s")
    return (worker.name, host.address, host.name or "-", *counts, host.last_error or "-")


@show.command()
@with_json
@with_workers
def stats(workers: Workers, form: str | None) -> None:
    """Print the counts of all workers, added up (uptime: the longest).

    \b
    Example:
        paquebot show stats --json
    """
    total = _total(found for _, found in workers.each(lambda worker: worker.get("/stats", dict[str, float])))
    if form:
        print_json([total], lines=form == "jsonl")
    else:
        print_table(("name", "count"), ((name, f"{value:.15g}") for name, value in sorted(total.items())))


def _total(found: Iterable[dict[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for counts in found:
        for name, value in counts.items():
            before = total.get(name, 0.0)
            total[name] = max(before, value) if name == "uptime" else before + value
    return total


@show.command()
@with_json
@with_workers
def status(workers: Workers, form: str | None) -> None:
    """Say how the workers are: ready or why not, what they listen on, which configuration they use.

    \b
    Example:
        paquebot show status
    """
    found = [status for _, status in workers.each(lambda worker: worker.get("/status", Status))]
    if form:
        print_json(found, lines=form == "jsonl")
    else:
        print_table(STATUS_COLUMNS, map(_status_row, found), folding=STATUS_FOLDING)


def _status_row(found: Status) -> tuple[str, ...]:
    state = "draining" if found.draining else "ready" if found.ready else "not ready"
    reasons = [*found.reasons, *found.warnings]
    if found.rejected_digest:
        reasons.append(f"configuration {found.rejected_digest[:12]} rejected: {found.rejected_reason}")
    return (
        found.worker,
        str(found.pid),
        state if found.healthy else f"{state}, unhealthy",
        ",".join(found.paused) or "-",
        str(found.generation),
        found.digest[:12],
        ", ".join(found.listeners) or "-",
        "; ".join(reasons) or "-",
    )


def _parsed(parse: Callable[[str], str], text: str) -> str:
    """Parse an id; a bad one is a usage error."""
    try:
        return parse(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
