"""Helm alone gives a working pool of mail servers: install, test, uninstall on a real cluster of two nodes."""

from __future__ import annotations

import json

from tests.kube.cluster import Cluster
from tests.support.processes import wait_until

from .rendering import CHART

LISTENERS = [{"name": "mx", "port": 2525, "role": "MX", "service": {"type": "ClusterIP"}}]


def test_one_command_installs_a_pool_that_mail_goes_through(cluster: Cluster, cluster_namespace: str) -> None:
    api, namespace = cluster.api, cluster_namespace
    _, _, tag = cluster.load_project_image().partition(":")
    install(cluster, namespace, f"image.tag={tag}")
    try:
        api.kubectl(
            *("wait", "--for=condition=Ready", "mailservice/mail", "-n", namespace, "--timeout=90s"),
            timeout_seconds=100.0,
        )
        said = api.helm("test", "paquebot", "-n", namespace, "--logs", "--timeout", "120s")
        assert "was read back" in said
        assert api.get("maildomains", "-n", namespace)["items"] == []
    finally:
        api.helm("uninstall", "paquebot", "-n", namespace)
    # The service goes with the release, its pods with the service; the queue's volume and the definitions stay.
    wait_until(
        lambda: not api.get("mailservices,deployments", "-n", namespace)["items"], "the end of the service", 60.0
    )
    claims = api.get("persistentvolumeclaims", "-n", namespace)["items"]
    assert [each["metadata"]["name"] for each in claims] == ["mail-queue"]
    # What belongs to no namespace must not stay for the next test.
    leftovers = api.get("clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/instance=paquebot")["items"]
    assert leftovers == []


def install(cluster: Cluster, namespace: str, *values: str) -> None:
    """Install the release `paquebot`, looking after its own namespace alone; definitions may be there already."""
    wanted = (
        *values,
        "image.pullPolicy=IfNotPresent",
        f"watchNamespaces={{{namespace}}}",
        "defaultService.enabled=true",
        f"defaultService.spec.queue.storage.storageClassName={cluster.storage_class}",
        "defaultService.spec.queue.storage.size=1Gi",
    )
    options = [part for value in wanted for part in ("--set", value)]
    listeners = f"defaultService.spec.listeners={json.dumps(LISTENERS)}"
    cluster.api.helm(
        *("install", "paquebot", str(CHART), "-n", namespace, "--wait", "--timeout", "150s", "--take-ownership"),
        *options,
        "--set-json",
        listeners,
    )
