"""Header scanning: positions in bytes, nothing made anew, junk and floods harmless."""

import email
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.mail.header import (
    HEADER_BYTES,
    count_fields,
    field_values,
    find_body,
    first_value,
    scan_fields,
    strip_fields,
    unfold,
)

VECTORS = Path(__file__).parent.parent.parent / "vectors" / "mime"
SAMPLES = sorted(VECTORS.glob("*/*.eml"))
CONTENT = b"Received: one\r\nSubject: a\r\n  b\r\nRECEIVED :two\r\nBcc: x\r\n\r\nReceived: body\r\n"
PIECES = st.lists(
    st.sampled_from(
        [b"A: b\r\n", b" fold\r\n", b"\r\n", b"\n", b"junk\r\n", b":\r\n", b"A", b"Bcc: x\n", b"\tx", b"\x80:"]
    )
)


def test_fields_are_positions() -> None:
    fields = list(scan_fields(CONTENT))
    assert [each.name for each in fields] == [b"Received", b"Subject", b"RECEIVED", b"Bcc"]
    assert fields[1].value == b" a\r\n  b"
    assert CONTENT[fields[1].start : fields[1].end] == b"Subject: a\r\n  b\r\n"


def test_names_are_found_in_any_case_and_in_the_header_only() -> None:
    assert count_fields(CONTENT, b"received") == 2
    assert field_values(CONTENT, b"Received") == (b"one", b"two")
    assert first_value(CONTENT, b"SUBJECT") == b"a  b"
    assert first_value(CONTENT, b"Date") is None


def test_a_field_is_left_out_and_all_else_stays() -> None:
    assert strip_fields(CONTENT, b"bcc") == CONTENT.replace(b"Bcc: x\r\n", b"")
    assert strip_fields(CONTENT, b"Subject") == CONTENT.replace(b"Subject: a\r\n  b\r\n", b"")
    assert strip_fields(CONTENT, b"Date") is CONTENT


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (b"A: b\r\n\r\nx", 8),
        (b"A: b\n\nx", 6),
        (b"\r\nx", 2),
        (b"\nx", 1),
        (b"A: b\r\n", None),
        (b"", None),
        (b"A\r\n \r\n", None),
    ],
)
def test_the_body_starts_behind_the_first_empty_line(content: bytes, body: int | None) -> None:
    assert find_body(content) == body


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_real_messages_have_the_fields_that_another_parser_finds(sample: Path) -> None:
    content = sample.read_bytes()
    message = email.message_from_bytes(content)
    names = [each.name.decode() for each in scan_fields(content) if each.name]
    assert names[: len(message.keys())] == message.keys()


@given(PIECES)
def test_fields_tile_the_header(pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    fields = list(scan_fields(content))
    assert b"".join(content[each.start : each.end] for each in fields) == content[: fields[-1].end if fields else 0]
    body = find_body(content)
    if body is not None and fields:
        assert content[fields[-1].end : body] in (b"\r\n", b"\n")


@given(PIECES)
def test_stripping_twice_changes_nothing(pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    once = strip_fields(content, b"Bcc")
    assert count_fields(once, b"Bcc") == 0
    assert strip_fields(once, b"Bcc") == once


@given(st.binary(max_size=300))
def test_any_bytes_are_taken(content: bytes) -> None:
    assert sum(each.end - each.start for each in scan_fields(content)) <= len(content)
    unfold(content)


@pytest.mark.parametrize("flood", [b"A: b\r\n", b"\r", b" \r\n", b":", b"a" * 998 + b"\r\n", b"\r\n ", b"a \t"])
def test_floods_take_linear_time_and_end_at_the_limit(flood: bytes) -> None:
    content = flood * (2 * HEADER_BYTES // len(flood))
    started = time.monotonic()
    assert all(each.end <= HEADER_BYTES for each in scan_fields(content))
    find_body(content)
    assert time.monotonic() - started < 2
