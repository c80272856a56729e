"""A real API server takes what builders give, under Pod Security "restricted", and keeps it as it was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired import Context, config_secrets, desired_objects
from paquebot_operator.desired.metadata import Manifest
from paquebot_operator.publish.managed_keys import managed_key
from tests.operator.builders import compiled, domain, service
from tests.operator.desired.services import CONTEXT, CONTEXTS, GOLDEN, MAIL_SERVICES, listener, mail_service
from tests.operator.publish.domains import mail_domain
from tests.operator.publish.test_managed_keys import NOW, made

from .api import Api, as_list

if TYPE_CHECKING:
    from tests.support.processes import CommandResult

    from .control_plane import ControlPlane

OTHERS_KINDS = {"PodMonitor", "PrometheusRule"}
"""Of the Prometheus operator: this API server knows them not."""


@pytest.fixture
def api(apiserver: ControlPlane) -> Api:
    return apiserver.api


def objects(service: MailService, namespace: str, context: Context = CONTEXT) -> list[Manifest]:
    moved = msgspec.structs.replace(service, metadata=msgspec.structs.replace(service.metadata, namespace=namespace))
    return [each for each in desired_objects(moved, context) if each["kind"] not in OTHERS_KINDS]


def apply(api: Api, *manifests: Manifest, dry_run: bool = False) -> CommandResult:
    """Apply as the operator does it."""
    options = ["--server-side", "--force-conflicts", "--field-manager=paquebot"]
    options += ["--dry-run=server"] if dry_run else []
    return api.run("apply", *options, "-f", "-", stdin=as_list(*manifests))


def accepted(result: CommandResult) -> bool:
    """Whether nothing was refused, and nothing warned of: Pod Security warns about templates."""
    return (result.returncode, result.stderr) == (0, b"")


def pod_of(manifests: list[Manifest]) -> Manifest:
    """A pod as the workload's controller would make it."""
    (workload,) = (each for each in manifests if each["kind"] in {"Deployment", "StatefulSet"})
    template = workload["spec"]["template"]
    metadata = template["metadata"] | {"name": "one", "namespace": workload["metadata"]["namespace"]}
    spec = dict(template["spec"])
    claims = workload["spec"].get("volumeClaimTemplates", [])
    spec["volumes"] = spec["volumes"] + [_claimed(each["metadata"]["name"]) for each in claims]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _claimed(name: str) -> Manifest:
    return {"name": name, "persistentVolumeClaim": {"claimName": f"{name}-one"}}


@pytest.fixture
def important(api: Api) -> None:
    """The PriorityClass that a golden service names."""
    api.apply(
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "important"}, "value": 1}
    )


@pytest.mark.usefixtures("important")
@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_objects_and_their_pods_are_accepted(api: Api, namespace: str, name: str) -> None:
    manifests = objects(GOLDEN[name][0], namespace, GOLDEN[name][1])
    assert accepted(result := apply(api, *manifests)), result.stderr
    assert accepted(result := apply(api, pod_of(manifests), dry_run=True)), result.stderr


@settings(max_examples=15, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MAIL_SERVICES, CONTEXTS)
def test_objects_of_any_service_are_accepted(api: Api, namespace: str, service: MailService, context: Context) -> None:
    result = apply(api, *objects(service, namespace, context), dry_run=True)
    assert accepted(result), result.stderr


def test_a_port_below_1024_is_allowed_to_restricted_pods(api: Api, namespace: str) -> None:
    manifests = objects(mail_service(listeners=[listener(port=25)]), namespace)
    assert accepted(result := apply(api, *manifests)), result.stderr
    assert accepted(result := apply(api, pod_of(manifests), dry_run=True)), result.stderr


def test_applying_again_writes_nothing(api: Api, namespace: str) -> None:
    manifests = objects(mail_service(), namespace)
    versions = []
    for _ in range(3):  # the API server itself writes a claim anew at the second time, once
        assert accepted(apply(api, *manifests))
        found = api.get("all,pvc,pdb,networkpolicy,serviceaccount", "-n", namespace)
        versions.append({each["metadata"]["uid"]: each["metadata"]["resourceVersion"] for each in found["items"]})
    assert versions[-2] == versions[-1]


@pytest.mark.parametrize("before", ["LoadBalancer", "NodePort"])
def test_a_service_can_be_drawn_back_into_the_cluster(api: Api, namespace: str, before: str) -> None:
    for kind in (before, "ClusterIP"):
        manifests = objects(mail_service(listeners=[listener(service={"type": kind})]), namespace)
        assert accepted(result := apply(api, *manifests)), result.stderr
    spec = api.get("service", "post-mx", "-n", namespace)["spec"]
    assert spec["type"] == "ClusterIP"
    assert "externalTrafficPolicy" not in spec
    assert "nodePort" not in spec["ports"][0]


def config(namespace: str, *domains: dict[str, Any], existing: tuple[str, ...] = ()) -> tuple[Manifest, ...]:
    owner = mail_service(namespace=namespace)
    return config_secrets(owner, compiled(service(), *domains).files, existing)


def test_config_secrets_are_kept_and_emptied(api: Api, namespace: str) -> None:
    full = config(namespace, domain())
    assert accepted(result := apply(api, *full)), result.stderr
    names = tuple(each["metadata"]["name"] for each in full)
    assert accepted(result := apply(api, *config(namespace, existing=names))), result.stderr
    found = {each["metadata"]["name"]: each for each in api.get("secrets", "-n", namespace)["items"]}
    assert set(found) == set(names)
    assert [name for name, each in found.items() if "data" not in each] == [names[0]]


async def test_the_secret_of_managed_keys_is_taken(api: Api, namespace: str) -> None:
    manifest = await managed_key(mail_domain(dkim={"mode": "Managed"}), None, NOW, generate=made)
    assert manifest is not None
    manifest["metadata"]["namespace"] = namespace
    assert accepted(result := apply(api, manifest)), result.stderr
