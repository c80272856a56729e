"""What the Prometheus operator scrapes."""

from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired.container import ADMIN_PORT_NAME
from paquebot_operator.desired.context import Context
from paquebot_operator.desired.metadata import SERVICE_LABEL, Manifest, metadata, selector_labels
from paquebot_operator.desired.names import workload_name

JOB = "paquebot-mta"
"""What dashboards and alerts of the chart select by, in whatever namespace."""


def pod_monitor(service: MailService, context: Context) -> Manifest | None:
    """The PodMonitor, if the cluster knows that kind and it isn't turned off."""
    monitoring = service.spec.monitoring
    if not context.has_pod_monitors or monitoring.pod_monitor == "Disabled":
        return None
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata(service, workload_name(service.metadata.name), labels=monitoring.labels),
        "spec": {
            "selector": {"matchLabels": selector_labels(service)},
            "podTargetLabels": [SERVICE_LABEL],
            "podMetricsEndpoints": [
                {
                    "port": ADMIN_PORT_NAME,
                    "path": "/metrics",
                    "interval": f"{monitoring.interval_seconds}s",
                    "relabelings": [{"targetLabel": "job", "replacement": JOB}],
                }
            ],
        },
    }
