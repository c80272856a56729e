"""The text form of tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_operator.compile.table_file import TableFileError, parse_table


def test_both_spellings_of_a_mapping_are_the_same() -> None:
    assert parse_table(b"# who\na: b c\nd\te\n\n").entries == {"a": "b c", "d": "e"}


def test_one_column_is_a_list() -> None:
    assert parse_table(b"192.0.2.1\n10.0.0.0/8\n").keys == ("192.0.2.1", "10.0.0.0/8")


def test_a_list_may_be_asked_for() -> None:
    assert parse_table(b"# @list\na b\nc d\n").keys == ("a b", "c d")


def test_brackets_hold_an_ipv6_key() -> None:
    assert parse_table(b"[2001:db8::1]: mail.example.test\n").entries == {"2001:db8::1": "mail.example.test"}


def test_an_ipv6_key_keeps_its_colons() -> None:
    assert parse_table(b"2001:db8::1 mail.example.test\n").entries == {"2001:db8::1": "mail.example.test"}


@pytest.mark.parametrize(
    "content", [b"a b\nc\n", b"a\nb c\n", b"a b\na c\n", b"\xff b", b"a b\x00c", b"[a b", b"a" * 2000, b"x\x1by z"]
)
def test_what_is_no_table_is_refused_without_its_content(content: bytes) -> None:
    with pytest.raises(TableFileError) as caught:
        parse_table(content)
    assert content.decode("latin-1") not in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        table = parse_table(content)
    except TableFileError:
        return
    assert not (table.keys and table.entries)
    assert all(text.isprintable() for text in (*table.keys, *table.entries.values()) if "\t" not in text)
