"""The ``paquebot`` command: finds commands by name and imports them when they are asked for.

Commands of other parts of the project come through the entry-point group ``paquebot.commands``: this module knows no
names behind it. It must stay quick to import: no aiohttp, no rich, no MTA.
"""

import importlib
from importlib.metadata import EntryPoint, entry_points
from typing import Final

import click

from paquebot_mta import __version__

GROUP: Final = "paquebot.commands"
BUILT_IN: Final = {
    "show": "paquebot_mta.admin.commands_show:show",
    "schedule": "paquebot_mta.admin.commands_queue:schedule",
    "remove": "paquebot_mta.admin.commands_queue:remove",
    "suspend": "paquebot_mta.admin.commands_queue:suspend",
    "pause": "paquebot_mta.admin.commands_queue:pause",
    "resume": "paquebot_mta.admin.commands_queue:resume",
    "trace": "paquebot_mta.admin.commands_trace:trace",
    "send": "paquebot_mta.admin.commands_send:send",
}


class Commands(click.Group):
    """A group whose commands are imported by name; one that can't be imported says so when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Built-in commands and those of other parts."""
        return sorted({*BUILT_IN, *entry_points(group=GROUP).names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name in BUILT_IN:
            module, _, name = BUILT_IN[cmd_name].partition(":")
            command: click.Command = getattr(importlib.import_module(module), name)
            return command
        return next((_load(entry) for entry in entry_points(group=GROUP, name=cmd_name)), None)


def _load(entry: EntryPoint) -> click.Command:
    """Import a command of another part; its absence (an extra not installed) must not take the others away."""
    try:
        command: click.Command = entry.load()
    except ImportError as error:
        return _unavailable(entry.name, str(error))
    return command


def _unavailable(name: str, reason: str) -> click.Command:
    def fail() -> None:
        raise click.ClickException(
            f"{name} is not available: {reason}. Install paquebot with its extras [mta,operator]."
        )

    return click.Command(name, callback=fail, help=f"Not available here: {reason}.", add_help_option=False)


@click.command(
    cls=Commands,
    epilog="Exit codes: 0 done, 1 failed or not found, 2 wrong usage, 3 nothing is running.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="paquebot")
def main() -> None:
    """Paquebot, a Kubernetes-native mail service: run it, look into it, steer it."""
