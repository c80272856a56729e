"""The header that a proxy puts in front of a connection (PROXY protocol, versions 1 and 2). No I/O.

Promises that a header is read to its last byte and not one further, that nothing longer than the limit is waited for,
and that only plain IP addresses come out, mapped ones (``::ffff:192.0.2.1``) as those of IPv4. Does not know which
proxies are believed.
"""

import ipaddress
import re
import struct
from typing import Final

from msgspec import Struct

HEADER_BYTES: Final = 4_096
"""The longest header of version 2 that is taken: TLVs of a client's certificate have room, and are skipped."""

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_TEXT: Final = b"PROXY "
_TEXT_BYTES: Final = 107  # version 1, section 2.1: the longest line, CRLF included
_SHORTEST_TEXT: Final = len(b"PROXY UNKNOWN\r\n")
_BINARY_BYTES: Final = 16
_LINE: Final = re.compile(rb"PROXY TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) ([0-9]{1,5}) ([0-9]{1,5})\r\n")
_UNKNOWN: Final = re.compile(rb"PROXY UNKNOWN(?: [ -~]*+)?\r\n")
_LOCAL, _PROXY = 0x20, 0x21
_FAMILIES: Final = {0x11: 4, 0x21: 16}  # TCP over IPv4, IPv6: bytes of an address
_OWN_ENDS: Final = frozenset({0x00, 0x31})  # unspecified, and stream sockets of the proxy's own machine


class ProxyError(ValueError):
    """Not a header of the protocol; the connection is to be dropped."""


class Ends(Struct, frozen=True):
    """Both ends of the client's connection, as sockets name them: address and port."""

    source: tuple[str, int]
    destination: tuple[str, int]


def missing_bytes(held: bytes) -> int:
    """Say how many more bytes belong to the header for certain; 0 when it is complete.

    Raises:
        ProxyError: what is held begins no header, or one that is too long.
    """
    if held.startswith(_TEXT):
        return _missing_text(held)
    if not held.startswith(_SIGNATURE):
        if _TEXT.startswith(held[:6]) or _SIGNATURE.startswith(held):
            return max(len(_SIGNATURE) - len(held), 1)
        raise ProxyError("no header")
    if len(held) < _BINARY_BYTES:
        return _BINARY_BYTES - len(held)
    length = _BINARY_BYTES + int.from_bytes(held[14:16], "big")
    if length > HEADER_BYTES:
        raise ProxyError("header is too long")
    return length - len(held)


def _missing_text(held: bytes) -> int:
    """Version 1 doesn't say its length: two bytes are certain as long as no CR was seen."""
    if held.endswith(b"\r\n"):
        return 0
    if len(held) >= _TEXT_BYTES:
        raise ProxyError("line is too long")
    return 1 if held.endswith(b"\r") else max(_SHORTEST_TEXT - len(held), 2)


def parse_proxy(header: bytes) -> Ends | None:
    """Read a complete header; None if the connection's own ends are to be used (LOCAL, UNKNOWN).

    Raises:
        ProxyError: malformed.
    """
    return _parse_text(header) if header.startswith(_TEXT) else _parse_binary(header)


def _parse_text(line: bytes) -> Ends | None:
    if _UNKNOWN.fullmatch(line):
        return None
    found = _LINE.fullmatch(line)
    if found is None:
        raise ProxyError("malformed line")
    kind = ipaddress.IPv4Address if found[1] == b"4" else ipaddress.IPv6Address
    try:
        source, destination = (_spell(kind(found[place].decode())) for place in (2, 3))
    except ipaddress.AddressValueError as error:
        raise ProxyError("malformed address") from error
    return Ends((source, _port(found[4])), (destination, _port(found[5])))


def _port(digits: bytes) -> int:
    port = int(digits)
    if port > 65_535 or (digits[:1] == b"0" and len(digits) > 1):
        raise ProxyError("malformed port")
    return port


def _parse_binary(header: bytes) -> Ends | None:
    if not header.startswith(_SIGNATURE) or len(header) < _BINARY_BYTES:
        raise ProxyError("no header")
    command, family = header[12], header[13]
    if command == _LOCAL:
        return None
    if command != _PROXY:
        raise ProxyError("unknown version or command")
    if family in _OWN_ENDS:
        return None
    width = _FAMILIES.get(family)
    body = header[_BINARY_BYTES:]
    if width is None or len(body) < 2 * width + 4:
        raise ProxyError("not TCP, or addresses are missing")
    source_port, destination_port = struct.unpack_from("!HH", body, 2 * width)
    source, destination = (_spell(ipaddress.ip_address(each)) for each in (body[:width], body[width : 2 * width]))
    return Ends((source, source_port), (destination, destination_port))


def _spell(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Spell an address; one of IPv4 that was mapped into IPv6 is itself again (RFC 4291, 2.5.5.2)."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
