"""The chart as Helm renders it: `python -m tests.chart.rendering` renews the golden files."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from tests.kube.programs import program
from tests.support.processes import CommandResult, run_command

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "paquebot"
GOLDEN = Path(__file__).parent / "golden"

Manifest = dict[str, Any]

# What each golden file is rendered with.
CASES: dict[str, tuple[str, ...]] = {
    "default": (),
    "namespaced": ("--set", "watchNamespaces={mail,other}", "--set", "rbac.aggregate=false"),
    "whole": (
        "--set", "defaultService.enabled=true",
        "--set", "monitoring.serviceMonitor.mode=Enabled",
        "--set", "operator.networkPolicy.restrictEgress=true",
        "--api-versions", "monitoring.coreos.com/v1",
    ),
}  # fmt: skip

# Made elsewhere, and proved there.
_NOT_OURS = ("CustomResourceDefinition", "PrometheusRule")


def helm(*arguments: str) -> CommandResult:
    """Run Helm, without a cluster."""
    return run_command([program("helm"), *arguments], timeout_seconds=60.0)


def render(*options: str, chart: Path = CHART, hooks: bool = True) -> list[Manifest]:
    """Return all objects that the chart would install in the namespace `mail` as the release `paquebot`."""
    more = () if hooks else ("--no-hooks",)
    printed = helm("template", "paquebot", str(chart), "--namespace", "mail", *more, *options).checked().stdout
    return [each for each in yaml.safe_load_all(printed) if each]


def golden(manifests: Iterable[Manifest]) -> str:
    """Spell objects for a golden file, in an order of their own."""
    kept = [each for each in manifests if each["kind"] not in _NOT_OURS]
    kept.sort(key=lambda each: (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]))
    return str(yaml.safe_dump_all(kept, sort_keys=True, width=120))


def of_kind(manifests: Iterable[Manifest], kind: str, name: str = "") -> Manifest:
    """Return the one object of a kind (and name)."""
    (found,) = (each for each in manifests if each["kind"] == kind and name in ("", each["metadata"]["name"]))
    return found


def main() -> int:
    """Renew the golden files."""
    for name, options in CASES.items():
        (GOLDEN / f"{name}.yaml").write_text(golden(render(*options)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
