"""The ``paquebot`` command: finds commands by name and imports them when they are asked for.

Commands of other parts of the project come through an entry-point group: this module knows no names behind it. It must
stay quick to import: no aiohttp, no rich, no MTA.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from paquebot_mta import __version__
from paquebot_mta.admin import plugins

BUILT_IN: Final = {
    "show": "paquebot_mta.admin.commands_show",
    "schedule": "paquebot_mta.admin.commands_queue",
    "queue": "paquebot_mta.admin.commands_keys",
    "remove": "paquebot_mta.admin.commands_queue",
    "suspend": "paquebot_mta.admin.commands_queue",
    "pause": "paquebot_mta.admin.commands_queue",
    "resume": "paquebot_mta.admin.commands_queue",
    "trace": "paquebot_mta.admin.commands_trace",
    "send": "paquebot_mta.admin.commands_send",
    "sendmail": "paquebot_mta.admin.commands_sendmail",
}

SENDMAIL: Final = "sendmail"


class Commands(click.Group):
    """A group whose commands are imported by name."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        """Run the command line; called by the name of ``sendmail``, that is the command."""
        if args is None and os.path.basename(sys.argv[0]) == SENDMAIL:
            args = [SENDMAIL, *sys.argv[1:]]
        return super().main(args, *rest, **options)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Built-in commands and those of other parts."""
        return sorted({*BUILT_IN, *plugins.find().names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name in BUILT_IN:
            return _built_in(cmd_name)
        return next(map(plugins.load, plugins.find().select(name=cmd_name)), None)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List all commands; those of other parts are not imported for it."""
        built_in = {name: _built_in(name).get_short_help_str(60) for name in BUILT_IN}
        others = {entry.name: plugins.short_help(entry) for entry in plugins.find()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted((others | built_in).items()))


def _built_in(name: str) -> click.Command:
    command: click.Command = getattr(importlib.import_module(BUILT_IN[name]), name)
    return command


@click.command(
    cls=Commands,
    epilog="Exit codes: 0 done, 1 failed or not found, 2 wrong usage, 3 nothing is running.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="paquebot")
def main() -> None:
    """Paquebot, a Kubernetes-native mail service: run it, look into it, steer it."""
