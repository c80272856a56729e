"""``paquebot filter``: try MailFilters on what was recorded, without a service."""

import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from paquebot_operator.api.mailfilter import MailFilter
from paquebot_operator.local.build import build
from paquebot_operator.local.check import print_findings
from paquebot_operator.local.manifests import read_directory
from paquebot_operator.local.state import State

LISTENER: Final = "rehearsal"
_SERVICE: Final = """apiVersion: paquebot.dev/v1alpha1
kind: MailService
metadata: {{name: rehearsal, namespace: {namespace}}}
spec:
  hostname: mail.example.test
  listeners:
    - {{name: rehearsal, address: 127.0.0.1, port: 2525, filterRefs: [{filters}]}}
"""


@click.group("filter")
def command() -> None:
    """Try MailFilters without a service."""


@command.command("test")
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--record", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Recorded report events: what a file of spec.reports holds.")  # fmt: skip
@click.option("--message", "messages", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Content of a transaction, for filters that look at it; several in their order.")  # fmt: skip
@click.option("--ask-services", is_flag=True, help="Ask rspamd and milters, too, where they really are.")
def test_command(manifest: Path, record: Path, messages: tuple[Path, ...], ask_services: bool) -> None:
    """Ask the MailFilters in MANIFEST about recorded sessions, and print each decision.

    MANIFEST may have Tables and Secrets, too. If there is a chain, it is asked, else all filters in the file's order.
    A record has no content: give it by --message, and what filters make of it is printed, too.

    Example: paquebot filter test filter.yaml --record events.log --message letter.eml
    """
    with tempfile.TemporaryDirectory(prefix="paquebot-") as place:
        state = State(Path(place) / "state")
        _compile(manifest, Path(place) / "manifests", state)
        arguments = [str(record), "--config", str(state.config), "--listener", LISTENER]
        arguments += [part for each in messages for part in ("--message", str(each))]
        arguments += ["--ask-services"] if ask_services else []
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "paquebot_mta", "rehearse", *arguments], check=False
        )
    sys.exit(done.returncode)


def _compile(manifest: Path, folder: Path, state: State) -> None:
    """Write the configuration of a service that has these filters on its only listener."""
    folder.mkdir(parents=True)
    (folder / "filter.yaml").write_bytes(manifest.read_bytes())
    filters = [each for each in read_directory(folder).objects if isinstance(each, MailFilter)]
    chains = [each for each in filters if each.spec.chain is not None]
    if not filters:
        raise click.ClickException(f"{manifest} has no MailFilter that can be used; see `paquebot check`")
    chosen = chains[:1] or filters
    refs = ", ".join(f"{{name: {each.metadata.name}}}" for each in chosen)
    namespace = chosen[0].metadata.namespace
    (folder / "service.yaml").write_text(_SERVICE.format(namespace=namespace, filters=refs))
    built = build(folder, state, None, datetime.now(UTC))
    if built.config is None:
        bad = [each for each in built.findings if each.condition.severity == "Error"]
        print_findings(bad, Console(stderr=True))
        sys.exit(1)
    state.write(built.files)
