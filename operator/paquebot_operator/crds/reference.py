"""The reference of all fields, as a page: what ``kubectl explain --recursive`` says, with bounds and defaults."""

import json
from collections.abc import Iterator

from paquebot_operator.crds.definition import GROUP, VERSION, whole_schema
from paquebot_operator.crds.kinds import KINDS, Kind
from paquebot_operator.crds.schema import Schema

_HEAD = f"""# The API: `{GROUP}/{VERSION}`

Made from the models by `make crds`. In a cluster `kubectl explain maildomain.spec --recursive` says the same.
A field in **bold** is required, `[]` marks a list. Fields that are not listed are refused by `paquebot check` and by
kubectl (`--validate=strict`, its default), and dropped if another client sends them.

Values that YAML 1.1 takes for something else (`yes`, `no`, `on`, `off`) are no values of this API, so nothing has to
be quoted but numbers that are texts.

## Size

An object may have 1.5 MiB in etcd. `kubectl apply` keeps a second copy in an annotation of at most 256 KiB; apply
larger Tables and MailDomains with `kubectl apply --server-side`, or put the data in a ConfigMap or Secret.
"""


def reference() -> str:
    """The page, in Markdown."""
    return "\n".join([_HEAD, *(line for kind in KINDS for line in _of_kind(kind))]) + "\n"


def _of_kind(kind: Kind) -> Iterator[str]:
    schema = whole_schema(kind)
    yield f"## {kind.name}\n"
    yield f"{schema['description']} `kubectl get {kind.short_name}`\n"
    for part in ("spec", "status"):
        yield from (f"### {kind.name}.{part}\n", "| field | type | default | what it says |", "|---|---|---|---|")
        yield from _fields(schema["properties"][part], "")
        yield ""


def _fields(schema: Schema, path: str) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        where, inner = f"{path}{name}", _inner(field)
        shown = f"**{where}**" if name in required else where
        yield f"| {shown} | {_type(field)} | {_default(field)} | {_said(field)} |"
        if inner is not None:
            yield from _rules(inner)
            yield from _fields(inner, f"{where}{'[]' if field['type'] == 'array' else ''}.")


def _inner(field: Schema) -> Schema | None:
    schema: Schema = field.get("items", field)
    return schema if "properties" in schema else None


def _rules(schema: Schema) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield f"| | rule | | {_escaped(rule['message'])} |"


def _said(field: Schema) -> str:
    changes = [each["message"] for each in field.get("x-kubernetes-validations", ()) if "oldSelf" in each["rule"]]
    return _escaped(" ".join([field.get("description", ""), *(f"({change})" for change in changes)]))


def _type(field: Schema) -> str:
    if field["type"] == "array":
        return f"{_type(field['items'])} [{field.get('minItems', 0)}..{field['maxItems']}]"
    if "additionalProperties" in field:
        return f"map of string, at most {field['maxProperties']}"
    if "enum" in field:
        return _escaped(", ".join(f"`{value}`" for value in field["enum"]))
    if field["type"] == "integer":
        return f"{field['minimum']}..{field['maximum']}"
    if field["type"] == "string":
        return f"string, at most {field['maxLength']}"
    return str(field["type"])


def _default(field: Schema) -> str:
    default = field.get("default")
    if field["type"] == "object" or default in (None, "", []):  # an object's stand with its fields
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
