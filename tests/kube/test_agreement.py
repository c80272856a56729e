"""The API server and the models agree about objects that nobody thought of: good ones, damaged at random places."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest

from paquebot_operator.api.decode import ObjectError, decode
from tests.operator.builders import Json
from tests.operator.crds.cases import good_cases

from .rest import Rest
from .test_crds import PLURALS, plane, rest

__all__ = ["plane", "rest"]

OBJECTS = 300
GOOD = [case.document for case in good_cases()]
ODD: tuple[Any, ...] = (
    None, "", "a", "A b", "a\nb", "a\x7f", "a\x85", "a\u2028", "ключ", "x" * 1025, "10.0.0.0/8", "1Gi", "unix:/run/x",
    0, 1, -1, 70_000, 10**10, True, False, [], {}, ["a"], [{}], {"name": "a"}, {"any": {}}, 0.5,
)  # fmt: skip
EXTRA = ("unknown", "name", "mode", "host", "port", "tableRef", "values", "regex", "discard", "relay", "reject", "size")


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container below a value with a key of it."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


def damaged(source: random.Random) -> Json:
    document = copy.deepcopy(source.choice(GOOD))
    other = source.choice([good for good in GOOD if good["kind"] == document["kind"]])
    part = source.choice(list(other["spec"]))
    document["spec"][part] = copy.deepcopy(other["spec"][part])
    for _ in range(source.choice((0, 1, 1, 2))):
        container, key = source.choice(list(places(document["spec"])))
        act = source.randrange(4)
        if act == 0:
            del container[key]
        elif act == 1 and isinstance(container, dict):
            container[source.choice(EXTRA)] = source.choice(ODD)
        elif act == 2 and isinstance(container, list):
            container.append(copy.deepcopy(container[key]))
        else:
            container[key] = source.choice(ODD)
        if not document["spec"]:
            break
    return document


def refusal(document: Json) -> str:
    try:
        decode(document)
    except ObjectError as error:
        return str(error) or "refused"
    return ""


@pytest.mark.parametrize("seed", range(2))
def test_both_say_the_same(rest: Rest, seed: int) -> None:
    source = random.Random(seed)
    verdicts = set()
    for _ in range(OBJECTS):
        document = damaged(source)
        ours = refusal(document)
        answer = rest.create(document, PLURALS[document["kind"]], "default")
        assert bool(ours) == (answer.code != 201), (document, ours, answer.message)
        verdicts.add(bool(ours))
    assert verdicts == {True, False}
