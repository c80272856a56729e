"""Where the queue lies: a claim that all pods share, one for each pod, or nowhere."""

from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired.metadata import Manifest, metadata, selector_labels, set_only
from paquebot_operator.desired.names import claim_name


def keeps_mail(service: MailService) -> bool:
    """Whether there is a volume at all; the other back ends lose mail by design."""
    return service.spec.queue.backend == "Journal"


def is_per_pod(service: MailService) -> bool:
    """Whether each pod has a volume of its own."""
    return keeps_mail(service) and service.spec.queue.storage.mode == "PerPod"


def persistent_volume_claim(service: MailService) -> Manifest | None:
    """The claim of a shared queue; None if there is one already, or each pod has its own.

    It has no owner: who deletes a MailService keeps the mail that was accepted, and one of the same name finds it.
    """
    if not keeps_mail(service) or is_per_pod(service) or service.spec.queue.storage.claim_name is not None:
        return None
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(service, claim_name(service.metadata.name), owned=False),
        "spec": _claim(service, "ReadWriteMany"),
    }


def claim_template(service: MailService, name: str) -> Manifest:
    """The template of a claim for each pod; Kubernetes keeps the claims when pods or the StatefulSet go."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "labels": selector_labels(service)},
        "spec": _claim(service, "ReadWriteOnce"),
    }


def queue_source(service: MailService) -> Manifest | None:
    """The pod's volume for the queue; None if it comes from a template of the workload."""
    if not keeps_mail(service):
        return {"emptyDir": {}}
    if is_per_pod(service):
        return None
    name = service.spec.queue.storage.claim_name or claim_name(service.metadata.name)
    return {"persistentVolumeClaim": {"claimName": name}}


def _claim(service: MailService, access_mode: str) -> Manifest:
    storage = service.spec.queue.storage
    return set_only(
        accessModes=[access_mode],
        resources={"requests": {"storage": storage.wanted_size}},
        storageClassName=storage.storage_class_name,
    )
