"""Every way to write something like the end of data, up to six bytes of it: only CRLF.CRLF is one, cut as you like."""

import itertools
import re
from collections.abc import Iterator

import pytest

from paquebot_mta.mail.content import BdatReader, DataReader

BIG = 1 << 20
ALPHABET = (b"\r", b"\n", b".", b"x")
END = b"\r\n.\r\n"
BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
BEFORE, BEHIND = b"a: b\r\n\r\ntext", b"RSET\r\n.\r\nQUIT\r\n"


def sequences(length: int) -> Iterator[bytes]:
    """All of that length that have a dot in them."""
    return (b"".join(each) for each in itertools.product(ALPHABET, repeat=length) if b"." in each)


def cuts(stream: bytes, start: int, length: int) -> Iterator[list[bytes]]:
    """The stream whole, cut once at each place in and around the sequence, and cut at all of them."""
    places = range(start, start + length + 6)
    yield [stream]
    for place in places:
        yield [stream[:place], stream[place:]]
    yield [stream[:start], *(stream[place : place + 1] for place in places), stream[start + length + 6 :]]


def expected(stream: bytes) -> tuple[bytes | None, bytes]:
    """Say by the letter of RFC 5321, 4.1.1.4 what is content (None: it must be refused) and what follows."""
    end = (b"\r\n" + stream).index(END)
    content, rest = stream[:end], stream[end + 3 :]
    if BARE.search(content):
        return None, rest
    return re.sub(rb"(^|\r\n)\.", rb"\1", content), rest


def read_data(pieces: list[bytes]) -> tuple[bytes | None, bytes]:
    reader, content = DataReader(BIG), b""
    for number, piece in enumerate(pieces):
        got, rest = reader.feed(piece)
        content += got
        if rest is not None:
            return (None if reader.fault else content), rest + b"".join(pieces[number + 1 :])
    raise AssertionError("the end was not found")


@pytest.mark.parametrize("length", range(1, 7))
@pytest.mark.parametrize("before", [BEFORE, b""], ids=["within", "first"])
def test_data_ends_by_the_letter_and_what_is_not_clean_is_refused(length: int, before: bytes) -> None:
    for sequence in sequences(length):
        stream = before + sequence + BEHIND
        wanted = expected(stream)
        for pieces in cuts(stream, len(before), length):
            assert read_data(pieces) == wanted, (sequence, pieces)


@pytest.mark.parametrize("length", range(1, 7))
def test_what_bdat_carries_is_never_taken_for_an_end(length: int) -> None:
    for sequence in sequences(length):
        content = BEFORE + sequence + b"\r\n"
        for pieces in cuts(content, len(BEFORE), length):
            reader, got = BdatReader(BIG), b""
            for number, piece in enumerate(pieces):  # each piece is a chunk, as a client may cut it
                reader.expect(len(piece), last=number == len(pieces) - 1)
                part, rest = reader.feed(piece + b"NOOP\r\n")
                got += part
                assert rest == b"NOOP\r\n"
            assert bool(reader.fault) == bool(BARE.search(content)), (sequence, pieces)
            assert reader.fault or got == content
