"""Lines: CRLF only, bounded, whatever the chunks."""

from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.mail.lines import LineBuffer, LineError

LIMIT = 20


def _drain(buffer: LineBuffer, limit: int = LIMIT) -> list[bytes | str]:
    found: list[bytes | str] = []
    while True:
        try:
            line = buffer.next_line(limit)
        except LineError as error:
            found.append(error.fault)
            continue
        if line is None:
            return found
        found.append(line)


def _lines(data: bytes) -> list[bytes | str]:
    buffer = LineBuffer()
    buffer.feed(data)
    return _drain(buffer)


def test_lines_end_at_crlf_only() -> None:
    assert _lines(b"NOOP\r\nQUIT\r\nRS") == [b"NOOP", b"QUIT"]


def test_a_bare_lf_is_a_fault_at_once() -> None:
    assert _lines(b"NOOP\n") == ["bare-lf"]
    assert _lines(b"\nNOOP\r\n") == ["bare-lf", b"NOOP"]


def test_a_bare_cr_is_a_fault() -> None:
    assert _lines(b"a\rb\r\nc\r\n") == ["bare-cr", b"c"]
    assert _lines(b"a\r\r\n") == ["bare-cr"]


def test_a_nul_is_a_fault() -> None:
    assert _lines(b"a\0b\r\nc\r\n") == ["nul", b"c"]


def test_the_limit_counts_the_crlf() -> None:
    assert _lines(b"x" * (LIMIT - 2) + b"\r\n") == [b"x" * (LIMIT - 2)]
    assert _lines(b"x" * (LIMIT - 1) + b"\r\n") == ["too-long"]


def test_a_line_without_end_is_never_kept() -> None:
    buffer = LineBuffer()
    faults = []
    for _ in range(1000):
        buffer.feed(b"x" * 64)
        faults += _drain(buffer)
        assert len(buffer) <= LIMIT
    buffer.feed(b"\r\nNOOP\r\n")
    assert (faults, _drain(buffer)) == (["too-long"], [b"NOOP"])


def test_what_is_left_can_be_taken_as_bytes() -> None:
    buffer = LineBuffer()
    buffer.feed(b"BDAT 3\r\nabc")
    assert buffer.next_line(LIMIT) == b"BDAT 3"
    assert buffer.take_all() == b"abc"
    assert len(buffer) == 0


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"bb" * 6, b"\0"]), max_size=30), st.data())
def test_chunk_boundaries_never_matter(pieces: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(pieces)
    whole = _lines(stream)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    buffer, found = LineBuffer(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        buffer.feed(stream[start:end])
        found += _drain(buffer)
    assert found == whole
