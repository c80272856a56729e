"""``paquebot trace``: events as they happen, for people or as JSON lines."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import click

from paquebot_mta.admin.asking import Workers, with_workers
from paquebot_mta.admin.output import printable, to_json

HEAD: Final = ("ts", "event")
UNTOLD: Final = frozenset({*HEAD, "level", "component", "pod", "gen", "direction"})


@click.command()
@click.argument("target", required=False)
@click.option("--lines", "limit", type=click.IntRange(min=1), help="Stop after that many lines.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@with_workers
def trace(workers: Workers, target: str | None, limit: int | None, as_json: bool) -> None:
    """Follow events until Ctrl-C: all, or those that name a session, message, envelope or address (or a part of it).

    \b
    Example:
        paquebot trace
        paquebot trace alice@example.test
    """
    try:
        for count, event in enumerate(_matching(workers, target), start=1):
            click.echo(to_json(event) if as_json else _line(event))
            if count == limit:
                return
    except KeyboardInterrupt:
        return


def _matching(workers: Workers, target: str | None) -> Iterator[dict[str, Any]]:
    wanted = target.casefold() if target else ""
    for line in workers.together(lambda worker: worker.lines("/trace", timeout_seconds=None)):
        event = _decoded(line)
        if not wanted or any(wanted in str(value).casefold() for value in event.values()):
            yield event


def _decoded(line: bytes) -> dict[str, Any]:
    """Read an event; a line that is none is shown as it is."""
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    return event if isinstance(event, dict) else {"event": line.decode("utf-8", "replace").strip()}


def _line(event: dict[str, Any]) -> str:
    """``12:30:01.123456 smtp-in.tx-mail session=... address=...``; texts with blanks are quoted, empty ones left out.

    An event without a time of its own has that of its arrival.
    """
    moment = str(event.get("ts") or datetime.now(UTC).isoformat())[11:26]
    details = (f"{name}={_value(value)}" for name, value in event.items() if name not in UNTOLD and value != "")
    return printable(" ".join((moment, str(event.get("event", "")), *details)).strip())


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return json.dumps(text, ensure_ascii=False) if isinstance(value, str) and " " in text else text
