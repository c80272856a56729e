"""What is remembered of an object that a MailService owns: enough to see that somebody changed it, and whose it is."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from paquebot_mta.config.codec import digest
from paquebot_operator.cluster.resources import Json
from paquebot_operator.desired.metadata import MANAGED_BY, MANAGED_LABEL, SERVICE_LABEL

APPLIED_ANNOTATION: Final = "paquebot.dev/applied"
_CONTROLLERS: Final = frozenset({"volumeName"})
"""Fields of a spec that Kubernetes itself fills in later."""


@dataclass(frozen=True)
class Mark:
    """One object as it was seen last.

    Attributes:
        uid: of the object; another one of the same name has another.
        version: of the API server; grows with each write of the object.
        applied: names the manifest that was applied.
        state: moves when anybody changes what the object should be; not with its status.
    """

    uid: str
    version: int
    applied: str
    state: str
    service_label: str


def mark_of(raw: Json) -> Mark:
    """Read an object."""
    metadata = raw["metadata"]
    labels = metadata.get("labels") or {}
    version = str(metadata.get("resourceVersion", "0"))
    return Mark(
        uid=str(metadata.get("uid", "")),
        version=int(version) if version.isdecimal() else 0,
        applied=(metadata.get("annotations") or {}).get(APPLIED_ANNOTATION, ""),
        state=digest(msgspec.json.encode(_wanted_part(raw), order="sorted"))[:32],
        service_label=labels.get(SERVICE_LABEL, ""),
    )


def manifest_name(manifest: Json) -> str:
    """Name a manifest by what it says."""
    return digest(msgspec.json.encode(manifest))[:32]


def is_ours(raw: Json, manifest: Json) -> bool:
    """Whether an object is the one that ``manifest`` means: its labels or its owner say so.

    One of the same name that a person or another program made is not, and must not be taken from them.
    """
    metadata, wanted = raw["metadata"], manifest["metadata"]
    owners = {each.get("uid") for each in wanted.get("ownerReferences") or ()}
    if any(each.get("uid") in owners for each in metadata.get("ownerReferences") or ()):
        return True
    labels = metadata.get("labels") or {}
    return labels.get(MANAGED_LABEL) == MANAGED_BY and labels.get(SERVICE_LABEL) == wanted["labels"][SERVICE_LABEL]


def writer_of(raw: Json) -> str:
    """Who made an object, as its metadata tells it, for people; empty if that is unknown."""
    entries = (raw["metadata"].get("managedFields") or ())[:1]
    return str(entries[0].get("manager", "")) if entries else ""


def _wanted_part(raw: Json) -> dict[str, Any]:
    metadata = raw["metadata"]
    parts = {name: value for name, value in raw.items() if name not in {"apiVersion", "kind", "metadata", "status"}}
    spec = parts.get("spec")
    if isinstance(spec, dict):
        parts["spec"] = {name: value for name, value in spec.items() if name not in _CONTROLLERS}
    kept = {name: metadata.get(name) for name in ("uid", "labels", "ownerReferences")}
    return {"metadata": kept, **parts}
