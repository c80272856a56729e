"""Dot stuffing and line ends: reversible, whatever the chunks; bare line ends never go out."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.mail.stuffing import BareLineEndError, DotStuffer, LfLines

LINES = st.lists(st.sampled_from([b"", b".", b"..", b".x", b"x", b"x.", b"x" * 50]))


def encode(encoder: DotStuffer | LfLines, chunks: list[bytes]) -> bytes:
    return b"".join(encoder.feed(chunk) for chunk in chunks) + encoder.end()


def cut(content: bytes, cuts: list[int]) -> list[bytes]:
    points = [0, *sorted(point % (len(content) + 1) for point in cuts), len(content)]
    return [content[start:end] for start, end in itertools.pairwise(points)]


def unstuff(wire: bytes) -> bytes:
    lines = wire.split(b"\r\n")
    assert lines[-2:] == [b".", b""]
    assert b"." not in lines[:-2]
    return b"".join(line.removeprefix(b".") + b"\r\n" for line in lines[:-2])


@given(LINES, st.lists(st.integers(0, 500)))
def test_stuffing_can_be_undone_and_chunks_never_matter(lines: list[bytes], cuts: list[int]) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    assert unstuff(encode(DotStuffer(), cut(content, cuts))) == content


@given(LINES, st.lists(st.integers(0, 500)))
def test_lines_get_lf_and_chunks_never_matter(lines: list[bytes], cuts: list[int]) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    assert encode(LfLines(), cut(content, cuts)) == content.replace(b"\r\n", b"\n")


@pytest.mark.parametrize(
    ("chunks", "wire"),
    [
        ([], b".\r\n"),
        ([b""], b".\r\n"),
        ([b"a"], b"a\r\n.\r\n"),
        ([b"."], b"..\r\n.\r\n"),
        ([b"a\r", b"\n", b".", b"b\r\n"], b"a\r\n..b\r\n.\r\n"),
        ([b"\r\n.\r\n"], b"\r\n..\r\n.\r\n"),
    ],
)
def test_the_end_is_on_a_line_of_its_own(chunks: list[bytes], wire: bytes) -> None:
    assert encode(DotStuffer(), chunks) == wire


@pytest.mark.parametrize("encoder", [DotStuffer, LfLines])
@pytest.mark.parametrize(
    "chunks",
    [
        [b"\n"],
        [b"\r"],
        [b"a\n.\n"],
        [b"a\r.\r"],
        [b"a\r", b"b"],
        [b"a", b"\nb"],
        [b"\r\r\n"],
        [b"\r\n\n"],
        [b"\n\r"],
        [b"a\n\rb"],
    ],
)
def test_bare_line_ends_are_an_error(encoder: type[DotStuffer | LfLines], chunks: list[bytes]) -> None:
    with pytest.raises(BareLineEndError):
        encode(encoder(), chunks)


@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"x", b"\r\n"]), max_size=12), st.lists(st.integers(0, 30)))
def test_no_wire_ever_ends_early(pieces: list[bytes], cuts: list[int]) -> None:
    content = b"".join(pieces)
    try:
        wire = encode(DotStuffer(), cut(content, cuts))
    except BareLineEndError:
        assert b"\r" in content.replace(b"\r\n", b"") or b"\n" in content.replace(b"\r\n", b"")
        return
    assert (b"\r\n" + wire).index(b"\r\n.\r\n") == len(wire) - 3
