"""The pod template: satisfies Pod Security "restricted", has no token, writes to its volume and to /tmp only."""

import hashlib
from typing import Any

from paquebot_operator.api.mailservice import MailService
from paquebot_operator.api.pods import Spread, Toleration
from paquebot_operator.desired.container import (
    CONFIG_VOLUME,
    QUEUE_VOLUME,
    RUNTIME_VOLUME,
    TEMPORARY_VOLUME,
    container,
)
from paquebot_operator.desired.context import Context
from paquebot_operator.desired.metadata import Manifest, common_labels, selector_labels, set_only
from paquebot_operator.desired.names import config_secret_names, workload_name
from paquebot_operator.desired.ports import PRIVILEGED_PORTS, listener_ports
from paquebot_operator.desired.programs import init_containers, program_volumes

USER_ID = 65_532
START_ANNOTATION = "paquebot.dev/start"
NODE_LOST_SECONDS = 30
"""A lost node's pods are replaced after that time: two owners of a queue can do no harm, and mail waits for one."""
_NODE_LOST = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_LABEL_CHARACTERS = 16


def pod_template(service: MailService, context: Context, queue: Manifest | None) -> Manifest:
    """The template of a workload's pods.

    Args:
        queue: source of the queue's volume; None if the workload brings it (``volumeClaimTemplates``).
    """
    pods = service.spec.pods
    return {
        "metadata": {
            "labels": dict(sorted((pods.labels | common_labels(service)).items())),
            "annotations": dict(sorted((pods.annotations | {START_ANNOTATION: _read_at_start(service)}).items())),
        },
        "spec": set_only(
            serviceAccountName=workload_name(service.metadata.name),
            automountServiceAccountToken=False,
            enableServiceLinks=False,
            securityContext=_security(service),
            imagePullSecrets=[{"name": ref.name} for ref in pods.image_pull_secrets],
            initContainers=init_containers(service, context),
            containers=[container(service, context)],
            volumes=[*_volumes(service, queue), *program_volumes(context.programs)],
            terminationGracePeriodSeconds=pods.termination_grace_period_seconds,
            priorityClassName=pods.priority_class_name,
            nodeSelector=dict(sorted(pods.node_selector.items())),
            tolerations=_tolerations(service),
            topologySpreadConstraints=_spread(service, pods.spread),
        ),
    }


def _read_at_start(service: MailService) -> str:
    """Changes with what a running MTA can't take over: where listeners listen, the kind of queue."""
    listeners = [f"{each.name} {each.address} {each.port}" for each in service.spec.listeners]
    text = "\n".join([service.spec.queue.backend, *listeners])
    return hashlib.sha256(text.encode()).hexdigest()[:_LABEL_CHARACTERS]


def _security(service: MailService) -> Manifest:
    context: Manifest = {
        "runAsNonRoot": True,
        "runAsUser": USER_ID,
        "runAsGroup": USER_ID,
        "fsGroup": USER_ID,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if any(port < PRIVILEGED_PORTS for port in listener_ports(service)):
        # Instead of a capability; "restricted" allows it, and it counts in the pod's own network namespace only.
        context["sysctls"] = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    return context


def _volumes(service: MailService, queue: Manifest | None) -> list[Manifest]:
    names = config_secret_names(service.metadata.name)
    # Optional: a shard that no domain lies in has no Secret, and a pod without any waits for its configuration.
    sources = [{"secret": {"name": name, "optional": True}} for name in names]
    volumes: list[Manifest] = [
        {"name": CONFIG_VOLUME, "projected": {"defaultMode": 0o440, "sources": sources}},
        {"name": RUNTIME_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        {"name": TEMPORARY_VOLUME, "emptyDir": {"sizeLimit": "64Mi"}},
    ]
    return volumes if queue is None else [*volumes, {"name": QUEUE_VOLUME, **queue}]


def _tolerations(service: MailService) -> list[Manifest]:
    own = service.spec.pods.tolerations
    found = [_toleration(each) for each in own]
    if service.spec.queue.storage.mode == "PerPod":
        return found  # a pod with a volume of its own can't be replaced while the node holds it
    keys = {each.key for each in own if each.effect in (None, "NoExecute")}
    lost = [] if None in keys else [key for key in _NODE_LOST if key not in keys]
    return [*found, *(_while_lost(key) for key in lost)]


def _while_lost(key: str) -> Manifest:
    return {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": NODE_LOST_SECONDS}


def _toleration(toleration: Toleration) -> Manifest:
    return set_only(
        key=toleration.key,
        operator=toleration.operator,
        value=toleration.value,
        effect=toleration.effect,
        tolerationSeconds=toleration.toleration_seconds,
    )


def _spread(service: MailService, spread: Spread) -> list[Manifest]:
    if spread.mode == "Disabled":
        return []
    constraint: dict[str, Any] = {
        "maxSkew": 1,
        "topologyKey": spread.topology_key,
        "whenUnsatisfiable": "DoNotSchedule" if spread.mode == "Required" else "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector_labels(service)},
    }
    if service.spec.queue.storage.mode == "Shared":
        constraint["matchLabelKeys"] = ["pod-template-hash"]  # the pods of a rollout don't count the ones they replace
    return [constraint]
