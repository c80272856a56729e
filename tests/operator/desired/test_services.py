"""Services: one a listener, with the port that peers expect and the client's address kept."""

from typing import Any

import pytest

from paquebot_operator.desired.metadata import Manifest
from paquebot_operator.desired.services import client_ip_condition, listener_services
from tests.operator.builders import Json
from tests.operator.desired.services import RICH, SUBMISSION, listener, mail_service


def only_service(one: Json) -> Manifest:
    (found,) = listener_services(mail_service(listeners=[one]))
    return found


@pytest.mark.parametrize(
    ("one", "port"),
    [
        (listener(), 25),
        (listener(role="LMTP"), 24),
        (SUBMISSION, 465),
        (SUBMISSION | {"tls": SUBMISSION["tls"] | {"mode": "StartTLS"}}, 587),
        (listener(service={"port": 2525}), 2525),
    ],
)
def test_a_service_has_the_port_of_the_role(one: Json, port: int) -> None:
    (found,) = only_service(one)["spec"]["ports"]
    assert (found["port"], found["targetPort"]) == (port, one["port"])


def test_listeners_on_sockets_and_of_type_none_have_no_service() -> None:
    names = [each["metadata"]["name"] for each in listener_services(mail_service("rich", **RICH))]
    assert names == ["rich-mx", "rich-submissions", "rich-lmtp"]


@pytest.mark.parametrize(
    ("exposure", "policy"),
    [
        ({"type": "ClusterIP"}, None),
        ({"type": "NodePort"}, "Local"),
        ({"type": "LoadBalancer"}, "Local"),
        ({"type": "LoadBalancer", "externalTrafficPolicy": "Cluster"}, "Cluster"),
    ],
)
def test_clients_addresses_are_kept_unless_said_otherwise(exposure: Json, policy: str | None) -> None:
    assert only_service(listener(service=exposure))["spec"].get("externalTrafficPolicy") == policy


def test_load_balancers_options_are_passed_on() -> None:
    found = only_service(SUBMISSION)
    assert found["spec"]["loadBalancerSourceRanges"] == ["192.0.2.0/24"]
    assert found["metadata"]["annotations"] == {"lb/x": "1"}


def test_pods_that_are_not_ready_get_no_sessions() -> None:
    assert only_service(listener())["spec"]["publishNotReadyAddresses"] is False


def condition(**more: Any) -> tuple[str, str] | None:
    found = client_ip_condition(mail_service(listeners=[listener(**more)]))
    return None if found is None else (found.status, found.reason)


def test_a_hidden_client_address_is_told() -> None:
    cluster = {"type": "LoadBalancer", "externalTrafficPolicy": "Cluster"}
    assert condition(service=cluster) == ("False", "ExternalTrafficPolicyCluster")
    assert condition(service=cluster, proxyProtocol={"trusted": ["192.0.2.0/24"]}) == ("True", "ClientIPPreserved")
    assert condition(service={"type": "NodePort"}) == ("True", "ClientIPPreserved")
    assert condition() is None
