"""The container of the MTA: ``paquebot mta``."""

from typing import Any

from paquebot_operator.api.mailservice import MailService
from paquebot_operator.api.pods import Resources
from paquebot_operator.desired import paths
from paquebot_operator.desired.amounts import amounts
from paquebot_operator.desired.context import Context
from paquebot_operator.desired.metadata import Manifest, set_only
from paquebot_operator.desired.ports import admin_port, listener_ports
from paquebot_operator.desired.programs import socket_mounts

CONTAINER = "mta"
ADMIN_PORT_NAME = "admin"
CONFIG_VOLUME, QUEUE_VOLUME, RUNTIME_VOLUME, TEMPORARY_VOLUME = "config", "queue", "run", "tmp"
PRE_STOP_SECONDS = 5
"""A pod goes on accepting that long while its address is taken out of the Services."""
KILL_MARGIN_SECONDS = 10
"""Between the end of the longest drain and the kubelet's kill: goodbye to the volume, buffers written."""
DEFAULT_CPU = "100m"
DEFAULT_MEMORY_MEBIBYTES_PER_WORKER = 192
START_SECONDS = 1_800
"""A pod may wait that long for its configuration or its volume before it is started again."""


def container(service: MailService, context: Context) -> Manifest:
    """The container of the MTA."""
    pods = service.spec.pods
    return set_only(
        name=CONTAINER,
        image=pods.image or context.image,
        imagePullPolicy=pods.image_pull_policy,
        command=["paquebot", "mta", *_options(service)],
        env=[{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        ports=_ports(service),
        resources=_resources(pods.resources, pods.workers),
        securityContext={
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        volumeMounts=_mounts(context),
        lifecycle=_lifecycle(service),
        **_probes(service),
    )


def pre_stop_seconds(service: MailService) -> int:
    """How long a pod goes on as before once it is to end; a part of the grace period."""
    return min(PRE_STOP_SECONDS, service.spec.pods.termination_grace_period_seconds // 6)


def drain_seconds(service: MailService) -> int:
    """How long sessions and deliveries in flight may take to their end; the rest of the grace period is margin."""
    whole = service.spec.pods.termination_grace_period_seconds
    return max(1, whole - pre_stop_seconds(service) - min(KILL_MARGIN_SECONDS, whole // 4))


def _options(service: MailService) -> list[str]:
    options = {
        "--config": paths.CONFIG,
        "--spool": paths.SPOOL,
        "--runtime": paths.RUNTIME,
        "--workers": service.spec.pods.workers,
        # The operator, Prometheus and the kubelet come from outside, by IPv4 or IPv6.
        "--admin": f"[::]:{admin_port(service)}",
        "--grace-seconds": drain_seconds(service),
        "--log-format": "json",
    }
    return [f"{name}={value}" for name, value in options.items()]


def _ports(service: MailService) -> list[Manifest]:
    listeners = [{"containerPort": port, "protocol": "TCP"} for port in listener_ports(service)]
    return [*listeners, {"name": ADMIN_PORT_NAME, "containerPort": admin_port(service), "protocol": "TCP"}]


def _resources(wanted: Resources, workers: int) -> Manifest:
    """What was asked for; requests for CPU and memory have a default, for the scheduler and the autoscaler."""
    requests, limits = amounts(wanted.requests), amounts(wanted.limits)
    memory = f"{DEFAULT_MEMORY_MEBIBYTES_PER_WORKER * workers}Mi"
    for name, default in (("cpu", DEFAULT_CPU), ("memory", memory)):
        # A limit alone is the request, too: the API server says so.
        if name not in requests and name not in limits:
            requests[name] = default
    return set_only(requests=requests, limits=limits)


def _mounts(context: Context) -> list[Manifest]:
    return [
        *socket_mounts(context.programs),
        {"name": CONFIG_VOLUME, "mountPath": paths.CONFIG, "readOnly": True},
        {"name": QUEUE_VOLUME, "mountPath": paths.VOLUME},
        {"name": RUNTIME_VOLUME, "mountPath": paths.RUNTIME},
        {"name": TEMPORARY_VOLUME, "mountPath": paths.TEMPORARY},
    ]


def _lifecycle(service: MailService) -> Manifest:
    """The kubelet sleeps, not a shell: the image may have none."""
    seconds = pre_stop_seconds(service)
    return {"preStop": {"sleep": {"seconds": seconds}}} if seconds else {}


def _probes(service: MailService) -> dict[str, Any]:
    def probe(path: str, period_seconds: int, failures: int, timeout_seconds: int) -> Manifest:
        return {
            "httpGet": {"path": path, "port": admin_port(service)},
            "periodSeconds": period_seconds,
            "failureThreshold": failures,
            "timeoutSeconds": timeout_seconds,
        }

    return {
        "startupProbe": probe("/healthz", 1, START_SECONDS, 1),
        "readinessProbe": probe("/readyz", 2, 2, 2),
        # Slow on purpose: a restart never heals a slow volume, and drops sessions.
        "livenessProbe": probe("/healthz", 10, 6, 5),
    }
