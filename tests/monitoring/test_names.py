"""Boards and alerts name nothing that doesn't exist: metrics, labels, label values."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from monitoring.__main__ import BOARDS
from monitoring.catalogue import find, known_metrics
from monitoring.promql import TARGET_LABELS, grouped_labels, legend_labels, uses
from monitoring.rules import alerts, groups

METRICS = known_metrics()


def expressions() -> Iterator[tuple[str, str, str]]:
    """Give where, the expression, and the texts that show its labels."""
    for board in BOARDS:
        for panel in board.panels():
            for query in panel.queries:
                yield f"{board.uid}: {panel.title}", board.expand(query.expression), query.legend
    for group in groups():
        for rule in group["rules"]:
            yield rule.get("alert") or rule["record"], rule["expr"], " ".join(rule.get("annotations", {}).values())


EXPRESSIONS = list(expressions())


def bad_values(name: str, compared: dict[str, tuple[str, ...]], labels: dict[str, tuple[str, ...]]) -> list[str]:
    return [
        f"{name}{{{label}={value}}}"
        for label, values in compared.items()
        for value in values
        if labels.get(label) and value not in labels[label]
    ]


@pytest.mark.parametrize(("where", "expression", "shown"), EXPRESSIONS, ids=[each[0] for each in EXPRESSIONS])
def test_metrics_labels_and_values_are_those_of_the_catalogue(where: str, expression: str, shown: str) -> None:
    own: set[str] = set()
    for use in uses(expression):
        known = find(use.name, METRICS)
        assert known is not None, f"{where}: no metric {use.name}"
        assert set(use.compared) <= known.labels.keys() | TARGET_LABELS, f"{where}: {use}"
        assert bad_values(use.name, use.compared, known.labels) == []
        own |= known.labels.keys()
    assert grouped_labels(expression) <= own | TARGET_LABELS
    assert legend_labels(shown) <= own | TARGET_LABELS
    if ":" not in where and (aggregated := grouped_labels(expression)) and "{{" in shown:
        assert legend_labels(shown) <= aggregated | {"resource_name"}, f"{where}: shows a label that was summed away"


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("rate(paquebot_smtp_attemps_total[5m])", "name"),
        ("paquebot_delivery_delay_seconds", "a histogram without suffix"),
        ("paquebot_ready_bucket", "a gauge with suffix"),
    ],
)
def test_a_metric_that_does_not_exist_is_found(expression: str, wrong: str) -> None:
    (use,) = uses(expression)
    assert find(use.name, METRICS) is None, wrong


def test_a_value_outside_its_set_is_found() -> None:
    (use,) = uses('paquebot_smtp_attempts_total{outcome=~"fault|falut",direction="in"}')
    known = find(use.name, METRICS)
    assert known is not None
    assert bad_values(use.name, use.compared, known.labels) == ["paquebot_smtp_attempts_total{outcome=falut}"]


def test_counters_are_only_looked_at_as_rates() -> None:
    for where, expression, _ in EXPRESSIONS:
        for use in uses(expression):
            known = find(use.name, METRICS)
            if known is not None and known.kind == "counter":
                before = expression[: expression.index(use.name)].rpartition("(")[0]
                assert before.endswith(("rate", "increase")), f"{where}: {use.name}"


def test_buckets_that_are_compared_exist() -> None:
    edges = {f"{edge!r}" for edge in (60.0, 300.0)}
    found = [use.compared["le"] for _, expression, _ in EXPRESSIONS for use in uses(expression) if "le" in use.compared]
    assert found
    assert {value for values in found for value in values} <= edges


def test_each_alert_says_how_grave_it_is_and_what_it_means() -> None:
    for alert in alerts():
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}
        assert {"summary", "description", "runbook_url"} == alert["annotations"].keys()
        assert alert["alert"].startswith("Paquebot")
