"""All objects of a MailService, in the order to make them."""

from typing import Final

from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired.alerts import prometheus_rule
from paquebot_operator.desired.autoscaler import horizontal_pod_autoscaler
from paquebot_operator.desired.context import Context
from paquebot_operator.desired.disruption import pod_disruption_budget
from paquebot_operator.desired.metadata import Manifest
from paquebot_operator.desired.monitor import pod_monitor
from paquebot_operator.desired.network_policy import network_policy
from paquebot_operator.desired.service_account import service_account
from paquebot_operator.desired.services import listener_services
from paquebot_operator.desired.storage import persistent_volume_claim
from paquebot_operator.desired.workload import workload

KINDS: Final = (
    ("v1", "ServiceAccount"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("v1", "PersistentVolumeClaim"),
    ("policy/v1", "PodDisruptionBudget"),
    ("v1", "Service"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
)
"""apiVersion and kind of all that ``desired_objects`` may give. What has a MailService as its owner and is not desired
any more is to be deleted; a PersistentVolumeClaim has no owner and stays."""


def desired_objects(service: MailService, context: Context) -> tuple[Manifest, ...]:
    """All objects that ``service`` wants beside its configuration, for server-side apply.

    Equal arguments give equal manifests. Only fields that say something are there; the API server's defaults are its
    own. ``metadata.uid`` of the service must be known: the objects go when the MailService goes.
    """
    found = (
        service_account(service),
        network_policy(service, context),
        persistent_volume_claim(service),
        pod_disruption_budget(service),
        *listener_services(service),
        workload(service, context),
        horizontal_pod_autoscaler(service),
        pod_monitor(service, context),
        prometheus_rule(service, context),
    )
    return tuple(manifest for manifest in found if manifest is not None)
