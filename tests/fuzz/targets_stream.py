"""Readers of a stream: lines, DATA, BDAT, replies. However the stream is cut, the same comes out."""

from typing import Final

from paquebot_mta.mail.commands import AUTH_BYTES
from paquebot_mta.mail.content import BdatReader, DataReader
from paquebot_mta.mail.lines import LineBuffer, LineError
from paquebot_mta.mail.replies import KEPT_CHARACTERS, KEPT_LINES, MAX_WAITING_BYTES, ReplyError, ReplyReader
from paquebot_mta.mail.reply import Reply
from paquebot_mta.mail.stuffing import DotStuffer, LfLines
from tests.fuzz.material import Material, cut, has_bare_line_end, with_runs

Fed = tuple[bytes, bytes | None]
"""Content, and the bytes behind its end (None before the end)."""

_LINES_BYTES: Final = 16_384
_LIMITS: Final = (1, 16, 512, 1 << 30)


def fuzz_lines(data: bytes) -> None:
    """Lines are whole, clean and within the limit; faults are told in the same order."""
    source = Material(data)
    limit = source.byte() or AUTH_BYTES
    sizes, stream = source.sizes(), with_runs(source.rest())[:_LINES_BYTES]
    assert _lines(stream, sizes, limit) == _lines(stream, b"", limit)


def _lines(stream: bytes, sizes: bytes, limit: int) -> list[bytes | str]:
    buffer, found = LineBuffer(), list[bytes | str]()
    for chunk in cut(stream, sizes):
        buffer.feed(chunk)
        while (line := _next(buffer, limit)) is not None:
            found.append(line)
        assert len(buffer) <= limit
    for each in found:
        assert isinstance(each, str) or (len(each) + 2 <= limit and not {*each} & {0, 10, 13})
    return found


def _next(buffer: LineBuffer, limit: int) -> bytes | str | None:
    try:
        return buffer.next_line(limit)
    except LineError as error:
        return error.fault


def fuzz_data(data: bytes) -> None:
    """DATA ends at CRLF.CRLF only; what is taken is clean, and comes through a client unchanged."""
    source = Material(data)
    limit, sizes, others = _LIMITS[source.byte() % len(_LIMITS)], source.sizes(), source.sizes()
    stream = with_runs(source.rest())
    content, rest, fault = _read_data(stream, sizes, limit)
    whole, whole_rest, whole_fault = _read_data(stream, b"", limit)
    end = (b"\r\n" + stream).find(b"\r\n.\r\n")
    assert rest == whole_rest == (stream[end + 3 :] if end >= 0 else None)
    assert (fault is None) is (whole_fault is None)
    if fault is None:
        assert content == whole
        _check_clean(content, limit)
        if rest is not None:
            assert content == (b"\r\n" + stream)[: end + 2].replace(b"\r\n.", b"\r\n")[2:]
            _check_sent(content, sizes, others)


def _read_data(stream: bytes, sizes: bytes, limit: int) -> tuple[bytes, bytes | None, str | None]:
    reader, content, position = DataReader(limit), b"", 0
    for chunk in cut(stream, sizes):
        piece, rest = reader.feed(chunk)
        content, position = content + piece, position + len(chunk)
        if rest is not None:
            assert chunk.endswith(rest)
            return content, rest + stream[position:], reader.fault
    return content, None, reader.fault


def _check_clean(content: bytes, limit: int) -> None:
    assert not has_bare_line_end(content)
    assert b"\0" not in content
    assert len(content) <= limit


def _check_sent(content: bytes, sizes: bytes, others: bytes) -> None:
    """What a client makes of it, a server reads as it was; and files get the same lines."""
    stuffer, lines = DotStuffer(), LfLines()
    wire = b"".join(stuffer.feed(chunk) for chunk in cut(content, others)) + stuffer.end()
    assert _read_data(wire + b"QUIT\r\n", sizes, 1 << 30) == (content, b"QUIT\r\n", None)
    stored = b"".join(lines.feed(chunk) for chunk in cut(content, sizes)) + lines.end()
    assert stored == content.replace(b"\r\n", b"\n")


def fuzz_bdat(data: bytes) -> None:
    """Chunks are counted, never searched; what is taken is all of them, clean, its last line ended."""
    source = Material(data)
    limit, sizes, announced = _LIMITS[source.byte() % len(_LIMITS)], source.sizes(), list[int]()
    for _ in range(source.byte() % 4 + 1):
        announced.append(source.byte())
    stream = with_runs(source.rest())
    content, rest, fault = _read_bdat(stream, sizes, announced, limit)
    whole, whole_rest, whole_fault = _read_bdat(stream, b"", announced, limit)
    assert rest == whole_rest
    assert (fault is None) is (whole_fault is None)
    sent = stream[: sum(announced)]
    if fault is None and rest is not None:
        assert content == whole == (sent if not sent or sent.endswith(b"\n") else sent + b"\r\n")
        _check_clean(content, limit)
        _check_sent(content, sizes, sizes)
    assert fault is not None or rest is None or not has_bare_line_end(sent)


def _read_bdat(stream: bytes, sizes: bytes, announced: list[int], limit: int) -> tuple[bytes, bytes | None, str | None]:
    reader, content, left = BdatReader(limit), b"", stream
    for number, size in enumerate(announced, 1):
        reader.expect(size, last=number == len(announced))
        piece, rest = _feed_chunk(reader, left, sizes)
        content += piece
        if rest is None:
            return content, None, reader.fault
        left = rest
    return content, left, reader.fault


def _feed_chunk(reader: BdatReader, stream: bytes, sizes: bytes) -> Fed:
    """Feed until the chunk is complete; one of no bytes needs none."""
    content, rest = reader.feed(b"") if not reader.missing else (b"", None)
    position = 0
    for chunk in cut(stream, sizes) if rest is None else ():
        piece, rest = reader.feed(chunk)
        content, position = content + piece, position + len(chunk)
        if rest is not None:
            return content, rest + stream[position:]
    return content, rest if rest is None else stream


def fuzz_replies(data: bytes) -> None:
    """A reply is whole, bounded and printable, or the end of the conversation."""
    source = Material(data)
    sizes, stream = source.sizes(), with_runs(source.rest())
    replies, error = _replies(stream, sizes)
    whole, whole_error = _replies(stream, b"")
    assert replies == whole or len(stream) > MAX_WAITING_BYTES
    assert error == whole_error or len(stream) > MAX_WAITING_BYTES
    for each in replies:
        _check_reply(each)


def _replies(stream: bytes, sizes: bytes) -> tuple[list[Reply], str]:
    reader, found = ReplyReader(), list[Reply]()
    try:
        for chunk in cut(stream, sizes):
            reader.feed(chunk)
            while (reply := reader.next_reply()) is not None:
                found.append(reply)
    except ReplyError as error:
        return found, str(error)
    return found, ""


def _check_reply(reply: Reply) -> None:
    assert 200 <= reply.code < 600
    assert reply.text.replace("\n", "").isprintable()
    assert len(reply.text) <= KEPT_CHARACTERS + KEPT_LINES
    assert str(reply).isprintable()
    if len(reply.text) < 1_000 and reply.text.count("\n") < KEPT_LINES - 1:
        assert _replies(reply.encode(), b"") == ([reply], "")
