"""Validation rules that a schema can't say: each a CEL text for the API server and a check with the same meaning.

A type of the API lists its rules in the class attribute ``validations``. It knows nothing of particular kinds.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Rule:
    """One rule of a type.

    Attributes:
        cel: what the API server evaluates (``x-kubernetes-validations``), ``self`` is the value; empty if the schema
            says it by ``unique_items``.
        message: what a person reads if it does not hold; says what to do.
        holds: the same in Python.
        where: path of what is wrong below the value; the value itself if left out.
        unique_items: a list and the key of its entries (``x-kubernetes-list-map-keys``).
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    where: Callable[[Any], str] | None = None
    unique_items: tuple[str, str] | None = None


@dataclass(frozen=True)
class Violation:
    """A rule that does not hold: ``field`` is the path of the value, as in ``spec.listeners[0].tls``."""

    field: str
    message: str


class ApiValue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """A frozen value of the API: camelCase, unknown fields refused."""

    validations: ClassVar[tuple[Rule, ...]] = ()


def exactly_one(*names: str, attributes: tuple[str, ...] = ()) -> Rule:
    """A union as optional sub-objects: one of ``names`` is set; ``attributes`` where Python's names differ."""
    fields = attributes or names
    return Rule(
        cel=f"[{', '.join(f'has(self.{name})' for name in names)}].exists_one(set, set)",
        message=f"set exactly one of {', '.join(names)}",
        holds=lambda value: sum(getattr(value, name) is not None for name in fields) == 1,
    )


def at_most_one(*names: str, attributes: tuple[str, ...] = ()) -> Rule:
    """None or one of ``names`` is set."""
    fields = attributes or names
    return Rule(
        cel=f"[{', '.join(f'has(self.{name})' for name in names)}].filter(set, set).size() <= 1",
        message=f"set at most one of {', '.join(names)}",
        holds=lambda value: sum(getattr(value, name) is not None for name in fields) <= 1,
    )


def unique(items: str, key: str) -> Rule:
    """No two entries of the list ``items`` have the same ``key`` (a list of type map: CEL would need n² steps)."""
    return Rule(
        cel="",
        message=f"every {key} in {items} must be unique",
        holds=lambda value: _distinct([getattr(item, key) for item in getattr(value, items)]),
        unique_items=(items, key),
    )


def immutable(message: str) -> dict[str, Any]:
    """What a field's schema says (``extra_json_schema``) if the API server refuses to change its value."""
    return transition(("self == oldSelf", message))


def transition(*checks: tuple[str, str]) -> dict[str, Any]:
    """The same for changes: CEL texts, of which ``oldSelf`` is what was there, and messages."""
    return {"x-kubernetes-validations": [{"rule": cel, "message": message} for cel, message in checks]}


def _distinct(values: list[Any]) -> bool:
    return len(set(values)) == len(values)


def violations(value: Any, path: str = "") -> Iterator[Violation]:
    """Yield every rule that does not hold in ``value`` or below it, and every text with a control character."""
    if isinstance(value, str):
        if _CONTROL.search(value):
            yield Violation(path, "control characters are not allowed")
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from violations(item, f"{path}[{index}]")
    elif isinstance(value, Struct):
        yield from _of_struct(value, path)


def _of_struct(value: Struct, path: str) -> Iterator[Violation]:
    for rule in getattr(type(value), "validations", ()):
        if not rule.holds(value):
            below = "" if rule.where is None else f".{rule.where(value)}"
            yield Violation(f"{path}{below}".lstrip("."), rule.message)
    for field in msgspec.structs.fields(value):
        below, where = getattr(value, field.name), f"{path}.{field.encode_name}".lstrip(".")
        if isinstance(below, dict) and isinstance(value, ApiValue):  # metadata and Secrets' data are not ours to judge
            yield from _of_map(below, where)
        yield from violations(below, where)


def _of_map(texts: dict[str, str], path: str) -> Iterator[Violation]:
    for key, text in texts.items():
        yield from violations(key, path)
        yield from violations(text, f"{path}.{key}")
