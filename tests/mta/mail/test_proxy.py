"""The PROXY header: read to its last byte, in any pieces, and refused when it is not one."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.mail.proxy import HEADER_BYTES, Ends, ProxyError, missing_bytes, parse_proxy

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = Ends(("192.0.2.1", 4711), ("198.51.100.2", 25))
V6 = Ends(("2001:db8::1", 4711), ("2001:db8::2", 25))


def binary(body: bytes, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


def of(ends: Ends, tail: bytes = b"") -> bytes:
    family, kind = (0x21, socket.AF_INET6) if ":" in ends.source[0] else (0x11, socket.AF_INET)
    packed = b"".join(socket.inet_pton(kind, end[0]) for end in (ends.source, ends.destination))
    return binary(packed + struct.pack("!HH", ends.source[1], ends.destination[1]) + tail, family=family)


GOOD = {
    b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 25\r\n": V4,
    b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 25\r\n": V6,
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN ffff:f...f:ffff 65535\r\n": None,
    of(V4): V4,
    of(V6): V6,
    of(V4, b"\x04\x00\x03abc"): V4,
    binary(b"", command=0x20): None,
    binary(b"anything", command=0x20, family=0x77): None,
    binary(b"", family=0x00): None,
    binary(b"/a" + bytes(214), family=0x31): None,
}


def read(stream: bytes) -> tuple[bytes, bytes]:
    """Read a header as a socket gives it: exactly what is asked for."""
    held = b""
    while missing := missing_bytes(held):
        assert len(held) + missing <= len(stream), "more was asked for than a header has"
        held = stream[: len(held) + missing]
    return held, stream[len(held) :]


@pytest.mark.parametrize(("header", "ends"), GOOD.items())
def test_a_header_is_read_to_its_last_byte(header: bytes, ends: Ends | None) -> None:
    held, rest = read(header + b"\x16\x03\x01ClientHello")
    assert (held, rest) == (header, b"\x16\x03\x01ClientHello")
    assert parse_proxy(held) == ends


@pytest.mark.parametrize("header", GOOD)
def test_short_reads_never_matter(header: bytes) -> None:
    held = b""
    while missing := missing_bytes(held):
        assert missing <= len(header) - len(held)
        held = header[: len(held) + 1]
    assert held == header


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 25\n\r\n",
        b"PROXY TCP4 192.0.2.256 198.51.100.2 4711 25\r\n",
        b"PROXY TCP4 192.0.2.01 198.51.100.2 4711 25\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 4711 25\r\n",
        b"PROXY TCP6 fe80::1%eth0 2001:db8::2 4711 25\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 65536 25\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 04711 25\r\n",
        b"PROXY TCP4  192.0.2.1 198.51.100.2 4711 25\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 25 \r\n",
        b"PROXY UNIX /a /b 1 2\r\n",
        b"PROXY UNKNOWN\x00\r\n",
        binary(bytes(11)),
        binary(bytes(35), family=0x21),
        binary(bytes(12), family=0x12),
        binary(bytes(12), command=0x22),
        binary(bytes(12), command=0x11),
    ],
)
def test_a_malformed_header_is_refused(header: bytes) -> None:
    with pytest.raises(ProxyError):
        parse_proxy(header)


@pytest.mark.parametrize(
    "stream",
    [
        b"EHLO client.example\r\n",
        b"\x16\x03\x01\x02\x00\x01" + bytes(10),
        b"proxy TCP4 192.0.2.1",
        b"PROXY TCP4 " + b"1" * 200,
        SIGNATURE + struct.pack("!BBH", 0x21, 0x11, HEADER_BYTES),
    ],
)
def test_what_is_no_header_is_refused_at_once_and_nothing_is_hoarded(stream: bytes) -> None:
    with pytest.raises(ProxyError):
        read(stream)


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda tail: SIGNATURE + b"\x21" + tail))
def test_any_bytes_end_in_ends_or_in_a_refusal(stream: bytes) -> None:
    held = b""
    try:
        while (missing := missing_bytes(held)) and len(held) < len(stream):
            assert missing > 0
            held = stream[: len(held) + missing]
        parse_proxy(held)
    except ProxyError:
        return
