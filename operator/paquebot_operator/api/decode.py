"""From a document (parsed YAML or JSON) to a typed object, or an error that names object and field."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from paquebot_operator.api.core import ConfigMap, Secret
from paquebot_operator.api.maildomain import MailDomain
from paquebot_operator.api.mailfilter import MailFilter
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.api.table import Table
from paquebot_operator.api.validation import violations

ApiObject = MailService | MailDomain | MailFilter | Table | Secret | ConfigMap

KINDS: Mapping[tuple[str, str], type[ApiObject]] = {
    ("paquebot.dev/v1alpha1", "MailService"): MailService,
    ("paquebot.dev/v1alpha1", "MailDomain"): MailDomain,
    ("paquebot.dev/v1alpha1", "MailFilter"): MailFilter,
    ("paquebot.dev/v1alpha1", "Table"): Table,
    ("v1", "Secret"): Secret,
    ("v1", "ConfigMap"): ConfigMap,
}
_MAX_NULLS = 100
_ANY_KEY = "[...]"
_IS_NULL = "got `null`"
_STEP = re.compile(r"\[\.\.\.\]|[^.\[\]]+|\[[0-9]+\]")
_FIELD = re.compile(r"[^\]]$|\[\.\.\.\]$")
_AT = re.compile(r"^(?P<what>.*) - at `(?P<key>key in )?\$\.?(?P<path>.*)`$", re.DOTALL)


class ObjectError(ValueError):
    """A document that is not an object of the API.

    Attributes:
        kind, namespace, name: of the object, as far as they could be read; empty otherwise.
        field: path of what is wrong.
        message: what is wrong; never a value.
    """

    def __init__(self, identity: tuple[str, str, str], field: str, message: str) -> None:
        self.kind, self.namespace, self.name = identity
        self.field = field
        self.message = message
        super().__init__(f"{'/'.join(part for part in identity if part)}: {field}: {message}")


def decode(document: object) -> ApiObject:
    """Judge ``document`` by schema and rules and return the object.

    Raises ObjectError for the first thing that is wrong.
    """
    identity = _identity(document)
    if not isinstance(document, dict):
        raise ObjectError(identity, "", "an object must be a mapping")
    kind = KINDS.get((str(document.get("apiVersion")), str(document.get("kind"))))
    if kind is None:
        raise ObjectError(identity, "kind", "not a known apiVersion and kind")
    value = _converted(document, kind, identity)
    for violation in violations(value):
        raise ObjectError(identity, violation.field, violation.message)
    return value


def _converted(document: dict[Any, Any], kind: type[ApiObject], identity: tuple[str, str, str]) -> ApiObject:
    for _ in range(_MAX_NULLS):
        try:
            return msgspec.convert(document, kind)
        except msgspec.ValidationError as error:
            found = _AT.match(str(error))
            field, what = (found["path"], found["what"]) if found else ("", str(error))
            if not what.endswith(_IS_NULL) or not _FIELD.search(field):
                raise ObjectError(identity, field, what) from None
            document = _without(document, _STEP.findall(field))
        except RecursionError:
            raise ObjectError(identity, "", "nested too deeply") from None
    raise ObjectError(identity, "", "too many fields are null: leave them out")


def _without(value: Any, path: list[str]) -> Any:
    """A copy without a field or a map's entry that is null: to the API server it is not there."""
    step, *below = path
    if step == _ANY_KEY:
        return {key: each for key, each in value.items() if each is not None}
    if step.startswith("["):
        place = int(step[1:-1])
        return [*value[:place], _without(value[place], below), *value[place + 1 :]]
    if not below:
        return {key: each for key, each in value.items() if key != step}
    return value | {step: _without(value[step], below)}


def _identity(document: object) -> tuple[str, str, str]:
    if not isinstance(document, dict):
        return "", "", ""
    metadata = document.get("metadata")
    names = metadata if isinstance(metadata, dict) else {}
    texts = (document.get("kind"), names.get("namespace", "default"), names.get("name"))
    kind, namespace, name = (text[:253] if isinstance(text, str) and text.isprintable() else "" for text in texts)
    return kind, namespace, name
