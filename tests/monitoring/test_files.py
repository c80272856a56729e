"""What is generated is current, what is linked exists, what is promised of boards holds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.__main__ import BOARDS, generated
from monitoring.grafana import dashboard_json
from monitoring.model import Dashboard
from monitoring.rules import RUNBOOKS, TESTS, alerts

SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
NAMES = [alert["alert"] for alert in alerts()]


@pytest.mark.parametrize(("path", "content"), list(generated()), ids=lambda value: getattr(value, "name", ""))
def test_the_chart_carries_what_the_source_says(path: Path, content: bytes) -> None:
    assert path.read_bytes() == content, "run `make monitoring-files`"


def test_each_alert_has_a_page_and_each_page_an_alert() -> None:
    assert len(NAMES) == len(set(NAMES))
    assert {path.stem for path in RUNBOOKS.glob("Paquebot*.md")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_what_to_do(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert name in (RUNBOOKS / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_has_a_test_in_which_it_fires(name: str) -> None:
    short = name.removeprefix("Paquebot")
    asked = [
        each
        for test in yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"]
        for each in test["promql_expr_test"]
        if re.search(rf"\b{name}\b", each["expr"]) or re.search(rf"Paquebot{short[:11]}\.\*", each["expr"])
    ]
    assert any(each["exp_samples"] for each in asked), "never seen firing"
    assert any(not each["exp_samples"] for each in asked), "never seen quiet"


def panels(board: Dashboard) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(dashboard_json(board))["panels"]
    return found


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_panels_have_ids_places_units_and_words_of_their_own(board: Dashboard) -> None:
    found = panels(board)
    assert len({panel["id"] for panel in found}) == len(found)
    for panel in found:
        if panel["type"] != "row":
            assert panel["title"]
            assert panel["description"].endswith(".")
            assert panel["fieldConfig"]["defaults"]["unit"]
            letters = [target["refId"] for target in panel["targets"]]
            assert letters == sorted(set(letters))
            assert letters


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_no_panel_lies_over_another(board: Dashboard) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(board):
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_each_selector_looks_at_the_chosen_targets_only(board: Dashboard) -> None:
    for panel in board.panels():
        for query in panel.queries:
            expanded = board.expand(query.expression)
            selectors = re.findall(r"paquebot_\w+(\{[^}]*\})?", expanded)
            assert all('job=~"$job"' in each and 'namespace=~"$namespace"' in each for each in selectors), expanded
            assert "$S" not in expanded.replace("$__rate_interval", "")


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_variables_offer_all_and_are_refreshed(board: Dashboard) -> None:
    variables = json.loads(dashboard_json(board))["templating"]["list"]
    assert [each["name"] for each in variables][:3] == ["datasource", "job", "namespace"]
    for each in variables[1:]:
        assert (each["allValue"], each["refresh"], each["multi"], each["includeAll"]) == (".+", 2, True, True)
