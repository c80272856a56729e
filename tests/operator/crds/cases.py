"""Bad and good objects, told in YAML as what is changed in a good one."""

import copy
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.operator.builders import API, Json

HERE = Path(__file__).parent
BASES: Json = yaml.safe_load((HERE / "bases.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Case:
    """An object; a bad one with the field (below spec) that is named and a part of what is said."""

    document: Json
    field: str = ""
    says: str = ""

    @property
    def path(self) -> str:
        """The field, from the object's root."""
        return f"spec.{self.field}".rstrip(".")


def bad_cases() -> list[Case]:
    return _read("bad_objects.yaml")


def good_cases() -> list[Case]:
    return _read("good_objects.yaml")


def title(case: Case) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "-", f"{case.document['kind']}-{case.field}-{case.says}")
    return words.strip("-")


def _read(name: str) -> list[Case]:
    rows = yaml.safe_load((HERE / name).read_text(encoding="utf-8"))
    return [
        Case(_document(kind, changes, number), *(str(part) for part in said))
        for number, (kind, changes, *said) in enumerate(rows)
    ]


def _document(kind: str, changes: Json, number: int) -> Json:
    spec = copy.deepcopy(BASES[kind])
    for path, value in changes.items():
        _set(spec, path.split("."), value)
    return {"apiVersion": API, "kind": kind, "metadata": {"name": f"case-{number}"}, "spec": spec}


def _set(inside: Any, path: list[str], value: object) -> None:
    for step in path[:-1]:
        inside = inside[int(step) if step.isdecimal() else step]
    last: Any = int(path[-1]) if path[-1].isdecimal() else path[-1]
    if value is None:
        inside.pop(last, None)
    else:
        inside[last] = value
