"""The definitions on a real API server: what it refuses, what it fills in, and how it shows objects to people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from paquebot_operator.api.decode import KINDS, ApiObject, decode
from paquebot_operator.api.validation import ApiValue
from paquebot_operator.crds.definition import definitions
from paquebot_operator.crds.schema import described
from tests.operator.builders import Json
from tests.operator.crds.cases import Case, bad_cases, good_cases, title

from .control_plane import ControlPlane
from .rest import Rest

PLURALS = {each["spec"]["names"]["kind"]: each["spec"]["names"]["plural"] for each in definitions()}
EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = sorted(path for path in EXAMPLES.iterdir() if list(path.glob("*.yaml")))


@pytest.fixture(scope="module")
def plane(apiserver: ControlPlane) -> ControlPlane:
    apiserver.api.apply(*definitions())
    names = [f"crd/{plural}.paquebot.dev" for plural in PLURALS.values()]
    apiserver.api.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
    return apiserver


@pytest.fixture(scope="module")
def rest(plane: ControlPlane) -> Iterator[Rest]:
    client = Rest(plane)
    yield client
    client.close()


def whole(value: Any) -> Any:
    """A value of the API as JSON with every default written out."""
    if isinstance(value, ApiValue):
        fields = msgspec.structs.fields(value)
        found = {field.encode_name: whole(getattr(value, field.name)) for field in fields}
        return {name: each for name, each in found.items() if each is not None}
    return [whole(each) for each in value] if isinstance(value, tuple) else value


def spec_of(document: Json) -> Any:
    item: ApiObject = decode(document)
    return whole(getattr(item, "spec", None))


def test_every_schema_is_structural(plane: ControlPlane) -> None:
    for plural in PLURALS.values():
        found = plane.api.get("crd", f"{plural}.paquebot.dev")["status"]["conditions"]
        assert {each["type"]: each["status"] for each in found} == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize("case", bad_cases(), ids=title)
def test_a_bad_object_is_refused_and_its_field_named(rest: Rest, case: Case) -> None:
    answer = rest.create(case.document, PLURALS[case.document["kind"]], "default")
    assert answer.code in {400, 422}, answer.body
    assert case.path in answer.message
    assert case.says in answer.message


@pytest.mark.parametrize("case", good_cases(), ids=title)
def test_a_good_object_gets_the_defaults_of_the_models(rest: Rest, case: Case) -> None:
    answer = rest.create(case.document, PLURALS[case.document["kind"]], "default")
    assert answer.code == 201, answer.message
    assert answer.body["spec"] == spec_of(case.document)
    assert spec_of(answer.body) == spec_of(case.document)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_an_example_is_accepted(plane: ControlPlane, folder: Path) -> None:
    documents = [each for path in folder.glob("*.yaml") for each in yaml.safe_load_all(path.read_text("utf-8")) if each]
    spaces = {each["metadata"].get("namespace", "default") for each in documents} - {"default"}
    for space in spaces:
        plane.api.run("create", "namespace", space)
    plane.api.kubectl("apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", str(folder))


@pytest.mark.parametrize("kind", PLURALS)
def test_explain_reads_well(plane: ControlPlane, kind: str) -> None:
    model = KINDS["paquebot.dev/v1alpha1", kind]
    said = plane.api.kubectl("explain", kind.lower())
    assert described(model) in " ".join(said.split())
    assert "<no description>" not in plane.api.kubectl("explain", f"{kind.lower()}.spec")
    assert "REQUIRED" in plane.api.kubectl("explain", f"{kind.lower()}.spec", "--recursive").upper()


def test_a_domain_can_not_be_renamed(plane: ControlPlane, namespace: str) -> None:
    create(plane, namespace, "MailDomain")
    patch = json.dumps({"spec": {"domain": "other.test"}})
    refused = plane.api.run("patch", "md", "one", "-n", namespace, "--type=merge", f"--patch={patch}")
    assert b"spec.domain: Invalid value" in refused.stderr
    assert b"domain can't be changed" in refused.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mode": "PerPod"}, "mode can't be changed"),
        ({"size": "1Gi"}, "a volume never shrinks"),
        ({"storageClassName": "other"}, "storageClassName can't be changed"),
        ({"size": None, "claimName": "other"}, "claimName and storageClassName can't be changed"),
    ],
)
def test_a_queue_keeps_its_volume(plane: ControlPlane, namespace: str, change: Json, said: str) -> None:
    create(plane, namespace, "MailService", queue={"storage": {"size": "5Gi"}})
    for storage, refusal in ((change, said), ({"size": "6Gi"}, "")):
        patch = json.dumps({"spec": {"queue": {"storage": storage}}})
        result = plane.api.run("patch", "ms", "one", "-n", namespace, "--type=merge", f"--patch={patch}")
        assert refusal in result.stderr.decode()
        assert bool(result.returncode) == bool(refusal)


def test_a_pods_own_volume_keeps_its_size(plane: ControlPlane, namespace: str) -> None:
    create(plane, namespace, "MailService", queue={"storage": {"mode": "PerPod", "size": "5Gi"}})
    for size, refusal in (("6Gi", "size can't be changed with mode PerPod"), ("5120Mi", "")):
        patch = json.dumps({"spec": {"queue": {"storage": {"size": size}}}})
        result = plane.api.run("patch", "ms", "one", "-n", namespace, "--type=merge", f"--patch={patch}")
        assert refusal in result.stderr.decode()
        assert bool(result.returncode) == bool(refusal)


def test_a_service_has_the_scale_subresource(plane: ControlPlane, namespace: str) -> None:
    create(plane, namespace, "MailService")
    plane.api.kubectl("scale", "mailservice/one", "--replicas=5", "-n", namespace)
    assert plane.api.get("ms", "one", "-n", namespace)["spec"]["replicas"] == 5
    refused = plane.api.run("scale", "mailservice/one", "--replicas=500", "-n", namespace)
    assert b"spec.replicas" in refused.stderr


def test_columns_answer_the_first_question(plane: ControlPlane, namespace: str) -> None:
    create(plane, namespace, "MailService")
    create(plane, namespace, "MailDomain")
    ready = {"type": "Ready", "status": "False", "reason": "DomainConflict", "message": "claimed by mail/older"}
    condition = ready | {"observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    set_status(plane, namespace, "md", {"conditions": [condition], "programmedPods": "2/3"})
    set_status(plane, namespace, "ms", {"readyReplicas": 3, "domains": {"programmed": 7}})
    headings, row = plane.api.kubectl("get", "md", "-n", namespace).splitlines()
    assert headings.split() == ["NAME", "DOMAIN", "SERVICE", "READY", "REASON", "PODS", "DNS", "AGE"]
    assert row.split()[:6] == ["one", "example.test", "mail", "False", "DomainConflict", "2/3"]
    headings, row = plane.api.kubectl("get", "ms", "-n", namespace).splitlines()
    assert headings.split() == ["NAME", "HOSTNAME", "READY", "REASON", "PODS", "DOMAINS", "AGE"]
    assert row.split()[:4] == ["one", "mail.example.test", "3", "7"]
    assert "claimed by mail/older" in plane.api.kubectl("get", "md", "-n", namespace, "-o", "wide")


def test_domains_are_selected_by_their_fields(plane: ControlPlane, namespace: str) -> None:
    create(plane, namespace, "MailDomain")
    create(plane, namespace, "MailDomain", name="two", domain="two.test")
    for selector in ("spec.domain=two.test", "spec.domain=two.test,spec.serviceRef.name=mail"):
        found = plane.api.kubectl("get", "md", "-n", namespace, f"--field-selector={selector}", "-o", "name")
        assert found.split() == ["maildomain.paquebot.dev/two"]


def test_one_word_lists_everything_of_ours(plane: ControlPlane, namespace: str) -> None:
    for kind in PLURALS:
        create(plane, namespace, kind)
    names = plane.api.kubectl("get", "paquebot", "-n", namespace, "-o", "name").split()
    assert sorted(names) == sorted(f"{kind.lower()}.paquebot.dev/one" for kind in PLURALS)


def test_a_table_may_be_as_long_as_it_says(rest: Rest) -> None:
    entries = [{"key": f"alias-{number}", "value": f"user-{number}@example.test"} for number in range(5_000)]
    spec = {"services": ["alias"], "inline": {"entries": entries}}
    document = {"apiVersion": "paquebot.dev/v1alpha1", "kind": "Table", "metadata": {"name": "long"}, "spec": spec}
    assert rest.create(document, "tables", "default").code == 201
    spec["inline"]["entries"].append({"key": "one-more", "value": "x"})  # type: ignore[index]
    assert "spec.inline.entries: Too many" in rest.create(document, "tables", "default").message


def create(plane: ControlPlane, namespace: str, kind: str, name: str = "one", **spec: Any) -> None:
    base = next(case.document for case in good_cases() if case.document["kind"] == kind)
    plane.api.apply(base | {"metadata": {"name": name}, "spec": base["spec"] | spec}, namespace=namespace)


def set_status(plane: ControlPlane, namespace: str, short: str, status: Json) -> None:
    patch = json.dumps({"status": status})
    plane.api.kubectl("patch", short, "one", "-n", namespace, "--subresource=status", "--type=merge", f"-p={patch}")
