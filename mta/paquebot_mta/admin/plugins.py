"""Commands of other parts of the project, found by entry point; listing them imports none of them."""

import ast
import importlib.util
from collections.abc import Iterable
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path
from typing import Final

import click

GROUP: Final = "paquebot.commands"


def find() -> EntryPoints:
    """All commands of other parts."""
    return entry_points(group=GROUP)


def load(entry: EntryPoint) -> click.Command:
    """Import a command; one that can't be imported says so when it is used, and takes no other away."""
    try:
        command: click.Command = entry.load()
    except ImportError as error:
        return _unavailable(entry.name, str(error))
    return command


def short_help(entry: EntryPoint) -> str:
    """Read the first sentence of a command's docstring from its source: importing an MTA to list it takes too long."""
    try:
        spec = importlib.util.find_spec(entry.module)
        module = ast.parse(Path(spec.origin).read_bytes()) if spec and spec.origin else ast.Module([], [])
    except (ImportError, OSError, SyntaxError):
        return "Not available here."
    text = _docstring(module.body, entry.attr) or ast.get_docstring(module) or ""
    return click.Command(entry.name, help=text).get_short_help_str(60)


def _docstring(statements: Iterable[ast.stmt], name: str) -> str | None:
    for statement in statements:
        if isinstance(statement, ast.FunctionDef) and statement.name == name:
            return ast.get_docstring(statement)
    return None


def _unavailable(name: str, reason: str) -> click.Command:
    def fail() -> None:
        raise click.ClickException(f"{name} is not available: {reason}. Install paquebot[mta,operator].")

    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, settings, fail, help=f"Not available here: {reason}.", add_help_option=False)
