"""The definitions are structural, bounded and described all over, and their values mean nothing else in YAML."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from paquebot_operator.crds.definition import definitions, whole_schema
from paquebot_operator.crds.files import plain
from paquebot_operator.crds.kinds import KINDS

Schema = dict[str, Any]
YAML_1_1_BOOLEANS = {"y", "n", "yes", "no", "on", "off", "true", "false"}
MAX_RE2_REPEAT = 1_000
MAX_BYTES = 200_000


def nodes(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every schema below a schema, with its path."""
    yield path, schema
    for name, below in schema.get("properties", {}).items():
        yield from nodes(below, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from nodes(schema[name], f"{path}[]")


ALL = [
    node
    for kind in KINDS
    for part in ("spec", "status")
    for node in nodes(whole_schema(kind)["properties"][part], f"{kind.name}.{part}")
]
BOUNDS = {"string": {"maxLength", "enum"}, "array": {"maxItems"}, "integer": {"maximum"}, "boolean": {"type"}}


def test_everything_is_bounded() -> None:
    assert len(ALL) > 400
    for path, node in ALL:
        if node["type"] == "object":
            assert ("maxProperties" in node) == ("additionalProperties" in node), path
        else:
            assert BOUNDS[node["type"]] & node.keys(), path


def test_every_field_is_described() -> None:
    bare = [path for path, node in ALL if not path.endswith("[]") and not node.get("description")]
    assert bare == []


def test_no_value_is_a_boolean_to_yaml_1_1() -> None:
    values = [(path, value) for path, node in ALL if ".spec" in path for value in node.get("enum", ())]
    assert [(path, value) for path, value in values if value.lower() in YAML_1_1_BOOLEANS] == []


def test_every_pattern_is_one_for_re2() -> None:
    patterns = {node["pattern"] for _, node in ALL if "pattern" in node}
    assert len(patterns) > 10
    for pattern in patterns:
        assert not re.search(r"\\[uZA]|\(\?", pattern), pattern
        assert all(int(most) <= MAX_RE2_REPEAT for most in re.findall(r",(\d+)\}", pattern)), pattern


def test_every_pattern_and_bound_holds_for_its_default() -> None:
    for path, node in ALL:
        default = node.get("default")
        if isinstance(default, str):
            assert default in node.get("enum", (default,)), path
            assert re.search(node.get("pattern", ""), default), path
            assert node.get("minLength", 0) <= len(default), path


@pytest.mark.parametrize("definition", definitions(), ids=lambda each: each["spec"]["names"]["plural"])
def test_a_definition_is_lean(definition: Schema) -> None:
    assert len(plain(definition)) < MAX_BYTES
    assert yaml.safe_load(plain(definition)) == definition


def test_names_are_told_apart() -> None:
    names = [definition["spec"]["names"] for definition in definitions()]
    assert [each["shortNames"] for each in names] == [["ms"], ["md"], ["tbl"], ["mf"]]
    assert {tuple(each["categories"]) for each in names} == {("paquebot",)}
