"""Limits and logs are about the client's address: who keeps it through a node, and who says that it is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.processes import wait_until
from tests.support.smtp_client import SmtpClient

from .release import SERVICE, Release, mail_service

pytestmark = pytest.mark.integration

SECONDS = 20.0
Change = Callable[[dict[str, str]], None]


@pytest.fixture
def reached_by(release: Release) -> Iterator[Change]:
    """Make the MX listener's Service another one; it is as before afterwards."""
    plain = mail_service([release.namespace, release.tenants[0]])

    def change(service: dict[str, str]) -> None:
        changed = mail_service([release.namespace, release.tenants[0]])
        changed["spec"]["listeners"][0]["service"] = service
        release.apply(changed)

    yield change
    release.apply(plain)
    release.wait_for("mailservice", SERVICE, "Ready")


def condition(release: Release) -> tuple[str, str]:
    status, reason, _ = release.condition("mailservice", SERVICE, "ClientIPPreserved")
    return status, reason


def node_port(release: Release) -> int:
    """The port of the MX listener on each node; 0 while it has none."""
    service = release.cluster.api.get("service", f"{SERVICE}-mx", "-n", release.namespace)
    return int(service["spec"]["ports"][0].get("nodePort", 0))


def seen_address(release: Release) -> str:
    """The client's address as the answer to EHLO tells it, of a session through the second node."""
    _, node = release.cluster.node_addresses
    with SmtpClient(node_port(release), host=node) as client:
        client.expect("220")
        hello = client.command("EHLO client.example.org", "250").texts[0]
    return hello.partition("[")[2].partition("]")[0]


def test_an_address_that_a_node_hides_is_told(release: Release, reached_by: Change) -> None:
    assert condition(release) == ("", "")
    reached_by({"type": "NodePort", "externalTrafficPolicy": "Cluster"})
    hidden = ("False", "ExternalTrafficPolicyCluster")
    wait_until(lambda: condition(release) == hidden, "the condition", SECONDS)
    assert release.condition("mailservice", SERVICE, "Ready")[0] == "True"
    wait_until(lambda: node_port(release) > 0, "a port", SECONDS)
    assert seen_address(release) != release.cluster.machine_address


def test_a_local_policy_keeps_it(release: Release, reached_by: Change) -> None:
    reached_by({"type": "NodePort"})
    wait_until(lambda: condition(release) == ("True", "ClientIPPreserved"), "the condition", SECONDS)
    wait_until(lambda: node_port(release) > 0, "a port", SECONDS)
    wait_until(lambda: seen_address(release) == release.cluster.machine_address, "our own address", SECONDS)
