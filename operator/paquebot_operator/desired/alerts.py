"""Alerts whose thresholds stand in the MailService itself; those that hold for every service come with the chart."""

from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired.context import Context
from paquebot_operator.desired.metadata import SERVICE_LABEL, Manifest, metadata
from paquebot_operator.desired.names import service_label, workload_name

QUEUE_AGE_SHARE = 2
"""Mail that waits for more than half of its time to live is told of while there is time to act."""
_TARGET_LABEL = SERVICE_LABEL.replace(".", "_").replace("/", "_")


def prometheus_rule(service: MailService, context: Context) -> Manifest | None:
    """The PrometheusRule, if the cluster knows that kind, the pods are scraped, and it isn't turned off."""
    monitoring = service.spec.monitoring
    if not context.has_prometheus_rules or "Disabled" in (monitoring.prometheus_rule, monitoring.pod_monitor):
        return None
    name = workload_name(service.metadata.name)
    rules = [_queue_age(service, context)]
    if _wanted_pods(service):
        rules.insert(0, _pods_missing(service, context))
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": metadata(service, name, labels=monitoring.labels),
        "spec": {"groups": [{"name": f"{service.metadata.namespace}.{name}", "rules": rules}]},
    }


def _wanted_pods(service: MailService) -> int:
    """Pods that there should be at least."""
    scaling = service.spec.autoscaling
    return min(service.spec.replicas, scaling.min_replicas) if scaling is not None else service.spec.replicas


def _pods_missing(service: MailService, context: Context) -> Manifest:
    wanted = _wanted_pods(service)
    return {
        "alert": "PaquebotServicePodsMissing",
        "expr": f"(sum(up{_targets(service)}) or vector(0)) < {wanted}",
        "for": "15m",
        "labels": _labels(service),
        "annotations": {
            "summary": f"Fewer than {wanted} pods of MailService {_key(service)} answer.",
            "description": f"It wants {service.spec.replicas} and has {{{{ $value }}}} for fifteen minutes.",
            "runbook_url": f"{context.runbooks}/PaquebotPodDown.md",
        },
    }


def _queue_age(service: MailService, context: Context) -> Manifest:
    limit_seconds = service.spec.queue.ttl_seconds // QUEUE_AGE_SHARE
    oldest = f"min(paquebot_queue_oldest_envelope_timestamp_seconds{_targets(service)})"
    return {
        "alert": "PaquebotServiceQueueOld",
        "expr": f"time() - {oldest} > {limit_seconds}",
        "for": "15m",
        "labels": _labels(service),
        "annotations": {
            "summary": f"Mail of MailService {_key(service)} has spent half of its time to live in the queue.",
            "description": f"The oldest waits for {{{{ $value | humanizeDuration }}}}; after "
            f"{service.spec.queue.ttl_seconds} seconds it goes back to its sender.",
            "runbook_url": f"{context.runbooks}/PaquebotQueueOld.md",
        },
    }


def _targets(service: MailService) -> str:
    """Label matchers of the service's pods; names are DNS labels, so nothing in them needs an escape."""
    return f'{{namespace="{service.metadata.namespace}",{_TARGET_LABEL}="{service_label(service.metadata.name)}"}}'


def _labels(service: MailService) -> dict[str, str]:
    return {"severity": "warning", "namespace": service.metadata.namespace, "mailservice": service.metadata.name}


def _key(service: MailService) -> str:
    return f"{service.metadata.namespace}/{service.metadata.name}"
