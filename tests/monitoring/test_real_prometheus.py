"""Every panel and rule against a Prometheus that scraped a real instance with mail of every kind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from monitoring.model import Panel
from monitoring.overview import OVERVIEW
from monitoring.stage import Stage, running_stage
from tests.support.processes import peer_directory
from tests.support.requirements import needs_programs

pytestmark = [pytest.mark.integration, needs_programs("prometheus", "swaks")]

EXERCISE_SECONDS = 8.0
MOST_SAMPLES = 4_000
"""Of one pod's scrape."""
MOVING = {
    "Attempts by outcome", "Refusals by reason", "Envelopes by state", "In and out", "Attempts by result",
    "Failures by reason", "Notifications", "Log lines", "TLS and passwords", "Syncs and possible duplicates",
    "Decisions by filter and phase", "Questions answered", "Answer time", "No usable answer",
    "Tried beside what is in force",
}  # fmt: skip
"""Panels in which something must have happened, beyond zeros."""


@dataclass(frozen=True)
class Seen:
    """The stage after its mail, and when it was."""

    stage: Stage
    start: float
    end: float


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    with peer_directory() as directory, running_stage(directory) as stage:
        start = time.time()
        stage.exercise(EXERCISE_SECONDS)
        time.sleep(2.0)
        yield Seen(stage, start, time.time())


@pytest.mark.parametrize("panel", OVERVIEW.panels(), ids=lambda panel: panel.title)
def test_each_query_of_each_panel_has_data(seen: Seen, panel: Panel) -> None:
    values = []
    for query in panel.queries:
        lines = seen.stage.lines(OVERVIEW, query, seen.start, seen.end)
        assert lines, query.expression
        values += [value for line in lines for _, value in line.points]
    if panel.title in MOVING:
        assert any(value > 0 for value in values), "nothing happened here"


def test_each_rule_is_evaluated_without_a_fault(seen: Seen) -> None:
    groups = seen.stage.prometheus.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 30
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []


def test_no_alert_fires_while_all_is_well(seen: Seen) -> None:
    firing = [each for each in seen.stage.prometheus.get("alerts")["alerts"] if each["state"] == "firing"]
    assert firing == []


def test_a_pod_has_a_bounded_number_of_series(seen: Seen) -> None:
    (line,) = seen.stage.prometheus.lines("scrape_samples_scraped", seen.end - 1, seen.end)
    assert line.points[-1][1] < MOST_SAMPLES
