"""The models are what a structural schema needs: bounded, described, strict; rules say the same offline."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from paquebot_operator.api.decode import KINDS, ObjectError, decode
from paquebot_operator.api.maildomain import MailDomain
from paquebot_operator.api.mailfilter import MailFilter
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.api.table import Table
from paquebot_operator.api.validation import ApiValue
from tests.operator.builders import Json, domain, metadata, service, submission, table


def api_structs(kind: type[Any]) -> Iterator[type[Any]]:
    """All structs of the API below a kind's spec, each once."""
    seen: set[type[Any]] = set()
    waiting: list[Any] = [inspect.type_info(kind)]
    while waiting:
        info = waiting.pop()
        if isinstance(info, inspect.StructType) and info.cls not in seen:
            seen.add(info.cls)
            if issubclass(info.cls, ApiValue):
                yield info.cls
            waiting += [field.type for field in info.fields if field.encode_name != "status"]
        waiting += parts(info)


def parts(info: Any) -> list[Any]:
    if isinstance(info, inspect.Metadata):
        return [info.type]
    if isinstance(info, inspect.UnionType):
        return list(info.types)
    if isinstance(info, inspect.VarTupleType | inspect.ListType):
        return [info.item_type]
    return [info.key_type, info.value_type] if isinstance(info, inspect.DictType) else []


def unbounded(info: Any) -> list[str]:
    """Types without bounds in a field's type."""
    found = [name for part in parts(info) for name in unbounded(part)]
    if isinstance(info, inspect.StrType | inspect.VarTupleType | inspect.DictType) and info.max_length is None:
        found.append(type(info).__name__)
    if isinstance(info, inspect.IntType) and (info.ge is None or (info.le is None)):
        found.append("IntType")
    return found


KINDS_OF_OURS = (MailService, MailDomain, MailFilter, Table)
STRUCTS = {struct.__name__: struct for kind in KINDS_OF_OURS for struct in api_structs(kind)}
FIELDS = [
    (name, field.encode_name, field.type)
    for name, struct in STRUCTS.items()
    for field in inspect.type_info(struct).fields  # type: ignore[attr-defined]
    if field.encode_name not in {"apiVersion", "kind", "metadata", "status"}
]


def test_every_field_is_bounded() -> None:
    assert len(FIELDS) > 100
    assert [(owner, name, unbounded(info)) for owner, name, info in FIELDS if unbounded(info)] == []


def test_every_field_is_described() -> None:
    bare = [
        (owner, name)
        for owner, name, info in FIELDS
        if not (isinstance(info, inspect.Metadata) and (info.extra_json_schema or {}).get("description"))
    ]
    assert bare == []


@pytest.mark.parametrize("kind", KINDS_OF_OURS)
def test_a_json_schema_can_be_generated(kind: type[Any]) -> None:
    assert msgspec.json.schema(kind)["$defs"]


def test_every_rule_has_a_message() -> None:
    rules = [rule for struct in STRUCTS.values() for rule in struct.validations]
    assert len(rules) > 20
    assert all((rule.cel or rule.unique_items) and rule.message for rule in rules)


def broken_service(**listener: Any) -> Json:
    return service(listeners=[{"name": "mx", "port": 25} | listener])


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (service(unknown=1), "spec"),
        (service(hostname=1), "spec.hostname"),
        (service(listeners=[]), "spec.listeners"),
        (broken_service(port=70_000), "spec.listeners[0].port"),
        (broken_service(port="25"), "spec.listeners[0].port"),
        (broken_service(name="mx\n"), "spec.listeners[0].name"),
        (broken_service(tag="a\x07"), "spec.listeners[0].tag"),
        (broken_service(address="unix:/run/x"), "spec.listeners[0]"),
        (broken_service(role="Submission"), "spec.listeners[0]"),
        (broken_service(auth={"mode": "Required", "credentialsRef": {"name": "u"}}), "spec.listeners[0]"),
        (broken_service(tls={"mode": "StartTLS"}), "spec.listeners[0].tls"),
        (broken_service(tls={"required": True}), "spec.listeners[0].tls"),
        (service(listeners=[submission(credentialsRef=None)]), "spec.listeners[0].auth"),
        (service(listeners=[{"name": "a", "port": 1}, {"name": "a", "port": 2}]), "spec"),
        (service(actions=[{"name": "a"}]), "spec.actions[0]"),
        (service(actions=[{"name": "a", "relay": {}, "discard": {}}]), "spec.actions[0]"),
        (service(actions=[{"name": "a", "relay": {"port": 26}}]), "spec.actions[0].relay"),
        (service(rules=[{"name": "a", "match": {"for": {"any": {}}}, "reject": {}}]), "spec.rules[0].match"),
        (service(rules=[{"name": "a", "match": {"from": {}, "for": {"any": {}}}, "reject": {}}]),
         "spec.rules[0].match.from"),
        (service(rules=[{"name": "a", "match": {"from": {"any": {}}, "for": {"any": {}}}, "deliver": {}}]),
         "spec.rules[0]"),
        (service(rules=[{"name": "a", "match": {"from": {"any": {}}, "for": {"any": {}}}, "reject": {"code": 450}}]),
         "spec.rules[0].reject"),
        (service(allowedDomains={"namespaces": {"from": "Selector"}}), "spec.allowedDomains.namespaces"),
        (domain(acceptAnyMailbox=True), "spec"),
        (domain(delivery={}), "spec.delivery"),
        (domain(subAddressDelimiter="++"), "spec.subAddressDelimiter"),
        (domain(aliases=[{"name": "a", "targets": []}]), "spec.aliases[0].targets"),
        (domain(meta=metadata("Bad_Name")), "metadata.name"),
        (table("t", "alias"), "spec"),
        (table("t", "unknown", inline={}), "spec.services[0]"),
        (table("t", "alias", inline={"keys": ["a"], "entries": [{"key": "a", "value": "b"}]}), "spec.inline"),
    ],
)  # fmt: skip
def test_what_the_schema_or_a_rule_refuses_is_named_by_its_field(document: Json, field: str) -> None:
    with pytest.raises(ObjectError) as caught:
        decode(document)
    assert caught.value.field == field
    assert caught.value.message


@pytest.mark.parametrize(
    "document", [None, [], "text", {}, {"kind": "MailService"}, {"apiVersion": "v1", "kind": "Pod"}]
)
def test_what_is_no_object_is_refused(document: object) -> None:
    with pytest.raises(ObjectError):
        decode(document)


def test_metadata_of_the_api_server_is_no_matter() -> None:
    document = service()
    document["metadata"] |= {"resourceVersion": "1", "managedFields": [{"manager": "x"}]}
    document["status"] = {"conditions": []}
    assert isinstance(decode(document), KINDS["paquebot.dev/v1alpha1", "MailService"])


def test_a_field_that_is_null_has_its_default() -> None:
    named: Json = {"name": "mx", "port": 2525, "tag": None, "tls": {"ciphers": None, "clientCaRef": None}}
    nulls = service(listeners=[named], limits=None, actions=None)
    assert decode(nulls) == decode(service(listeners=[{"name": "mx", "port": 2525}]))


@pytest.mark.parametrize(
    "spec", [{"hostname": None}, {"unknown": None}, {"rules": [None]}, {"listeners": [{"name": "mx", "port": None}]}]
)
def test_null_is_no_value(spec: Json) -> None:
    with pytest.raises(ObjectError):
        decode(service(**spec))
