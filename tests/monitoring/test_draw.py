"""Pictures: values lie where they should, and nothing in them is taken for markup."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.draw import Series, draw_row, legend_of
from monitoring.model import Panel, Query, Unit, lines, stack, stat
from monitoring.scale import Scale, spell, ticks

SVG = "{http://www.w3.org/2000/svg}"


def drawn(panel: Panel, *series: Series) -> ET.Element:
    return ET.fromstring(draw_row("a row", [(panel, series)], 0.0, 10.0))  # noqa: S314 - our own text


def words(picture: ET.Element) -> list[str]:
    return [element.text or "" for element in picture.iter(f"{SVG}text")]


@given(st.floats(min_value=1e-6, max_value=1e12))
def test_marks_begin_at_zero_and_reach_the_highest_value(highest: float) -> None:
    marks = ticks(highest)
    assert marks[0] == 0
    assert marks[-1] >= highest * 0.999
    assert 2 <= len(marks) <= 12


def test_a_scale_turns_values_into_places() -> None:
    up = Scale(0.0, 10.0, 200.0, 100.0)
    assert [up.at(value) for value in (0.0, 5.0, 10.0)] == [200.0, 150.0, 100.0]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.271, "percentunit", "27.1 %"), (0.0, "s", "0 s"), (0.317, "s", "317 ms"), (7200.0, "s", "120 min"),
        (80.2, "d", "80 d"), (12.0, "ops", "12/s"), (25_000.0, "short", "25 k"), (3 * 1024.0**2, "bytes", "3 MiB"),
    ],
)  # fmt: skip
def test_values_are_spelled_with_their_unit(value: float, unit: Unit, text: str) -> None:
    assert spell(value, unit) == text


def test_a_number_is_shown_in_orange_beyond_its_threshold() -> None:
    panel = stat("Wait", "How long.", "x", "s", above=900)
    calm, late = (drawn(panel, Series("", ((0.0, value),))) for value in (10.0, 901.0))
    styles = [
        next(each.get("style", "") for each in picture.iter(f"{SVG}text") if each.get("class") == "n")
        for picture in (calm, late)
    ]
    assert styles[0] != styles[1]
    assert "no data" in words(drawn(panel))


def test_areas_lie_on_top_of_each_other() -> None:
    panel = stack("Both", "Two of them.", "x", "{{a}}", "short")
    one, two = Series("one", ((0.0, 30.0), (10.0, 30.0))), Series("two", ((0.0, 10.0), (10.0, 10.0)))
    assert "40" in words(drawn(panel, one, two)), "the axis reaches the sum"


def test_names_are_text_and_never_markup() -> None:
    series = Series("<script>&", ((0.0, 1.0), (10.0, 2.0)))
    assert "<script>&" in words(drawn(lines("a <b> panel", "Says.", ("x", "")), series))


def test_a_legend_is_filled_in_from_labels() -> None:
    assert legend_of("{{kind}} {{result}}", {"kind": "delay", "result": "sent"}) == "delay sent"


def test_a_row_without_data_is_drawn_all_the_same() -> None:
    panel = Panel(title="Empty", says="Nothing.", queries=(Query("x"),))
    assert "Empty" in words(drawn(panel))
