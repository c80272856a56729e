"""What holds for the chart's files by themselves: schema, README, versions."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

import paquebot_mta
from paquebot_operator.api.mailservice import MailServiceSpec
from paquebot_operator.api.validation import ApiValue

from .rendering import CHART, ROOT

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
ABOUT: dict[str, Any] = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
# Objects of Kubernetes itself, and what Helm gives to every chart: somebody else's schema.
OPEN = ("definitions.kubernetes", "properties.global")


def objects_in(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield path, schema
        for key, value in schema.items():
            yield from objects_in(value, f"{path}.{key}".lstrip("."))


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return SCHEMA["definitions"][name] if name else schema


def paths_in(values: Any, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield paths of values that the schema does not name."""
    found = resolved(schema)
    if not isinstance(values, dict) or "properties" not in found:
        return
    for key, value in values.items():
        if key not in found["properties"]:
            yield f"{path}.{key}"
        else:
            yield from paths_in(value, found["properties"][key], f"{path}.{key}")


def test_no_object_of_the_schema_takes_unknown_names() -> None:
    listed = dict(objects_in(SCHEMA))
    open_ones = {path for path, schema in listed.items() if schema.get("additionalProperties") is True}
    assert open_ones == set(OPEN)
    assert all("additionalProperties" in schema for schema in listed.values())


def test_every_value_is_in_the_schema_and_every_property_has_a_default() -> None:
    assert list(paths_in(VALUES, SCHEMA)) == []
    for name, schema in SCHEMA["properties"].items():
        if name != "global":
            assert name in VALUES
            properties = resolved(schema).get("properties", {})
            assert set(properties) == set(VALUES[name] if properties else ()), name


def test_the_default_service_takes_all_fields_of_the_api() -> None:
    def camel(name: str) -> str:
        head, *tail = name.split("_")
        return head + "".join(part.title() for part in tail)

    assert issubclass(MailServiceSpec, ApiValue)
    fields = {camel(name) for name in MailServiceSpec.__struct_fields__}
    assert set(SCHEMA["properties"]["defaultService"]["properties"]["spec"]["properties"]) == fields


@pytest.mark.parametrize("chart", ["paquebot"])
def test_the_readme_has_all_values(chart: str) -> None:
    argv = [sys.executable, str(ROOT / "tools" / "chart-readme"), "--check", str(ROOT / "charts" / chart)]
    found = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert found.returncode == 0, found.stderr


def test_the_chart_is_of_the_version_that_it_installs() -> None:
    crds = yaml.safe_load((ROOT / "charts" / "paquebot-crds" / "Chart.yaml").read_text(encoding="utf-8"))
    assert ABOUT["appVersion"] == paquebot_mta.__version__
    assert ABOUT["version"] == crds["version"]
    assert ABOUT["kubeVersion"] == crds["kubeVersion"] == ">=1.30.0-0"
    assert f"paquebot:{paquebot_mta.__version__}" in ABOUT["annotations"]["artifacthub.io/images"]


def test_the_chart_has_the_projects_license() -> None:
    assert (CHART / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_every_definition_is_announced() -> None:
    announced = {each["name"] for each in yaml.safe_load(ABOUT["annotations"]["artifacthub.io/crds"])}
    assert announced == {f"{path.stem}.paquebot.dev" for path in (CHART / "templates" / "crds").iterdir()}
