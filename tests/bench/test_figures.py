from __future__ import annotations

import pytest

from bench.figures import figure, ratio, summarise
from bench.plan import Run


def _run(server: str, seconds: float, scenario: str = "accept_new") -> Run:
    return Run(
        scenario=scenario,
        server=server,
        messages=1_000,
        seconds=seconds,
        user_seconds=0.3,
        system_seconds=0.1,
        pss_bytes=2**20,
        foreign_share=0.02,
    )


def test_a_figure_is_the_median_with_its_extremes() -> None:
    found = figure([30.0, 10.0, 20.0])
    assert (found.median, found.lowest, found.highest, found.spread_percent) == (20.0, 10.0, 30.0, 100.0)


def test_no_runs_are_no_figure() -> None:
    with pytest.raises(ValueError, match="no runs"):
        figure([])


def test_runs_are_summed_up_by_scenario_and_server() -> None:
    runs = [_run("a", 1.0), _run("b", 2.0), _run("a", 4.0), _run("a", 2.0), _run("a", 1.0, "end_to_end")]
    found = summarise(runs)
    assert [(each.scenario, each.server, each.runs) for each in found] == [
        ("accept_new", "a", 3),
        ("accept_new", "b", 1),
        ("end_to_end", "a", 1),
    ]
    assert found[0].messages_per_second.median == 500.0
    assert found[0].cpu_microseconds_per_message.median == pytest.approx(400.0)
    assert found[0].system_share == pytest.approx(0.25)


def test_a_ratio_divides_medians_of_one_scenario() -> None:
    found = summarise([_run("a", 1.0), _run("b", 2.0), _run("b", 4.0), _run("b", 4.0), _run("b", 9.0, "end_to_end")])
    assert ratio(found, "accept_new", "a", "b") == pytest.approx(4.0)


def test_a_scenario_that_one_server_missed_has_no_ratio() -> None:
    found = summarise([_run("a", 1.0)])
    assert ratio(found, "accept_new", "a", "b") is None
    assert ratio(found, "end_to_end", "a", "b") is None
