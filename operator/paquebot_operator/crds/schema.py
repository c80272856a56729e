"""From a model to a structural schema of OpenAPI v3, as CustomResourceDefinitions have it."""

from typing import Any

import msgspec
from msgspec import inspect
from msgspec.structs import fields

from paquebot_operator.api.validation import ApiValue, Rule

Schema = dict[str, Any]
_RULES = "x-kubernetes-validations"


def schema_of(model: type[ApiValue]) -> Schema:
    """The structural schema of a model and all below it: bounds, descriptions, defaults, rules.

    Raises TypeError for a type that has no place in a structural schema.
    """
    return _schema(inspect.type_info(model))


def _schema(info: inspect.Type) -> Schema:
    match info:
        case inspect.Metadata():
            return _joined(_schema(info.type), info.extra_json_schema or {})
        case inspect.UnionType():
            (only,) = [each for each in info.types if not isinstance(each, inspect.NoneType)]
            return _schema(only)
        case inspect.StructType():
            return _object(info)
        case inspect.VarTupleType():
            bounds = _given(minItems=info.min_length, maxItems=info.max_length)
            return {"type": "array", **bounds, "items": _schema(info.item_type)}
        case inspect.DictType():
            bounds = _given(maxProperties=info.max_length)
            return {"type": "object", **bounds, "additionalProperties": _schema(info.value_type)}
    return _scalar(info)


def _scalar(info: inspect.Type) -> Schema:
    match info:
        case inspect.StrType():
            return {"type": "string", **_given(minLength=info.min_length, maxLength=info.max_length), **_pattern(info)}
        case inspect.LiteralType():
            return {"type": "string", "enum": [str(value) for value in info.values]}
        case inspect.IntType():
            return {"type": "integer", "format": "int64", **_given(minimum=info.ge, maximum=info.le)}
        case inspect.BoolType():
            return {"type": "boolean"}
    raise TypeError(f"no structural schema for {type(info).__name__}")


def _object(info: inspect.StructType) -> Schema:
    properties = {field.encode_name: _property(field) for field in info.fields}
    rules: tuple[Rule, ...] = getattr(info.cls, "validations", ())
    for rule in rules:
        if rule.unique_items is not None:
            items, key = rule.unique_items
            properties[items] |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
    required = [field.encode_name for field in info.fields if field.required]
    checks = [{"rule": rule.cel, "message": rule.message} for rule in rules if rule.cel]
    return {
        "type": "object",
        "description": described(info.cls),
        **_given(required=required or None),
        "properties": properties,
        **_given(**{_RULES: checks or None}),
    }


def _property(field: inspect.Field) -> Schema:
    schema, default = _schema(field.type), _default(field)
    return schema if default is None else schema | {"default": default}


def _default(field: inspect.Field) -> Any:
    """The default as JSON; an object's holds only what differs from its own fields' defaults, unless it has rules."""
    value = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
    return None if value is msgspec.NODEFAULT else _written(value)


def _written(value: Any, *, whole: bool = False) -> Any:
    # The API server tries the rules on a default as it stands, before it fills in the defaults below it.
    whole = whole or _has_rules(value)
    if not isinstance(value, ApiValue) or not whole:
        return msgspec.json.decode(msgspec.json.encode(value))
    found = {each.encode_name: _written(getattr(value, each.name), whole=whole) for each in fields(value)}
    return {name: each for name, each in found.items() if each is not None}


def _has_rules(value: object) -> bool:
    below = (getattr(value, each.name) for each in fields(value)) if isinstance(value, ApiValue) else ()
    return bool(getattr(value, "validations", ())) or any(_has_rules(each) for each in below)


def _pattern(info: inspect.StrType) -> Schema:
    return {} if info.pattern is None else {"pattern": info.pattern}


def described(model: type[Any]) -> str:
    """What a model's docstring says, on one line."""
    return " ".join((model.__doc__ or "").split())


def _joined(schema: Schema, more: Schema) -> Schema:
    """``more`` wins, but for rules: a field may add some to those of its type."""
    rules = [*schema.get(_RULES, ()), *more.get(_RULES, ())]
    return schema | more | ({_RULES: rules} if rules else {})


def _given(**bounds: Any) -> Schema:
    return {name: value for name, value in bounds.items() if value is not None}
