"""The alerts as the chart and Prometheus get them: the source file, with a link to its page for each alert."""

from pathlib import Path
from typing import Any, Final

import yaml

from paquebot_operator.desired.context import RUNBOOKS as RUNBOOK_BASE

HERE: Final = Path(__file__).parent
SOURCE: Final = HERE / "alerts.yaml"
TESTS: Final = HERE / "alerts.test.yaml"
RUNBOOKS: Final = HERE.parent / "docs" / "runbooks"
_HEAD: Final = "# Made by `make monitoring-files` from monitoring/alerts.yaml; don't edit.\n"

Json = dict[str, Any]


def groups() -> list[Json]:
    """Give the groups of rules, each alert with its ``runbook_url``."""
    found: list[Json] = yaml.safe_load(SOURCE.read_text(encoding="utf-8"))["groups"]
    for alert in (rule for group in found for rule in group["rules"] if "alert" in rule):
        alert["annotations"]["runbook_url"] = f"{RUNBOOK_BASE}/{alert['alert']}.md"
    return found


def alerts() -> list[Json]:
    """Give the alerts alone."""
    return [rule for group in groups() for rule in group["rules"] if "alert" in rule]


def rules_yaml() -> bytes:
    """Make the file that Prometheus reads: ``groups:``, which is also the spec of a PrometheusRule."""
    text = yaml.safe_dump({"groups": groups()}, sort_keys=False, width=120, allow_unicode=True)
    return (_HEAD + text).encode()


def write_unit_tests(directory: Path) -> Path:
    """Put rules and their tests into a directory, for ``promtool test rules``; answers the file of tests."""
    (directory / "rules.yaml").write_bytes(rules_yaml())
    tests = directory / "tests.yaml"
    tests.write_text(TESTS.read_text(encoding="utf-8").replace("[RULES]", "[rules.yaml]"), encoding="utf-8")
    return tests
