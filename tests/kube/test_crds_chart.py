"""The chart of the definitions alone: installed, upgraded and taken away by Helm, without the loss of a mail object."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from paquebot_operator.crds.definition import definitions
from tests.operator.crds.cases import good_cases
from tests.support.processes import run_command

from .fixtures import StartApiserver
from .programs import program

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("kube_programs")]
CHART = Path(__file__).parents[2] / "charts" / "paquebot-crds"
NAMES = {each["metadata"]["name"] for each in definitions()}
MAX_RELEASE_BYTES = 500_000
"""Half of what a Secret may hold, in which Helm keeps a release."""


def helm(*args: str) -> str:
    return run_command([program("helm"), *args], stdin=b"", timeout_seconds=60).checked().stdout.decode()


def test_the_chart_is_without_fault() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_its_switches_work() -> None:
    rendered = list(yaml.safe_load_all(helm("template", str(CHART), "--set", "crds.keep=false")))
    assert sorted(rendered, key=str) == sorted(definitions(), key=str)
    assert helm("template", str(CHART), "--set", "crds.enabled=false").strip() == ""


def test_mail_objects_outlive_the_chart(start_apiserver: StartApiserver, tmp_path: Path) -> None:
    with start_apiserver(tmp_path) as plane:
        plane.api.helm("install", "definitions", str(CHART))
        plane.api.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{name}" for name in NAMES))
        plane.api.apply(good_cases()[0].document)
        plane.api.helm("upgrade", "definitions", str(CHART))
        (release, *_) = plane.api.get("secrets", "-l", "owner=helm,name=definitions")["items"]
        assert len(release["data"]["release"]) < MAX_RELEASE_BYTES
        plane.api.helm("uninstall", "definitions")
        assert plane.api.kubectl("get", "mailservices", "-o", "name").split() == ["mailservice.paquebot.dev/case-0"]
