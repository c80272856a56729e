"""The models refuse what the API server refuses, and name the same field; what it takes they take."""

from collections.abc import Iterator
from typing import Any

import pytest

from paquebot_operator.api.decode import ObjectError, decode
from paquebot_operator.crds.definition import whole_schema
from paquebot_operator.crds.kinds import KINDS
from tests.operator.crds.cases import Case, bad_cases, good_cases, title

BAD, GOOD = bad_cases(), good_cases()


def test_there_are_enough_bad_objects() -> None:
    assert len(BAD) >= 100
    assert {case.document["kind"] for case in BAD} == {"MailService", "MailDomain", "Table", "MailFilter"}


def said(node: dict[str, Any]) -> Iterator[str]:
    """Messages of all rules in a schema."""
    yield from (rule["message"] for rule in node.get("x-kubernetes-validations", ()) if "oldSelf" not in rule["rule"])
    for below in (*node.get("properties", {}).values(), *(node[name] for name in ("items",) if name in node)):
        yield from said(below)


def test_every_rule_has_a_bad_object() -> None:
    messages = {message for kind in KINDS for message in said(whole_schema(kind))}
    tried = {message for message in messages for case in BAD if case.says and case.says in message}
    assert messages - tried == set()


@pytest.mark.parametrize("case", BAD, ids=title)
def test_a_bad_object_is_refused_and_its_field_named(case: Case) -> None:
    with pytest.raises(ObjectError) as caught:
        decode(case.document)
    named = f"{caught.value.field} {caught.value.message}"
    assert case.path.rpartition(".")[0] in named
    assert case.path.rpartition(".")[2] in named
    assert case.says in named


@pytest.mark.parametrize("case", GOOD, ids=title)
def test_a_good_object_is_taken(case: Case) -> None:
    assert decode(case.document).kind == case.document["kind"]
