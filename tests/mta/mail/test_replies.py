"""Replies of hostile servers: whole or an error, bounded, printable."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.mail.replies import (
    KEPT_CHARACTERS,
    KEPT_LINES,
    LINE_BYTES,
    MAX_LINES,
    MAX_WAITING_BYTES,
    ReplyError,
    ReplyReader,
)
from paquebot_mta.mail.reply import Reply


def read(*chunks: bytes) -> list[Reply]:
    reader = ReplyReader()
    replies = []
    for chunk in chunks:
        reader.feed(chunk)
        while (found := reader.next_reply()) is not None:
            replies.append(found)
    return replies


@pytest.mark.parametrize(
    ("wire", "reply"),
    [
        (b"250 ok\r\n", Reply(250, "ok")),
        (b"250\r\n", Reply(250, "")),
        (b"250 \r\n", Reply(250, "")),
        (b"250 2.1.5 ok\r\n", Reply(250, "ok", "2.1.5")),
        (b"250 2.0.0\r\n", Reply(250, "", "2.0.0")),
        (b"550 2.1.5 lies\r\n", Reply(550, "2.1.5 lies")),
        (b"550 5.1.1x\r\n", Reply(550, "5.1.1x")),
        (b"250-a\r\n250 b\r\n", Reply(250, "a\nb")),
        (b"550-5.1.1 a\r\n550-b\r\n550 5.1.1 c\r\n", Reply(550, "a\nb\nc", "5.1.1")),
        ("250 grüß\r\n".encode(), Reply(250, "grüß")),
        (b"250 \xff\x1b[2J\x07\t\r\n", Reply(250, "??[2J??")),
    ],
)
def test_replies_are_read(wire: bytes, reply: Reply) -> None:
    assert read(wire) == [reply]


@pytest.mark.parametrize(
    "wire",
    [
        b"250-a\r\n251 b\r\n",
        b"ok\r\n",
        b"\r\n",
        b"25 ok\r\n",
        b"2500 ok\r\n",
        b"250ok\r\n",
        b"250_ok\r\n",
        b"150 ok\r\n",
        b"600 ok\r\n",
        b"250 a\n",
        b"250 a\rb\r\n",
        b"250 a\0\r\n",
        b"250-a\r\n\r\n",
        b"250 " + b"x" * LINE_BYTES + b"\r\n",
        b"x" * (LINE_BYTES + 1),
    ],
)
def test_what_is_no_reply_is_an_error(wire: bytes) -> None:
    with pytest.raises(ReplyError):
        read(wire)


def test_a_reply_without_an_end_is_given_up() -> None:
    with pytest.raises(ReplyError):
        read(*[b"250-x\r\n"] * (MAX_LINES + 1))


def test_a_flood_that_nobody_asked_for_is_refused() -> None:
    reader = ReplyReader()
    reader.feed(b"250 ok\r\n" * (MAX_WAITING_BYTES // 8))
    with pytest.raises(ReplyError):
        reader.feed(b"250 ok\r\n")


def test_only_so_much_text_is_kept() -> None:
    (many,) = read(b"250-x\r\n" * 500 + b"250 x\r\n")
    assert many.text.count("\n") == KEPT_LINES - 1
    (long,) = read(b"250-" + b"x" * 4000 + b"\r\n", b"250-" + b"y" * 4000 + b"\r\n", b"250 " + b"z" * 4000 + b"\r\n")
    assert len(long.text) <= KEPT_CHARACTERS
    assert long.text.startswith("xxx")


def test_idle_says_that_all_was_given_out() -> None:
    reader = ReplyReader()
    seen = [reader.idle]
    for chunk in (b"250-a\r\n", b"250 b\r\n2", b"50 c\r\n"):
        reader.feed(chunk)
        reader.next_reply()
        seen.append(reader.idle)
    assert seen == [True, False, False, True]


WIRE = b"220 a.test ready\r\n250-a.test\r\n250-SIZE 10\r\n250 DSN\r\n550 5.1.1 no\r\n354\r\n"


@given(st.lists(st.integers(0, len(WIRE))))
def test_chunk_boundaries_never_matter(cuts: list[int]) -> None:
    points = [0, *sorted(cuts), len(WIRE)]
    chunks = [WIRE[start:end] for start, end in itertools.pairwise(points)]
    assert read(*chunks) == read(WIRE)


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"250-x\r\n", b"250 ", b"\r\n", b"5.1.1 "])))
def test_whatever_comes_is_printable_or_an_error(chunks: list[bytes]) -> None:
    try:
        replies = read(*chunks)
    except ReplyError:
        return
    for reply in replies:
        assert all(line.isprintable() for line in reply.text.split("\n"))
        assert 200 <= reply.code <= 599
        assert str(reply).isprintable()
