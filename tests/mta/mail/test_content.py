"""Content: CRLF.CRLF ends it and nothing else does, wherever the chunks are cut."""

import json
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.mail.content import LINE_BYTES, BdatReader, DataReader
from paquebot_mta.mail.stuffing import DotStuffer

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "smtp-smuggling" / "eod-sequences.json"
BIG = 1 << 30
PIECES = [b"\r", b"\n", b"\r\n", b".", b"..", b"abc", b"\r\n.\r\n", b"\r\n.", b"\0"]


def _sequences() -> dict[str, bytes]:
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    return {name: text.encode("latin-1") for name, text in vectors["must_not_end_data"].items()}


def _read(chunks: list[bytes], limit: int = BIG) -> tuple[bytes, bytes | None, str | None]:
    reader, content = DataReader(limit), b""
    for number, chunk in enumerate(chunks):
        piece, rest = reader.feed(chunk)
        content += piece
        if rest is not None:
            return content, rest + b"".join(chunks[number + 1 :]), reader.fault
    return content, None, reader.fault


def _cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


def test_the_content_ends_at_the_dot_and_the_rest_is_given_back() -> None:
    assert _read([b"a\r\nb\r\n.\r\nQUIT\r\n"]) == (b"a\r\nb\r\n", b"QUIT\r\n", None)


def test_a_dot_on_the_first_line_is_an_empty_content() -> None:
    assert _read([b".\r\n"]) == (b"", b"", None)


def test_stuffed_dots_are_removed_once() -> None:
    assert _read([b".a\r\n..\r\n...b\r\n.\r\n"]) == (b"a\r\n.\r\n..b\r\n", b"", None)


def test_the_vectors_are_all_there() -> None:
    assert len(_sequences()) == 12


@pytest.mark.parametrize(("name", "sequence"), _sequences().items())
def test_what_looks_like_the_end_never_is(name: str, sequence: bytes) -> None:
    content, rest, fault = _read([b"text" + sequence + b"MAIL FROM:<evil@example.test>\r\n.\r\n"])
    assert rest == b"", name
    assert fault in {"bare-cr", "bare-lf", "nul"}
    assert b"evil" not in content


@pytest.mark.parametrize(("name", "sequence"), _sequences().items())
def test_what_looks_like_the_end_is_refused_in_bdat(name: str, sequence: bytes) -> None:
    reader = BdatReader(BIG)
    data = b"text" + sequence + b"more\r\n"
    reader.expect(len(data), last=True)
    reader.feed(data)
    assert reader.fault in {"bare-cr", "bare-lf", "nul"}, name


def test_content_beyond_the_limit_is_drained_not_kept() -> None:
    reader = DataReader(1000)
    kept = sum(len(reader.feed(b"x" * 500)[0]) for _ in range(100))
    assert kept == 1000
    assert reader.feed(b"\r\n.\r\nNOOP\r\n") == (b"", b"NOOP\r\n")
    assert reader.fault == "too-big"


@pytest.mark.parametrize(("length", "fault"), [(998, None), (LINE_BYTES - 2, None), (LINE_BYTES - 1, "line-too-long")])
@pytest.mark.parametrize("chunk", [7_001, 65_536, BIG])
def test_lines_are_taken_up_to_the_limit(length: int, fault: str | None, chunk: int) -> None:
    stream = b"a\r\n" + b"x" * length + b"\r\nb\r\n.\r\n"
    chunks = [stream[start : start + chunk] for start in range(0, len(stream), chunk)]
    assert _read(chunks)[1:] == (b"", fault)


@given(st.lists(st.sampled_from(PIECES), max_size=25), st.lists(st.integers(0, 60), max_size=8))
def test_chunk_boundaries_never_matter_in_data(pieces: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pieces)
    whole, split = _read([stream]), _read(_cut(stream, cuts))
    assert (whole[1], whole[2] is None) == (split[1], split[2] is None)
    if whole[2] is None:
        assert whole[0] == split[0]


@given(st.lists(st.sampled_from([b"\r\n", b".", b"..", b"abc"]), max_size=25), st.lists(st.integers(0, 60), max_size=8))
def test_what_is_stuffed_comes_back_as_it_was(pieces: list[bytes], cuts: list[int]) -> None:
    content = b"".join(pieces) + b"\r\n"
    stuffer = DotStuffer()
    stream = stuffer.feed(content) + stuffer.end()
    assert _read(_cut(stream, cuts)) == (content, b"", None)


@given(st.lists(st.sampled_from(PIECES), max_size=25), st.lists(st.integers(0, 60), max_size=8))
def test_chunk_boundaries_never_matter_in_bdat(pieces: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pieces)
    assert _bdat([stream]) == _bdat(_cut(stream, cuts))


def _bdat(chunks: list[bytes]) -> tuple[bytes, bool]:
    reader, content = BdatReader(BIG), b""
    for number, chunk in enumerate(chunks):
        reader.expect(len(chunk), last=number == len(chunks) - 1)
        piece, rest = reader.feed(chunk)
        assert rest == b""
        content += piece
    return (content if reader.fault is None else b""), reader.fault is None


def test_a_chunk_is_counted_not_searched() -> None:
    reader = BdatReader(BIG)
    reader.expect(7, last=False)
    assert reader.feed(b"a\r\n") == (b"a\r\n", None)
    assert reader.feed(b".\r\nbQUIT\r\n") == (b".\r\nb", b"QUIT\r\n")
    reader.expect(0, last=True)
    assert reader.feed(b"NOOP\r\n") == (b"\r\n", b"NOOP\r\n")
    assert reader.fault is None


def test_a_content_is_read_in_far_less_time_than_it_takes_to_send() -> None:
    stream = (b"x" * 70 + b"\r\n") * 3640 + b".\r\n"
    started = time.process_time()
    for _ in range(10):
        assert _read([stream])[2] is None
    assert (time.process_time() - started) / 10 < 0.02
