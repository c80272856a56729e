"""Pods of a MailService, as much as matters: who they are, where their admin port is, whether they are ready."""

from dataclasses import dataclass
from typing import Final

from paquebot_operator.cluster.resources import Json
from paquebot_operator.desired.container import ADMIN_PORT_NAME
from paquebot_operator.desired.metadata import SERVICE_LABEL

ADMIN_PORT: Final = 9025
NUDGE_ANNOTATION: Final = "paquebot.dev/config"


@dataclass(frozen=True)
class Pod:
    """One pod.

    Attributes:
        service_label: value of the label that names its MailService.
        address: empty while it has none.
        admin_port: of its first container.
    """

    namespace: str
    name: str
    uid: str
    service_label: str
    node: str
    address: str
    admin_port: int
    ready: bool
    ending: bool


def pod_of(raw: Json) -> Pod:
    """Read a pod."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    conditions = {each.get("type"): each.get("status") for each in status.get("conditions") or ()}
    over = status.get("phase") in ("Succeeded", "Failed")
    return Pod(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        service_label=(metadata.get("labels") or {}).get(SERVICE_LABEL, ""),
        node=spec.get("nodeName", ""),
        address="" if over else status.get("podIP", ""),
        admin_port=_admin_port(spec),
        ready=conditions.get("Ready") == "True" and not over,
        ending=over or "deletionTimestamp" in metadata,
    )


def _admin_port(spec: Json) -> int:
    ports = [port for container in spec.get("containers") or () for port in container.get("ports") or ()]
    return next((int(port["containerPort"]) for port in ports if port.get("name") == ADMIN_PORT_NAME), ADMIN_PORT)
