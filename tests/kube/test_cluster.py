"""What the cluster of the tests is: two nodes that share volumes and Services, and that can be lost."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import PeerError, wait_until
from tests.support.unpacked import needs_unpacked, package_directory

from .api import Api
from .cluster import Cluster
from .fixtures import RESTRICTED
from .images import write_program_image

IMAGE = "paquebot.invalid/busybox:1"
USER = 65_532
POD_SECONDS = 60.0
HELLO = "echo here > /shared/$HOSTNAME; exec /busybox httpd -f -p 8080 -h /shared"

pytestmark = needs_unpacked("busybox-static")

CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "shared"},
    "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "hello"},
    "spec": {"type": "NodePort", "selector": {"app": "hello"}, "ports": [{"port": 80, "targetPort": 8080}]},
}
HEADLESS = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "each"},
    "spec": {"clusterIP": "None", "selector": {"app": "hello"}, "ports": [{"port": 8080}]},
}


def pod_template() -> dict[str, Any]:
    container = {
        "name": "hello",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["/busybox", "sh", "-c", HELLO],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
    }
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "topologySpreadConstraints": [{**spread, "labelSelector": {"matchLabels": {"app": "hello"}}}],
        "containers": [container],
        "volumes": [{"name": "shared", "persistentVolumeClaim": {"claimName": "shared"}}],
    }
    return {"metadata": {"labels": {"app": "hello"}}, "spec": spec}


def deployment(replicas: int) -> dict[str, Any]:
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "hello"}}, "template": pod_template()}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hello"}, "spec": spec}


def pods(api: Api, namespace: str) -> list[dict[str, Any]]:
    items = api.get("pods", "-n", namespace)["items"]
    return [item for item in items if "deletionTimestamp" not in item["metadata"]]


def names(api: Api, namespace: str) -> list[str]:
    return [item["metadata"]["name"] for item in pods(api, namespace)]


def fetch(host: str, port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def lookup(cluster: Cluster, namespace: str, pod: str, *question: str) -> str:
    ask = f"/busybox nslookup {' '.join(question)} 2>&1 || true"
    return cluster.exec(namespace, pod, "/busybox", "sh", "-c", ask)


@pytest.fixture(scope="module")
def hello(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield a namespace in which three pods on two nodes answer, each with what all have written."""
    busybox = package_directory("busybox-static") / "bin" / "busybox"
    cluster.load_image(write_program_image(tmp_path_factory.mktemp("image") / "busybox.tar", busybox, IMAGE))
    namespace = cluster.api.new_namespace(RESTRICTED)
    cluster.api.apply(CLAIM, SERVICE, HEADLESS, deployment(3), namespace=namespace)
    cluster.api.kubectl("rollout", "status", "deployment/hello", "-n", namespace, f"--timeout={POD_SECONDS:.0f}s")
    yield namespace
    cluster.api.kubectl("delete", "namespace", namespace, "--wait=false")


def test_pods_on_both_nodes_share_a_volume(cluster: Cluster, hello: str) -> None:
    assert {pod["spec"]["nodeName"] for pod in pods(cluster.api, hello)} == {"node1", "node2"}
    expected = set(names(cluster.api, hello))
    for name in expected:
        assert set(cluster.exec(hello, name, "/busybox", "ls", "/shared").split()) == expected


def test_a_service_answers_the_machine_on_its_address_and_on_every_node(cluster: Cluster, hello: str) -> None:
    spec = cluster.api.get("service", "hello", "-n", hello)["spec"]
    for host, port in [
        (spec["clusterIP"], 80),
        *((node, spec["ports"][0]["nodePort"]) for node in cluster.node_addresses),
    ]:
        for name in names(cluster.api, hello):
            assert fetch(host, port, f"/{name}") == b"here\n"


def test_every_pod_reaches_every_pod_through_the_service(cluster: Cluster, hello: str) -> None:
    there = names(cluster.api, hello)
    address = cluster.api.get("service", "hello", "-n", hello)["spec"]["clusterIP"]
    for asking in there:
        assert f"Address: {address}\n" in lookup(cluster, hello, asking, f"hello.{hello}.svc.cluster.local")
        # Neither a name nor wget: the C library of a static program looks nothing up.
        get = f"printf 'GET /{there[0]} HTTP/1.0\\r\\n\\r\\n' | /busybox nc -w 3 {address} 80 | /busybox tail -n 1"
        ask = f"for n in 1 2 3 4 5 6 7 8; do {get} || exit 1; done"
        assert cluster.exec(hello, asking, "/busybox", "sh", "-c", ask) == 8 * "here\n"


def test_a_headless_service_has_the_addresses_of_its_pods(cluster: Cluster, hello: str) -> None:
    addresses = {pod["status"]["podIP"] for pod in pods(cluster.api, hello)}
    printed = cluster.exec(
        hello, names(cluster.api, hello)[0], "/busybox", "nslookup", f"each.{hello}.svc.cluster.local"
    )
    assert all(f"Address: {address}\n" in printed for address in addresses)


def test_pods_resolve_the_records_of_a_test(cluster: Cluster, hello: str) -> None:
    cluster.set_records({"example.test": {"MX": ["10 mx.example.test."]}})
    pod = names(cluster.api, hello)[0]
    wait_until(lambda: "mx.example.test" in lookup(cluster, hello, pod, "-type=mx", "example.test"), "the record")
    cluster.set_records({"example.test": {}})
    wait_until(lambda: "NXDOMAIN" in lookup(cluster, hello, pod, "-type=mx", "example.test"), "no record")


def test_pods_reach_nothing_outside_of_the_cluster(cluster: Cluster, hello: str) -> None:
    with pytest.raises(PeerError, match=r"unreachable|timed out"):
        cluster.exec(hello, names(cluster.api, hello)[0], "/busybox", "nc", "-w", "2", "192.0.2.77", "80")


def test_a_restricted_namespace_lets_no_pod_run_as_root(cluster: Cluster, hello: str) -> None:
    root = ["run", "root", "-n", hello, f"--image={IMAGE}", "--dry-run=server"]
    assert b'violates PodSecurity "restricted' in cluster.api.run(*root).stderr


def test_a_lost_node_is_noticed_and_its_pods_start_elsewhere(cluster: Cluster, hello: str) -> None:
    cluster.stop_node(2)
    try:
        wait_until(
            lambda: [pod["spec"].get("nodeName") for pod in pods(cluster.api, hello)] == ["node1"] * 3,
            "three pods on the first node",
            POD_SECONDS,
        )
        cluster.api.kubectl("rollout", "status", "deployment/hello", "-n", hello, f"--timeout={POD_SECONDS:.0f}s")
    finally:
        cluster.start_node(2)
    cluster.api.kubectl("rollout", "restart", "deployment/hello", "-n", hello)
    cluster.api.kubectl("rollout", "status", "deployment/hello", "-n", hello, f"--timeout={POD_SECONDS:.0f}s")
    assert {pod["spec"]["nodeName"] for pod in pods(cluster.api, hello)} == {"node1", "node2"}


def test_a_volume_goes_with_its_claim(cluster: Cluster, cluster_namespace: str) -> None:
    cluster.api.apply(CLAIM, namespace=cluster_namespace)
    claim = ["persistentvolumeclaim", "shared", "-n", cluster_namespace]
    cluster.api.kubectl("wait", *claim, "--for=jsonpath={.status.phase}=Bound", "--timeout=30s")
    volume = cluster.api.get(*claim)["spec"]["volumeName"]
    path = Path(cluster.api.get("persistentvolume", volume)["spec"]["hostPath"]["path"])
    assert path.is_dir()
    cluster.api.kubectl("delete", *claim)
    wait_until(lambda: cluster.api.run("get", "persistentvolume", volume).returncode != 0, "no volume", 20.0)
    assert not path.exists()


def test_going_up_twice_is_going_up_once(cluster: Cluster) -> None:
    before = [node.pid for node in cluster.nodes.values()]
    cluster.up()
    assert [node.pid for node in cluster.nodes.values()] == before
