"""CustomResourceDefinitions as objects of Kubernetes."""

from typing import Any

from msgspec.structs import fields

from paquebot_operator.crds.kinds import KINDS, Column, Kind
from paquebot_operator.crds.schema import Schema, described, schema_of

GROUP, VERSION = "paquebot.dev", "v1alpha1"
CATEGORY = "paquebot"


def definitions() -> tuple[dict[str, Any], ...]:
    """All definitions, in the order in which people meet the kinds."""
    return tuple(definition(kind) for kind in KINDS)


def definition(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    plural = kind.model.plural
    names = {
        "kind": kind.name,
        "listKind": f"{kind.name}List",
        "plural": plural,
        "singular": kind.name.lower(),
        "shortNames": [kind.short_name],
        "categories": [CATEGORY],
    }
    spec = {
        "group": GROUP,
        "scope": "Namespaced",
        "names": names,
        "conversion": {"strategy": "None"},
        "versions": [_version(kind)],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": spec,
    }


def whole_schema(kind: Kind) -> Schema:
    """The schema of an object of a kind: metadata, spec and status."""
    (spec,) = (field.type for field in fields(kind.model) if field.name == "spec")
    model = spec.__origin__ if hasattr(spec, "__origin__") else spec
    return {
        "type": "object",
        "description": described(kind.model),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": schema_of(model),
            "status": schema_of(kind.status),
        },
    }


def _version(kind: Kind) -> dict[str, Any]:
    subresources: dict[str, Any] = {"status": {}}
    if kind.scale is not None:
        subresources["scale"] = dict(kind.scale)
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": subresources,
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
    }
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    return version | {"schema": {"openAPIV3Schema": whole_schema(kind)}}


def _column(column: Column) -> dict[str, Any]:
    shown = {"name": column.name, "type": column.type, "jsonPath": column.json_path}
    return shown | {"priority": 1} if column.wide else shown
