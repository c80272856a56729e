"""``paquebot check DIR``: judge manifests without a cluster."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from paquebot_operator.api.core import Secret
from paquebot_operator.compile.conditions import ObjectCondition, Report
from paquebot_operator.compile.judge import judge
from paquebot_operator.compile.objects import ObjectKey, Objects
from paquebot_operator.local.manifests import Manifests, read_directory
from paquebot_operator.local.self_signed import make_certificate
from paquebot_operator.local.state import certificate_secret, users_secret
from paquebot_operator.local.wanted import Wanted, WantedCertificate, wanted_secrets

_COLUMNS = ("object", "condition", "status", "reason", "field", "message")
PIPE_COLUMNS = 160
_STYLES = {"Error": "red", "Warning": "yellow", "Info": "green"}
# Stands in for a password hash that `paquebot run` will make; no password has it.
_NO_HASH = "$2b$12$" + "." * 53


@dataclass(frozen=True)
class Finding:
    """A condition and where it stands (``file:line``, empty for what is in no file)."""

    condition: ObjectCondition
    where: str


def check_directory(directory: Path, now: datetime) -> tuple[Finding, ...]:
    """Judge all manifests of a directory; Secrets that a local run would make are stood in for."""
    manifests = read_directory(directory)
    objects = Objects.of(manifests.objects)
    wanted = wanted_secrets(objects)
    stand_ins = (_stand_in(each, now) for each in wanted)
    judged = judge(Objects.of((*manifests.objects, *stand_ins)), now=now)
    conditions = {*manifests.conditions, *judged.conditions, *(_announced(each) for each in wanted)}
    return tuple(Finding(condition, manifests.place_of(condition)) for condition in sorted(conditions)) + _if_empty(
        manifests
    )


@click.command("check")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print a list of findings as JSON.")
def command(directory: Path, *, as_json: bool) -> None:
    """Judge the manifests in DIRECTORY without a cluster.

    Certificates and keys are really loaded. Exits 1 if there is an error, 0 otherwise (warnings too).

    Example: paquebot check examples/quickstart
    """
    findings = check_directory(directory, datetime.now(UTC))
    if as_json:
        click.echo(json.dumps([_as_json(finding) for finding in findings], indent=2))
    else:
        print_findings(findings, Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS))
    sys.exit(1 if has_errors([finding.condition for finding in findings]) else 0)


def has_errors(conditions: Sequence[ObjectCondition]) -> bool:
    """Whether any condition is an error."""
    return any(condition.severity == "Error" for condition in conditions)


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """Print findings as a table for people."""
    table = Table(box=None, header_style="bold")
    for column in _COLUMNS:
        table.add_column(column, overflow="fold")
    for finding in findings:
        condition = finding.condition
        said = " ".join(part for part in (condition.message, f"({finding.where})" if finding.where else "") if part)
        cells = (_object(condition), condition.type, condition.status, condition.reason, condition.field, said)
        style = _STYLES[condition.severity]
        table.add_row(*(Text(text, style=style if place in {2, 3} else "") for place, text in enumerate(cells)))
    console.print(table)


def _object(condition: ObjectCondition) -> str:
    return "/".join(part for part in (condition.kind, condition.namespace, condition.name) if part)


def _as_json(finding: Finding) -> dict[str, str]:
    return {**asdict(finding.condition), "object": _object(finding.condition), "where": finding.where}


def _stand_in(wanted: Wanted, now: datetime) -> Secret:
    if isinstance(wanted, WantedCertificate):
        return certificate_secret(wanted, *make_certificate(wanted.hostname, now))
    return users_secret(wanted, dict.fromkeys(wanted.users, _NO_HASH))


def _announced(wanted: Wanted) -> ObjectCondition:
    report = Report(wanted.owner_kind, wanted.owner)
    message = f"Secret {wanted.key.name} is not here: `paquebot run` makes it, in a cluster you create it"
    report.warn("ResolvedRefs", "GeneratedByRun", "metadata.annotations", message)
    return report.found[0]


def _if_empty(manifests: Manifests) -> tuple[Finding, ...]:
    if any(item.kind == "MailService" for item in manifests.objects) or manifests.conditions:
        return ()
    report = Report("MailService", ObjectKey("", ""))
    report.refuse("NothingFound", "", "there is no MailService in this directory")
    return (Finding(report.found[0], ""),)
