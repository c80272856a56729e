"""What Helm makes of the chart: lint, unit tests, golden files, names, notes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.kube.programs import program
from tests.support.processes import run_command

from .rendering import CASES, CHART, GOLDEN, ROOT, Manifest, golden, helm, of_kind, render

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("kube_programs")]

LONG_NAMES = {"ConfigMap", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
"""Kinds whose names may have 253 characters."""


@pytest.mark.parametrize("chart", ["paquebot", "paquebot-crds"])
def test_helm_has_nothing_to_complain_about(chart: str) -> None:
    helm("lint", "--strict", str(ROOT / "charts" / chart)).checked()


def test_the_charts_own_unit_tests_pass() -> None:
    run_command([program("helm-unittest"), str(CHART)], timeout_seconds=60.0).checked()


@pytest.mark.parametrize("name", CASES)
def test_what_is_rendered_is_what_was_reviewed(name: str) -> None:
    expected = (GOLDEN / f"{name}.yaml").read_text(encoding="utf-8")
    assert golden(render(*CASES[name])) == expected, "renew: .venv/bin/python -m tests.chart.rendering"


def test_rendering_twice_gives_the_same() -> None:
    assert render(*CASES["whole"]) == render(*CASES["whole"])


def test_every_object_says_what_it_belongs_to() -> None:
    for each in render(*CASES["whole"]):
        labels = each["metadata"].get("labels", {})
        managed = labels.get("app.kubernetes.io/managed-by") == "Helm"
        assert managed or each["kind"] == "CustomResourceDefinition", each["metadata"]


def test_two_releases_share_no_object_but_definitions() -> None:
    def names(release: str) -> set[tuple[str, str]]:
        printed = helm("template", release, str(CHART), "-n", release, *CASES["whole"], "--set", "crds.enabled=false")
        lines = printed.checked().stdout.decode().splitlines()
        kinds = [line.removeprefix("kind: ") for line in lines if line.startswith("kind: ")]
        return set(zip(kinds, (line for line in lines if line.startswith("  name: ")), strict=False))

    assert not names("first") & names("second")


@pytest.mark.parametrize("length", [46, 47, 48, 50, 53])
def test_a_long_release_name_makes_no_name_or_label_too_long(length: int) -> None:
    """Helm allows 53; a Service's name, a Job's and a label's value have at most 63 (RFC 1035, 2.3.4)."""
    release = "r" + "-x" * 26
    for each in _rendered_as(release[:length].rstrip("-")):
        metadata = each["metadata"]
        assert each["kind"] in LONG_NAMES or len(metadata["name"]) <= 63, metadata
        pod = each.get("spec", {}).get("template", {}).get("metadata", {})
        labels = [*metadata.get("labels", {}).values(), *pod.get("labels", {}).values()]
        assert not [label for label in labels if len(label) > 63], metadata


def test_what_the_default_services_job_names_is_there_whatever_the_release_is_called() -> None:
    manifests = _rendered_as("r" * 50)
    job = of_kind(manifests, "Job")
    name = job["metadata"]["name"]
    pod = job["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == name
    assert f"--owner=ConfigMap/{name}" in pod["containers"][0]["args"]
    for kind in ("ConfigMap", "ServiceAccount", "Role", "RoleBinding"):
        assert of_kind(manifests, kind, name)["metadata"]["name"] == name


def _rendered_as(release: str) -> list[Manifest]:
    arguments = (*CASES["whole"], "--set", "crds.enabled=false", "--set", "defaultService.enabled=true")
    printed = helm("template", release, str(CHART), "-n", "mail", *arguments)
    return [each for each in yaml.safe_load_all(printed.checked().stdout) if each]


def test_a_misspelt_value_is_refused() -> None:
    for wrong in ("operator.replica=3", "image.Tag=v1", "defaultService.spec.replica=2", "operator.logLevel=loud"):
        found = helm("template", "paquebot", str(CHART), "--set", wrong)
        assert found.returncode != 0, wrong


def test_an_old_kubernetes_is_refused() -> None:
    found = helm("template", "paquebot", str(CHART), "--kube-version", "1.29.9")
    assert b"1.30" in found.stderr


def test_a_package_has_all_that_a_release_needs_and_no_tests(tmp_path: Path) -> None:
    helm("package", str(CHART), "--destination", str(tmp_path)).checked()
    (package,) = tmp_path.iterdir()
    listed = run_command(["tar", "-tzf", str(package)], timeout_seconds=10.0).checked().stdout.decode().split()
    assert "paquebot/values.schema.json" in listed
    assert not [name for name in listed if name.startswith("paquebot/tests/")]
    # Helm keeps a release, compressed, in a Secret of at most a mebibyte.
    assert package.stat().st_size < 400_000


def test_a_hook_that_stays_would_be_deleted_and_made_again() -> None:
    hooks = [each for each in render(*CASES["whole"]) if "helm.sh/hook" in each["metadata"].get("annotations", {})]
    assert {each["kind"] for each in hooks} == {"Job", "Pod", "Role", "RoleBinding", "ServiceAccount"}
    for each in hooks:
        policy = each["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
        # The test's pod stays until the next test, for `helm test --logs`.
        assert policy == "before-hook-creation" + ("" if each["kind"] == "Pod" else ",hook-succeeded")
    assert of_kind(hooks, "Job")["spec"]["backoffLimit"] > 0
