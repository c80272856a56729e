"""YAML from people and enemies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_operator.local.yaml_documents import MAX_BYTES, YamlError, read_documents

BOMB = b"a: &a [x, x]\n" + b"".join(
    f"{new}: &{new} [*{old}, *{old}]\n".encode() for old, new in ("ab", "bc", "cd", "de")
)


def value(text: str) -> object:
    (document,) = read_documents(text.encode())
    return document.value


@pytest.mark.parametrize(
    ("content", "line"),
    [
        pytest.param(BOMB, 2, id="alias-bomb"),
        pytest.param(b"a: 1\nb: 2\na: 3\n", 3, id="key-twice"),
        pytest.param(b"x:\n  a: 1\n  a: 3\n", 3, id="key-twice-below"),
        pytest.param(b"a: !!python/object/apply:os.system [id]\n", 1, id="python-object"),
        pytest.param(b"a: [" + b"[" * 5000, 1, id="deep"),
        pytest.param(b"a: b: c\n", 1, id="syntax"),
        pytest.param(b"1: a\n", 1, id="number-as-key"),
        pytest.param(b"[a, b]: a\n", 1, id="list-as-key"),
        pytest.param(b"a: \xff\n", 0, id="not-utf-8"),
        pytest.param(b"a: " + b"x" * MAX_BYTES, 0, id="large"),
        pytest.param(b"a: !!int x\n", 1, id="not-a-number"),
        pytest.param(b"a: \x00\n", 0, id="nul"),
    ],
)
def test_hostile_yaml_is_refused_with_its_line(content: bytes, line: int) -> None:
    with pytest.raises(YamlError) as caught:
        read_documents(content)
    assert caught.value.line == line


def test_types_are_those_of_json() -> None:
    text = "{a: 2026-01-01, b: 12:30:45, c: no, d: 010, e: true, f: 12, g: ~, h: 1.5, i: 0x10, j: 192.0.2.1}"
    assert value(text) == {
        "a": "2026-01-01", "b": "12:30:45", "c": "no", "d": "010", "e": True, "f": 12, "g": None, "h": 1.5,
        "i": "0x10", "j": "192.0.2.1",
    }  # fmt: skip


def test_an_empty_value_is_null_and_an_empty_document_is_none() -> None:
    assert value("a:\n") == {"a": None}
    assert read_documents(b"---\n---\n# only a comment\n") == []


def test_lines_are_found_by_path() -> None:
    _, document = read_documents(b"a: 1\n---\nspec:\n  listeners:\n    - name: x\n      port: 1\n    - name: y\n")
    assert document.line_of("spec.listeners[0].port") == 6
    assert document.line_of("spec.listeners[1].name") == 7
    assert document.line_of("spec.listeners[1].missing.below") == 7
    assert document.line_of("") == 3


@given(st.one_of(st.binary(max_size=300), st.text(alphabet="a:-[]{}&*!|>'\"#% \n\t?,1~", max_size=120).map(str.encode)))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        documents = read_documents(content)
    except YamlError:
        return
    assert all(document.value is not None for document in documents)
