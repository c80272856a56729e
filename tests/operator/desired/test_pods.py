"""Pods: restricted, without a token, on the right volume, with time to end."""

from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.service.command import command
from paquebot_operator.desired import paths
from paquebot_operator.desired.container import drain_seconds, pre_stop_seconds
from paquebot_operator.desired.metadata import Manifest
from paquebot_operator.desired.workload import workload
from tests.operator.builders import Json
from tests.operator.desired.services import CONTEXT, listener, mail_service


def pod(**spec: Any) -> Json:
    template: Json = workload(mail_service(**spec), CONTEXT)["spec"]["template"]["spec"]
    return template


def container(**spec: Any) -> Json:
    (found,) = pod(**spec)["containers"]
    return dict(found)


def volume(template: Json, name: str) -> Manifest | None:
    return next((dict(each) for each in template["volumes"] if each["name"] == name), None)


def test_pods_have_no_token_and_no_right() -> None:
    found, only = pod(), container()
    assert found["automountServiceAccountToken"] is False
    assert found["securityContext"]["runAsNonRoot"] is True
    assert found["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "sysctls" not in found["securityContext"]
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def test_a_port_below_1024_is_had_without_a_capability() -> None:
    assert pod(listeners=[listener(port=25)])["securityContext"]["sysctls"] == [
        {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
    ]


def test_the_mta_understands_its_options() -> None:
    *program, name = container()["command"][:2]
    assert (program, name) == (["paquebot"], "mta")
    parsed = CliRunner().invoke(command, [*container()["command"][2:], "--help"])
    assert parsed.exit_code == 0
    known = {option for parameter in command.params for option in parameter.opts}
    assert {option.partition("=")[0] for option in container()["command"][2:]} <= known


def test_everything_that_is_written_is_mounted() -> None:
    mounted = {mount["mountPath"]: mount.get("readOnly", False) for mount in container()["volumeMounts"]}
    assert mounted == {paths.CONFIG: True, paths.VOLUME: False, paths.RUNTIME: False, paths.TEMPORARY: False}
    assert paths.SPOOL.startswith(f"{paths.VOLUME}/")


def test_all_config_secrets_are_mounted_and_optional() -> None:
    found = volume(pod(), "config")
    assert found is not None
    sources = found["projected"]["sources"]
    assert len(sources) == 66
    assert all(source["secret"]["optional"] for source in sources)


@pytest.mark.parametrize(
    ("queue", "expected"),
    [
        ({}, {"persistentVolumeClaim": {"claimName": "post-queue"}}),
        ({"storage": {"claimName": "mine"}}, {"persistentVolumeClaim": {"claimName": "mine"}}),
        ({"backend": "Memory"}, {"emptyDir": {}}),
        ({"backend": "Null", "storage": {"mode": "PerPod"}}, {"emptyDir": {}}),
    ],
)
def test_the_queue_lies_where_it_was_said(queue: Json, expected: Json) -> None:
    assert volume(pod(queue=queue), "queue") == {"name": "queue", **expected}


def test_per_pod_volumes_come_from_the_stateful_set_and_stay() -> None:
    found = workload(mail_service(queue={"storage": {"mode": "PerPod"}}), CONTEXT)
    assert found["kind"] == "StatefulSet"
    assert volume(found["spec"]["template"]["spec"], "queue") is None
    (template,) = found["spec"]["volumeClaimTemplates"]
    assert template["metadata"]["name"] == "queue"
    assert template["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert found["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert found["spec"]["podManagementPolicy"] == "Parallel"


def test_a_rollout_adds_a_pod_before_it_takes_one() -> None:
    found = workload(mail_service(), CONTEXT)["spec"]
    assert found["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert found["minReadySeconds"] > 0


@given(st.integers(1, 31_536_000))
def test_a_pod_ends_within_its_grace_period(seconds: int) -> None:
    service = mail_service(pods={"terminationGracePeriodSeconds": seconds})
    assert drain_seconds(service) >= 1
    assert pre_stop_seconds(service) + drain_seconds(service) <= seconds


def test_the_usual_grace_period_leaves_a_margin_of_ten_seconds() -> None:
    assert (pre_stop_seconds(mail_service()), drain_seconds(mail_service())) == (5, 45)


def test_a_lost_nodes_pods_are_replaced_soon() -> None:
    assert [each["tolerationSeconds"] for each in pod()["tolerations"]] == [30, 30]
    mine = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}
    assert [each["key"] for each in pod(pods={"tolerations": [mine]})["tolerations"]] == [
        "node.kubernetes.io/unreachable",
        "node.kubernetes.io/not-ready",
    ]


def test_a_pod_with_its_own_volume_waits_for_its_node() -> None:
    assert "tolerations" not in pod(queue={"storage": {"mode": "PerPod"}})


def test_a_limit_is_the_request_where_no_request_is_named() -> None:
    amounts = container(pods={"resources": {"limits": {"memory": "64Mi"}}})["resources"]
    assert amounts == {"requests": {"cpu": "100m"}, "limits": {"memory": "64Mi"}}


def test_workers_ask_for_memory_each() -> None:
    assert container(pods={"workers": 4})["resources"]["requests"]["memory"] == "768Mi"


@pytest.mark.parametrize(
    "spec",
    [
        {"hostname": "other.example.test", "limits": {"maxSessions": 5}},
        {"listeners": [listener(proxyProtocol={"trusted": ["192.0.2.0/24"]})]},
        {"listeners": [listener(tls={"mode": "Implicit", "certificateRefs": [{"name": "tls"}]})]},
    ],
)
def test_a_config_change_starts_no_pods_anew(spec: Json) -> None:
    assert workload(mail_service(**spec), CONTEXT) == workload(mail_service(), CONTEXT)


@pytest.mark.parametrize(
    "spec",
    [
        {"listeners": [listener(address="::")]},
        {"listeners": [listener(), listener("more", 2526)]},
        {"listeners": [listener("renamed")]},
        {"queue": {"backend": "Memory"}},
    ],
)
def test_what_a_running_mta_cannot_take_over_starts_pods_anew(spec: Json) -> None:
    templates = [workload(mail_service(**each), CONTEXT)["spec"]["template"] for each in ({}, spec)]
    assert templates[0]["metadata"] != templates[1]["metadata"]


def test_the_admin_port_gives_way_to_a_listener() -> None:
    found = container(listeners=[listener(port=9025)])
    assert "--admin=[::]:9026" in found["command"]
    assert found["readinessProbe"]["httpGet"]["port"] == 9026
