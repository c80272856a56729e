"""Metadata that all manifests share: labels, owner."""

from collections.abc import Mapping
from typing import Any

from paquebot_operator.api.common import API_VERSION
from paquebot_operator.api.maildomain import MailDomain
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired.names import service_label

SERVICE_LABEL = "paquebot.dev/service"
MANAGED_BY = "paquebot-operator"
MANAGED_LABEL = "app.kubernetes.io/managed-by"
MANAGED_SELECTOR = f"{MANAGED_LABEL}={MANAGED_BY}"
"""Finds every object that the operator made."""

Manifest = dict[str, Any]


def selector_labels(service: MailService) -> dict[str, str]:
    """Labels that pods of a MailService have, and no others; they never change."""
    return {
        "app.kubernetes.io/component": "mta",
        "app.kubernetes.io/name": "paquebot",
        SERVICE_LABEL: service_label(service.metadata.name),
    }


def common_labels(service: MailService) -> dict[str, str]:
    """Labels of every object that belongs to a MailService."""
    return selector_labels(service) | {
        "app.kubernetes.io/instance": service_label(service.metadata.name),
        MANAGED_LABEL: MANAGED_BY,
    }


def metadata(
    service: MailService,
    name: str,
    *,
    annotations: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    owned: bool = True,
) -> Manifest:
    """Metadata of an object; one that is ``owned`` goes when the MailService goes."""
    found: Manifest = {
        "name": name,
        "namespace": service.metadata.namespace,
        "labels": dict(sorted((dict(labels or {}) | common_labels(service)).items())),
    }
    if annotations:
        found["annotations"] = dict(sorted(annotations.items()))
    if owned:
        found["ownerReferences"] = [_owner("MailService", service.metadata.name, service.metadata.uid)]
    return found


def domain_metadata(domain: MailDomain, name: str) -> Manifest:
    """Metadata of an object that belongs to a MailDomain and goes with it."""
    return {
        "name": name,
        "namespace": domain.metadata.namespace,
        "labels": {MANAGED_LABEL: MANAGED_BY, "app.kubernetes.io/name": "paquebot"},
        "ownerReferences": [_owner("MailDomain", domain.metadata.name, domain.metadata.uid)],
    }


def set_only(**fields: Any) -> Manifest:
    """The fields that say something: without None and empty ones; the API server's own defaults stay unowned."""
    return {name: value for name, value in fields.items() if value is not None and value not in ({}, [], "", ())}


def _owner(kind: str, name: str, uid: str) -> Manifest:
    """Without blockOwnerDeletion: clusters that guard it want one more right of the operator, and nothing needs it."""
    return {"apiVersion": API_VERSION, "kind": kind, "name": name, "uid": uid, "controller": True}
