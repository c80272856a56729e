"""Writes docs/cli.md from the commands' help: ``python -m paquebot_mta.admin.document > docs/cli.md``."""

from collections.abc import Iterator
from typing import Final

import click

from paquebot_mta.admin.cli import main

COLUMNS: Final = 100
HEAD: Final = """# The command line

This page is made from `paquebot --help` by `python -m paquebot_mta.admin.document > docs/cli.md`.

Listings are tables for people; `--json` prints a JSON array, `--jsonl` a JSON line each, as they come. What strangers
sent is escaped before it reaches a terminal. Exit codes: 0 done, 1 failed or not found, 2 wrong usage, 3 nothing is
running. Commands that ask a running service find its workers' sockets in `--runtime` (or `PAQUEBOT_RUNTIME`).
"""


def document() -> str:
    """The page, in Markdown."""
    return HEAD + "".join(_sections(main, "paquebot", None))


def _sections(command: click.Command, path: str, parent: click.Context | None) -> Iterator[str]:
    """A section for a command and for each below it."""
    context = click.Context(
        command, info_name=path.rsplit(" ", 1)[-1], parent=parent, terminal_width=COLUMNS, **command.context_settings
    )
    yield f"\n## {path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from _sections(below, f"{path} {name}", context)


if __name__ == "__main__":
    click.echo(document(), nl=False)
