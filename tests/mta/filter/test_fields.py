"""Header fields that filters add, change and remove."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.filter.contract import FieldEdit
from paquebot_mta.filter.fields import edit_header, encode_field
from paquebot_mta.mail.header import scan_fields

HEADER = b"Subject: one\r\nX-A: 1\r\nTo: you\r\nx-a:  2\r\n\tfolded\r\nX-A: 3\r\n\r\n"


def test_one_occurrence_is_removed_and_nothing_else_is_touched() -> None:
    assert edit_header(HEADER, [FieldEdit("X-A", 2)]) == HEADER.replace(b"x-a:  2\r\n\tfolded\r\n", b"")


def test_edits_count_the_fields_as_they_came() -> None:
    edits = [FieldEdit("x-a", 1), FieldEdit("x-a", 3, "drei")]
    assert edit_header(HEADER, edits) == b"Subject: one\r\nTo: you\r\nx-a:  2\r\n\tfolded\r\nx-a: drei\r\n\r\n"


def test_all_occurrences_are_removed_or_become_one() -> None:
    assert edit_header(HEADER, [FieldEdit("X-A")]) == b"Subject: one\r\nTo: you\r\n\r\n"
    assert edit_header(HEADER, [FieldEdit("X-A", 0, "0")]) == b"Subject: one\r\nX-A: 0\r\nTo: you\r\n\r\n"


def test_a_field_that_is_missing_is_added_at_the_end() -> None:
    assert edit_header(b"A: b\r\n\r\n", [FieldEdit("C", 1, "d"), FieldEdit("E", 1)]) == b"A: b\r\nC: d\r\n\r\n"
    assert edit_header(b"\r\n", [FieldEdit("C", 1, "d")]) == b"C: d\r\n\r\n"


def test_values_are_folded_never_broken_out_of() -> None:
    assert encode_field("A", "b\n c\r\n\r\nEvil: x\r\x00") == b"A: b\r\n c\r\n\tEvil: x\r\n\t?\r\n"


@pytest.mark.parametrize("name", ["", "A B", "A:", "A\n", "\u00e9", "x" * 77])
def test_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        encode_field(name, "b")


@given(st.from_regex(r"[!-9;-~]{1,20}", fullmatch=True), st.text(max_size=200))
def test_a_value_is_one_field_whatever_it_is(name: str, value: str) -> None:
    line = encode_field(name, value)
    assert len(list(scan_fields(line))) == 1
    assert b"\n\r\n" not in line
    assert line.count(b"\n") == line.count(b"\r") == line.count(b"\r\n")


@given(
    st.lists(st.tuples(st.sampled_from(["Subject", "X-A", "No"]), st.integers(0, 4), st.none() | st.text(max_size=5)))
)
def test_the_rest_of_a_header_stays_in_its_order(edits: list[tuple[str, int, str | None]]) -> None:
    edited = edit_header(HEADER, [FieldEdit(*each) for each in edits])
    assert edited.endswith(b"\r\n\r\n")
    assert b"To: you\r\n" in edited


def test_many_edits_of_many_fields_take_no_time() -> None:
    header = b"X: y\r\n" * 10_000 + b"\r\n"
    began = time.process_time()
    assert edit_header(header, [FieldEdit("x", place) for place in range(1, 5_000)]).count(b"X") == 5_001
    assert time.process_time() - began < 2.0
