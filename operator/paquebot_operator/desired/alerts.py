"""Alerts whose thresholds stand in the MailService itself; those that hold for every service come with the chart."""

from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired.context import Context
from paquebot_operator.desired.metadata import SERVICE_LABEL, Manifest, metadata
from paquebot_operator.desired.names import service_label, workload_name

_TARGET_LABEL = SERVICE_LABEL.replace(".", "_").replace("/", "_")
QUEUE_AGE_SHARE = 2
"""Mail that waits for more than half of its time to live is told of while there is time to act."""


def prometheus_rule(service: MailService, context: Context) -> Manifest | None:
    """The PrometheusRule, if the cluster knows that kind, the pods are scraped, and it isn't turned off."""
    monitoring = service.spec.monitoring
    if not context.has_prometheus_rules or "Disabled" in (monitoring.prometheus_rule, monitoring.pod_monitor):
        return None
    name = workload_name(service.metadata.name)
    rules = [_queue_age(service), _mixed_configuration(service)]
    if _wanted_pods(service):
        rules = [_no_pod(service), _pods_missing(service), *rules]
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


def _no_pod(service: MailService) -> Manifest:
    up = f"(sum(up{_targets(service)}) or vector(0))"
    summary = "no pod answers: nothing is received and nothing delivered"
    return _alert(service, "PaquebotServiceDown", f"{up} == 0", "5m", "critical", summary)


def _pods_missing(service: MailService) -> Manifest:
    up, wanted = f"(sum(up{_targets(service)}) or vector(0))", _wanted_pods(service)
    return _alert(
        service, "PaquebotServicePodsMissing", f"{up} < {wanted}", "15m", "warning", f"fewer than {wanted} pods answer"
    )


def _queue_age(service: MailService) -> Manifest:
    limit_seconds = service.spec.queue.ttl_seconds // QUEUE_AGE_SHARE
    oldest = f"min(paquebot_queue_oldest_envelope_timestamp_seconds{_targets(service)})"
    summary = f"mail has waited for more than {limit_seconds} seconds, half of its time to live"
    return _alert(service, "PaquebotServiceQueueOld", f"time() - {oldest} > {limit_seconds}", "15m", "warning", summary)


def _mixed_configuration(service: MailService) -> Manifest:
    digests = f"count(count by (hash) (paquebot_config_info{_targets(service)}))"
    summary = "pods run different configurations: one of them doesn't take the newest"
    return _alert(service, "PaquebotServiceConfigMixed", f"{digests} > 1", "10m", "warning", summary)


def _targets(service: MailService) -> str:
    """Label matchers of the service's pods; names are DNS labels, so nothing in them needs an escape."""
    return f'{{namespace="{service.metadata.namespace}",{_TARGET_LABEL}="{service_label(service.metadata.name)}"}}'


def _alert(service: MailService, name: str, expression: str, lasting: str, severity: str, summary: str) -> Manifest:
    key = f"{service.metadata.namespace}/{service.metadata.name}"
    return {
        "alert": name,
        "expr": expression,
        "for": lasting,
        "labels": {"severity": severity, "namespace": service.metadata.namespace, "mailservice": service.metadata.name},
        "annotations": {"summary": f"MailService {key}: {summary}"},
    }
