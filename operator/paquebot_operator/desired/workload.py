"""What runs the pods: a Deployment on a shared volume, a StatefulSet with a volume for each pod."""

from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired.container import QUEUE_VOLUME
from paquebot_operator.desired.context import Context
from paquebot_operator.desired.metadata import Manifest, metadata, selector_labels
from paquebot_operator.desired.names import workload_name
from paquebot_operator.desired.pod import pod_template
from paquebot_operator.desired.storage import claim_template, is_per_pod, queue_source

MIN_READY_SECONDS = 5
REVISIONS_KEPT = 3


def workload(service: MailService, context: Context) -> Manifest:
    """The Deployment or StatefulSet."""
    return _stateful_set(service, context) if is_per_pod(service) else _deployment(service, context)


def _deployment(service: MailService, context: Context) -> Manifest:
    """A pod more while it rolls, never one less: no session is refused for a rollout."""
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(service, workload_name(service.metadata.name)),
        "spec": {**_spec(service, context), "strategy": strategy},
    }


def _stateful_set(service: MailService, context: Context) -> Manifest:
    """Each pod has its own queue, so their order means nothing: all start at once."""
    name = workload_name(service.metadata.name)
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(service, name),
        "spec": {
            **_spec(service, context),
            "serviceName": name,  # pods need no names in DNS: there is no such Service, and none is needed
            "podManagementPolicy": "Parallel",
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "volumeClaimTemplates": [claim_template(service, QUEUE_VOLUME)],
        },
    }


def _spec(service: MailService, context: Context) -> Manifest:
    return {
        "replicas": service.spec.replicas,
        "minReadySeconds": MIN_READY_SECONDS,
        "revisionHistoryLimit": REVISIONS_KEPT,
        "selector": {"matchLabels": selector_labels(service)},
        "template": pod_template(service, context, queue_source(service)),
    }
