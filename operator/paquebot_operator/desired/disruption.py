"""How many pods a drain of nodes may take away at once."""

from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired.metadata import Manifest, metadata, selector_labels
from paquebot_operator.desired.names import workload_name


def pod_disruption_budget(service: MailService) -> Manifest:
    """The PodDisruptionBudget; a pod that isn't ready never holds up a drain."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(service, workload_name(service.metadata.name)),
        "spec": {
            "maxUnavailable": service.spec.disruption.max_unavailable,
            "selector": {"matchLabels": selector_labels(service)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
