"""The chart on a real API server: what it accepts, and what the chart's accounts may and may not do there.

No controller runs here: there are no pods, which the cluster's tests have.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from paquebot_operator.cluster.permissions import IN_WATCHED_NAMESPACES as TABLE
from paquebot_operator.release.apply import command as apply
from tests.kube.api import Api, as_list
from tests.kube.control_plane import running_control_plane
from tests.kube.fixtures import RESTRICTED

from .rendering import CHART, Manifest, render

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

ACCOUNT = "paquebot"
MAIL, OTHER = "mail", "other"


@pytest.fixture(scope="module")
def api(kube_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API server of its own, as definitions belong to one release; Paquebot installed for one namespace."""
    assert kube_programs.is_dir()
    with running_control_plane(tmp_path_factory.mktemp("chart")) as plane:
        for name in (MAIL, OTHER):
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}}
            plane.api.apply(namespace)
        options = ("--set", f"watchNamespaces={{{MAIL}}}", "--set", "defaultService.enabled=true", "--no-hooks")
        plane.api.helm("install", "paquebot", str(CHART), "-n", MAIL, *options)
        yield plane.api


def pods_of(manifests: list[Manifest]) -> Iterator[Manifest]:
    for each in manifests:
        if each["kind"] in {"Deployment", "Job"}:
            template: dict[str, Any] = each["spec"]["template"]
            metadata = template["metadata"] | {"name": each["metadata"]["name"], "namespace": MAIL}
            # A Job's name is the test's, too.
            yield {"apiVersion": "v1", "kind": "Pod"} | template | {"metadata": metadata}
        elif each["kind"] == "Pod":
            yield each


def test_all_pods_are_admitted_where_pod_security_is_restricted(api: Api) -> None:
    pods = list(pods_of(render("--set", "defaultService.enabled=true")))
    assert len(pods) == 3
    for pod in pods:
        pod["spec"]["serviceAccountName"] = "default"
        api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}, namespace=MAIL)
        api.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))


def allowed(api: Api, account: str, *questions: tuple[str, str, str, str]) -> list[tuple[str, str, str, str]]:
    """Return those of (namespace, group, resource, verb) that the API server allows to an account, by one call."""
    reviews = [_review(account, *question) for question in questions]
    printed = api.kubectl("create", "-o", "json", "-f", "-", stdin=as_list(*reviews))
    decoder, found, place = json.JSONDecoder(), [], 0
    while place < len(printed.rstrip()):
        each, place = decoder.raw_decode(printed, place + printed[place:].index("{"))
        found += each.get("items", [each])
    assert len(found) == len(questions)
    return [question for question, each in zip(questions, found, strict=True) if each["status"].get("allowed")]


def _review(account: str, namespace: str, group: str, resource: str, verb: str) -> Manifest:
    name, _, sub = resource.partition("/")
    asked = {"namespace": namespace, "group": group, "resource": name, "subresource": sub, "verb": verb}
    spec = {"user": f"system:serviceaccount:{MAIL}:{account}", "resourceAttributes": asked}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


def test_the_operator_may_do_what_it_needs(api: Api) -> None:
    wanted = [(MAIL, each.group, name, verb) for each in TABLE for name in each.resources for verb in each.verbs]
    assert allowed(api, ACCOUNT, *wanted) == wanted


def test_the_operator_may_do_nothing_else(api: Api) -> None:
    everywhere = ""
    assert not allowed(
        api,
        ACCOUNT,
        (MAIL, "", "secrets", "list"),
        (MAIL, "", "secrets", "watch"),
        (MAIL, "", "configmaps", "list"),
        (MAIL, "", "persistentvolumeclaims", "delete"),
        (MAIL, "", "pods", "create"),
        (MAIL, "", "pods/exec", "create"),
        (MAIL, "", "serviceaccounts/token", "create"),
        (MAIL, "paquebot.dev", "mailservices", "update"),
        (MAIL, "paquebot.dev", "maildomains", "patch"),
        (MAIL, "rbac.authorization.k8s.io", "rolebindings", "create"),
        (OTHER, "", "secrets", "get"),
        (OTHER, "", "pods", "patch"),
        (OTHER, "paquebot.dev", "mailservices", "list"),
        (OTHER, "coordination.k8s.io", "leases", "get"),
        ("kube-system", "", "secrets", "get"),
        (everywhere, "paquebot.dev", "mailservices", "list"),
        (everywhere, "", "nodes", "get"),
        (everywhere, "", "namespaces", "list"),
        (everywhere, "apiextensions.k8s.io", "customresourcedefinitions", "patch"),
    )


def test_the_job_applies_the_default_service_that_its_config_map_owns(api: Api, tmp_path: Path) -> None:
    name = "paquebot-default-service"
    found = api.get("configmap", name, "-n", MAIL)
    file = tmp_path / "mailservice.yaml"
    file.write_text(found["data"]["mailservice.yaml"], encoding="utf-8")
    kubeconfig = api.kubeconfig_for(MAIL, name, tmp_path)
    options = [str(file), f"--owner=ConfigMap/{name}", "--kubeconfig", str(kubeconfig), "--timeout=5"]
    done = CliRunner().invoke(apply, options)
    assert done.exit_code == 0, done.output
    service = api.get("mailservice", "mail", "-n", MAIL)
    assert service["metadata"]["ownerReferences"][0]["uid"] == found["metadata"]["uid"]
    assert service["spec"]["listeners"][0]["service"]["type"] == "LoadBalancer"
    other = yaml.safe_load(file.read_text(encoding="utf-8"))
    other["metadata"]["name"] = "theirs"
    file.write_text(yaml.safe_dump(other), encoding="utf-8")
    refused = CliRunner().invoke(apply, options)
    assert refused.exit_code == 1
    assert "forbidden" in refused.output


def test_view_and_edit_are_joined_to_kubernetes_own_roles(api: Api) -> None:
    labels = api.get("clusterrole", "paquebot-edit")["metadata"]["labels"]
    assert labels["rbac.authorization.k8s.io/aggregate-to-edit"] == "true"


def test_an_upgrade_changes_nothing_that_is_the_same_and_an_uninstall_keeps_definitions(api: Api) -> None:
    before = api.get("deployment", "paquebot", "-n", MAIL)["metadata"]["generation"]
    api.helm("upgrade", "paquebot", str(CHART), "-n", MAIL, "--reuse-values", "--no-hooks")
    assert api.get("deployment", "paquebot", "-n", MAIL)["metadata"]["generation"] == before
    api.helm("uninstall", "paquebot", "-n", MAIL, "--no-hooks")
    assert api.run("get", "deployment", "paquebot", "-n", MAIL).returncode != 0
    assert api.get("crd", "maildomains.paquebot.dev")["metadata"]["name"]
    assert api.get("mailservice", "mail", "-n", MAIL)["spec"]["replicas"] == 2
