"""A node is lost, with the operator that works and a mail server on it: changes come through all the same."""

from __future__ import annotations

import time

import pytest

from tests.kube.api import Manifest
from tests.kube.cluster import Cluster
from tests.support.processes import wait_until

from .pool import LOST_NODE, RETURN_SECONDS, Pool
from .release import MX, NAME, Release, mail_domain
from .test_tenants import answer_to
from .traffic import Traffic

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

OTHER_NODE = 1
CHANGE_SECONDS = 60.0
"""The Lease of a dead operator is waited for (15 s), and that the cluster knows of its loss (8 s here)."""


@pytest.fixture
def pool(release: Release, cluster: Cluster) -> Pool:
    return Pool(release, cluster, Traffic(release.address("mx"), "nobody@example.test"))


def operators(release: Release) -> list[Manifest]:
    selector = f"app.kubernetes.io/instance={NAME},app.kubernetes.io/component=operator"
    found: list[Manifest] = release.cluster.api.get("pods", "-n", release.namespace, "-l", selector)["items"]
    return [each for each in found if "deletionTimestamp" not in each["metadata"]]


def holder(release: Release) -> str:
    """The name of the operator's pod that holds the Lease."""
    (lease,) = release.cluster.api.get("leases", "-n", release.namespace)["items"]
    return str(lease["spec"].get("holderIdentity") or "").partition("_")[0]


def on_node(release: Release, number: int) -> dict[str, bool]:
    """The operator's pods there, by name, and whether they are ready."""
    found = [each for each in operators(release) if each["spec"].get("nodeName") == f"node{number}"]
    return {each["metadata"]["name"]: _is_ready(each) for each in found}


def _is_ready(pod: Manifest) -> bool:
    statuses = pod["status"].get("containerStatuses", [])
    return bool(statuses) and all(each["ready"] for each in statuses)


def let_work_on_lost_node(release: Release) -> None:
    """Have the operator that works on the node that will be lost, and one that waits on the other."""
    kubectl = release.cluster.api.kubectl
    kubectl("cordon", f"node{OTHER_NODE}")
    try:
        for name in on_node(release, OTHER_NODE):
            release.delete("pod", name)
        wait_until(lambda: holder(release) in on_node(release, LOST_NODE), "its work", RETURN_SECONDS)
    finally:
        kubectl("uncordon", f"node{OTHER_NODE}")
    for name in on_node(release, LOST_NODE).keys() - {holder(release)}:
        release.delete("pod", name)
    wait_until(lambda: any(on_node(release, OTHER_NODE).values()), "one that waits", RETURN_SECONDS)


def test_a_domain_comes_and_another_goes_while_a_node_is_lost(release: Release, pool: Pool) -> None:
    namespace = release.namespace
    release.apply(mail_domain("going", "going.example.test", namespace, discard={}))
    release.wait_for("maildomain", "going", "Programmed")
    pool.spread()
    let_work_on_lost_node(release)
    with pool.without_node() as lost_at:
        release.apply(mail_domain("coming", "coming.example.test", namespace, discard={}))
        release.delete("maildomain", "going")
        release.wait_for("maildomain", "coming", "Programmed")
        seconds = time.monotonic() - lost_at
        pool.wait_for_the_loss()
        knows_both(release)
    print(f"\nlost node, with the operator that worked, to a change in force: {seconds:.1f} s")
    wait_until(lambda: len(release.pods()) >= 2, "pods", RETURN_SECONDS)
    knows_both(release)
    release.delete("maildomain", "coming")
    assert seconds < CHANGE_SECONDS
    assert all(each["restartCount"] <= 1 for pod in operators(release) for each in pod["status"]["containerStatuses"])


def knows_both(release: Release) -> None:
    """Every pod that is ready takes mail for the new domain, and none for the one that went."""
    addresses = release.pod_addresses()
    assert addresses
    for address in addresses:
        assert answer_to(address, "info@coming.example.test", MX).startswith("250")
        assert answer_to(address, "info@going.example.test", MX).startswith("550")
