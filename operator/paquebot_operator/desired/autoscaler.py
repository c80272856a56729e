"""Number of pods by load."""

from paquebot_operator.api.common import API_VERSION
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired.metadata import Manifest, metadata
from paquebot_operator.desired.names import workload_name
from paquebot_operator.desired.storage import is_per_pod

SCALE_DOWN_SECONDS = 300


def horizontal_pod_autoscaler(service: MailService) -> Manifest | None:
    """The HorizontalPodAutoscaler, if asked for.

    It scales the MailService, not the workload: so ``spec.replicas`` always says how many pods there should be, and
    turning it on or off never passes through another number. ``replicas`` belongs in nobody's manifest then.
    """
    scaling = service.spec.autoscaling
    if scaling is None:
        return None
    # With a volume for each pod, a pod that goes leaves its mail waiting until it comes again.
    down = {"selectPolicy": "Disabled"} if is_per_pod(service) else {"stabilizationWindowSeconds": SCALE_DOWN_SECONDS}
    utilization = {"type": "Utilization", "averageUtilization": scaling.cpu_utilization_percent}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(service, workload_name(service.metadata.name)),
        "spec": {
            "scaleTargetRef": {"apiVersion": API_VERSION, "kind": "MailService", "name": service.metadata.name},
            "minReplicas": scaling.min_replicas,
            "maxReplicas": scaling.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": utilization}}],
            "behavior": {"scaleDown": down},
        },
    }
