"""All objects together: stable, owned, in one namespace, of the kinds that were announced."""

import json

from hypothesis import given, settings

from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired import KINDS, Context, desired_objects
from paquebot_operator.desired.metadata import Manifest
from tests.operator.desired.services import CONTEXT, CONTEXTS, MAIL_SERVICES, RICH, RICH_CONTEXT, UID, mail_service


def kinds(service: MailService, context: Context) -> list[str]:
    return [manifest["kind"] for manifest in desired_objects(service, context)]


def nothing(value: object) -> list[object]:
    """Values that say nothing: server-side apply would own them all the same."""
    if isinstance(value, dict):
        return [found for item in value.values() for found in nothing(item)]
    if isinstance(value, list):
        return [found for item in value for found in nothing(item)]
    return [value] if value is None else []


@settings(max_examples=60, deadline=None)
@given(MAIL_SERVICES, CONTEXTS)
def test_objects_of_any_service_are_stable_owned_and_announced(service: MailService, context: Context) -> None:
    found = desired_objects(service, context)
    assert json.dumps(found) == json.dumps(desired_objects(service, context))
    identities = [(each["apiVersion"], each["kind"], each["metadata"]["name"]) for each in found]
    assert len(set(identities)) == len(identities)
    assert {identity[:2] for identity in identities} <= set(KINDS)
    assert all(each["metadata"]["namespace"] == "mail" for each in found)
    assert all(_is_owned(each) for each in found if each["kind"] != "PersistentVolumeClaim")
    assert nothing(found) == []


def _is_owned(manifest: Manifest) -> bool:
    (owner,) = manifest["metadata"]["ownerReferences"]
    return (owner["uid"], owner["controller"]) == (UID, True)


def test_mail_outlives_its_service() -> None:
    (claim,) = [each for each in desired_objects(mail_service(), CONTEXT) if each["kind"] == "PersistentVolumeClaim"]
    assert "ownerReferences" not in claim["metadata"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_a_small_service_wants_little() -> None:
    assert kinds(mail_service(), CONTEXT) == [
        "ServiceAccount",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "PodDisruptionBudget",
        "Service",
        "Deployment",
    ]


def test_a_claim_that_is_there_is_left_alone() -> None:
    assert "PersistentVolumeClaim" not in kinds(mail_service(queue={"storage": {"claimName": "mine"}}), CONTEXT)


def test_kinds_of_the_prometheus_operator_come_where_the_cluster_has_them() -> None:
    assert "PodMonitor" not in kinds(mail_service("rich", **RICH), CONTEXT)
    assert kinds(mail_service("rich", **RICH), RICH_CONTEXT)[-3:] == [
        "HorizontalPodAutoscaler",
        "PodMonitor",
        "PrometheusRule",
    ]
    off = mail_service(monitoring={"podMonitor": "Disabled", "prometheusRule": "Disabled"})
    assert kinds(off, RICH_CONTEXT)[-1] == "Deployment"


def test_the_autoscaler_turns_the_mail_service_and_never_takes_queues_away() -> None:
    per_pod = mail_service(queue={"storage": {"mode": "PerPod"}}, autoscaling={"maxReplicas": 5})
    *_, scaler = desired_objects(per_pod, CONTEXT)
    assert scaler["spec"]["scaleTargetRef"]["kind"] == "MailService"
    assert scaler["spec"]["behavior"]["scaleDown"] == {"selectPolicy": "Disabled"}
