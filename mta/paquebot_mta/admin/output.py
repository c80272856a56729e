"""What the command line prints: tables for people, JSON for programs, and never a control character of a stranger."""

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

import click
import msgspec

CHUNK_ROWS: Final = 100
Value = TypeVar("Value")
Row = Sequence[str]


def printable(text: str) -> str:
    """Escape what a terminal might obey or hide."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def print_table(columns: Row, rows: Iterable[Row], *, folding: Row = (), if_empty: str = "nothing to show") -> None:
    """Print rows as they come, a hundred at a time, so that a long queue shows at once.

    On a terminal they are rich tables, where columns named in ``folding`` take several lines if they must; in a pipe,
    aligned text that is never cut, one row a line. Without rows, a remark goes to stderr.
    """
    if (row := next(rows := iter(rows), None)) is None:
        click.echo(if_empty, err=True)
        return
    printer = _terminal_printer(columns, folding) if sys.stdout.isatty() else _plain_printer(columns)
    rows = itertools.chain((row,), rows)
    while chunk := list(itertools.islice(rows, CHUNK_ROWS)):
        printer([[printable(cell) for cell in row] for row in chunk])


def _plain_printer(columns: Row) -> Callable[[list[list[str]]], None]:
    widths = [len(column) for column in columns]
    heading = [list(columns)]

    def show(rows: list[list[str]]) -> None:
        lines = [*heading, *rows]
        heading.clear()
        widths[:] = [
            max(width, *map(len, cells)) for width, cells in zip(widths, zip(*lines, strict=True), strict=True)
        ]
        padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
        click.echo("\n".join(line.rstrip() for line in padded))

    return show


def _terminal_printer(columns: Row, folding: Row) -> Callable[[list[list[str]]], None]:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()

    def show(rows: list[list[str]]) -> None:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold", no_wrap=column not in folding)
        for row in rows:
            table.add_row(*map(Text, row))  # Text: what strangers wrote is not markup
        console.print(table)

    return show


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print names and values, a line each."""
    print_table(("field", "value"), fields, folding=("value",))


def print_json(values: Iterable[object], *, lines: bool) -> None:
    """Print a JSON array, or JSON lines, as the values come; ASCII only, so that nothing hides in it."""
    if lines:
        for value in values:
            click.echo(to_json(value))
        return
    opening = "[\n  "
    for value in values:
        click.echo(opening + to_json(value), nl=False)
        opening = ",\n  "
    click.echo("[]" if opening[0] == "[" else "\n]")


def to_json(value: object) -> str:
    """Spell a value in one line of ASCII."""
    return json.dumps(msgspec.to_builtins(value), separators=(", ", ": "))


def moment(seconds: float) -> str:
    """Spell a time (seconds since 1970) in local time, ``-`` for none."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else "-"


def flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Spell a nested JSON value as dotted names and texts."""
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from flat(inner, f"{prefix}{name}.")
        elif isinstance(inner, list | tuple):
            for index, each in enumerate(inner):
                yield from flat({f"{name}[{index}]": each}, prefix)
        else:
            yield prefix + name, moment(inner) if name.endswith("_at") else "" if inner is None else str(inner)
