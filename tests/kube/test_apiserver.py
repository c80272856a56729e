"""What the API server of the tests is: real, its own, and obedient to tests of faults."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import CommandResult, wait_until

from .api import as_list
from .control_plane import ControlPlane, running_control_plane
from .fixtures import StartApiserver

ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "reader"},
    "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}],
}
BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "reader"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
    "subjects": [{"kind": "ServiceAccount", "name": "robot"}],
}
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod(**container: object) -> dict[str, Any]:
    spec = {"containers": [{"name": "one", "image": "nothing.invalid/one", **container}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}


def test_the_server_says_the_version_it_was_built_from(apiserver: ControlPlane) -> None:
    version = apiserver.api.kubectl("version", "-o", "json")
    assert '"gitVersion": "v1.' in version
    assert "master" not in version


def test_a_service_account_may_do_what_its_role_says_and_nothing_else(
    apiserver: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    apiserver.api.apply(ROLE, BINDING, ACCOUNT, config_map("greeting", text="hello"), namespace=namespace)
    own = f"--kubeconfig={apiserver.api.kubeconfig_for(namespace, 'robot', tmp_path)}"
    assert '"hello"' in apiserver.api.kubectl(own, "get", "configmap", "-n", namespace, "-o", "json")
    refused = apiserver.api.run(own, "get", "secrets", "-n", namespace)
    assert refused.returncode != 0
    assert b"Forbidden" in refused.stderr
    assert apiserver.api.can(namespace, "robot", "get", "configmaps", "-n", namespace)
    assert not apiserver.api.can(namespace, "robot", "get", "configmaps", "-n", "default")


def test_a_restricted_namespace_refuses_a_privileged_pod(apiserver: ControlPlane, namespace: str) -> None:
    refused: CommandResult = apiserver.api.run(
        "create",
        "--dry-run=server",
        f"--namespace={namespace}",
        "--filename=-",
        stdin=as_list(pod(securityContext={"privileged": True})),
    )
    assert b'violates PodSecurity "restricted' in refused.stderr


@pytest.fixture(scope="module")
def plane(kube_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with running_control_plane(tmp_path_factory.mktemp("plane"), compaction_seconds=1) as own:
        yield own


def test_what_was_written_survives_the_server(plane: ControlPlane) -> None:
    plane.api.apply(config_map("kept", text="before"))
    plane.kill()
    assert plane.api.run("get", "--raw", CONFIG_MAPS).returncode != 0
    plane.start()
    assert plane.api.get("configmap", "kept")["data"] == {"text": "before"}


def test_a_paused_server_answers_nothing_until_it_goes_on(plane: ControlPlane) -> None:
    plane.pause()
    assert plane.api.run("get", "--raw", CONFIG_MAPS, "--request-timeout=1s").returncode != 0
    plane.resume()
    wait_until(lambda: plane.api.run("get", "--raw", CONFIG_MAPS).returncode == 0, "an answer")


def test_a_revision_from_before_the_compaction_is_gone(plane: ControlPlane) -> None:
    plane.api.apply(config_map("changing", count="0"))
    old = json.loads(plane.api.kubectl("get", "--raw", CONFIG_MAPS))["metadata"]["resourceVersion"]
    listed = f"{CONFIG_MAPS}?resourceVersion={old}&resourceVersionMatch=Exact"
    counts = itertools.count(1)

    def is_gone() -> bool:
        plane.api.apply(config_map("changing", count=str(next(counts))))
        return b"too old" in plane.api.run("get", "--raw", listed).stderr

    wait_until(is_gone, "410 Gone", timeout_seconds=30)


def test_two_servers_run_beside_each_other(plane: ControlPlane, apiserver: ControlPlane) -> None:
    plane.api.apply(config_map("here", text="only"))
    assert apiserver.api.run("get", "configmap", "here").returncode != 0


def test_starting_twice_is_starting_once(plane: ControlPlane) -> None:
    before = plane.apiserver.pid
    plane.start()
    assert plane.apiserver.pid == before


def test_nothing_runs_after_the_end(start_apiserver: StartApiserver, tmp_path: Path) -> None:
    with start_apiserver(tmp_path / "plane") as plane:
        assert None not in (plane.etcd.pid, plane.apiserver.pid)
    assert (plane.etcd.pid, plane.apiserver.pid) == (None, None)
