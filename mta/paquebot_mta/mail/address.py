"""Mail addresses: one strict parser of RFC 5321 (4.1.2, 4.1.3) and RFC 6531 for server, client, tables and manifests.

Promises that what it gives out holds no control character, has been checked for length, and that two spellings of one
address (quoted or not, U-label or A-label, any case of the domain) are equal. Knows nothing of who uses it.
"""

import ipaddress
import re
from typing import Final

import idna
from msgspec import Struct

LOCAL_PART_OCTETS: Final = 64  # RFC 5321, 4.5.3.1.1
DOMAIN_OCTETS: Final = 253  # RFC 1035, 2.3.4, as text without the root's dot; RFC 5321, 4.5.3.1.2 says 255
ADDRESS_OCTETS: Final = 254  # RFC 5321, 4.5.3.1.3: a path of 256 with its two brackets

_ATEXT: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PLAIN: Final = re.compile(rf"({_ATEXT}+(?:\.{_ATEXT}+)*)@({_LABEL}(?:\.{_LABEL})*)")
_DOT_STRING: Final = re.compile(r"[^\s\"(),.:;<>@\[\\\]]+(?:\.[^\s\"(),.:;<>@\[\\\]]+)*")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\[ -~])+"')
_ASCII_LABEL: Final = re.compile(_LABEL)
_ASCII_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


class AddressError(ValueError):
    """The text is not an address; the message says why and may be shown to whoever sent it."""


class Address(Struct, frozen=True):
    """A mailbox.

    Attributes:
        local_part: without quotes, case kept.
        domain: lower case, A-labels; address literals as ``[192.0.2.1]`` or ``[IPv6:2001:db8::1]``.
    """

    local_part: str
    domain: str

    def __str__(self) -> str:
        """The canonical spelling, quoted only if it must be."""
        if _DOT_STRING.fullmatch(self.local_part):
            return f"{self.local_part}@{self.domain}"
        escaped = self.local_part.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"@{self.domain}'

    @property
    def key(self) -> str:
        """The spelling folded to lower case, for look-ups; never for sending."""
        return str(self).lower()

    @property
    def ascii(self) -> bool:
        """Whether a peer without SMTPUTF8 can be told this address (RFC 6531, 3.2)."""
        return self.local_part.isascii()


def parse_address(text: str) -> Address:
    """Read ``local-part@domain`` without brackets.

    Raises:
        AddressError: not an address.
    """
    plain = _PLAIN.fullmatch(text)
    if plain is not None and len(text) <= ADDRESS_OCTETS:
        local_part, domain = plain.groups()
        domain = domain.lower()
        if len(local_part) <= LOCAL_PART_OCTETS and "xn--" not in domain:
            return Address(local_part, domain)
    return _parse_slowly(text)


def parse_path(text: str, *, postmaster_domain: str = "") -> Address | None:
    """Read ``<address>``; None is ``<>``, the null reverse-path.

    Source routes (RFC 5321, appendix C) are refused: nobody sends them but those who look for an open relay.

    Args:
        text: with its brackets.
        postmaster_domain: where ``<Postmaster>`` lives (RFC 5321, 4.5.1); empty refuses it.

    Raises:
        AddressError: not a path.
    """
    if len(text) < 2 or text[0] != "<" or text[-1] != ">":
        raise AddressError("address must stand in angle brackets")
    inner = text[1:-1]
    if not inner:
        return None
    if inner[0] == "@":
        raise AddressError("source routes are not accepted")
    if postmaster_domain and inner.lower() == "postmaster":
        return Address(inner, postmaster_domain)
    return parse_address(inner)


def parse_domain(text: str) -> str:
    """Read a domain name or an address literal and give its canonical spelling.

    Raises:
        AddressError: neither.
    """
    if text[:1] == "[":
        return _parse_literal(text)
    if _ASCII_DOMAIN.fullmatch(text) and len(text) <= DOMAIN_OCTETS and "xn--" not in text.lower():
        return text.lower()
    if len(text) > DOMAIN_OCTETS or not text:
        raise AddressError("domain is empty or too long")
    domain = ".".join(_parse_label(label) for label in text.split("."))
    if len(domain) > DOMAIN_OCTETS:
        raise AddressError("domain is too long")
    return domain


def _parse_slowly(text: str) -> Address:
    if len(text) > ADDRESS_OCTETS or len(text.encode("utf-8", "replace")) > ADDRESS_OCTETS:
        raise AddressError("address is too long")
    if not text.isprintable():
        raise AddressError("address holds a control character")
    local_part, at, domain = text.rpartition("@")
    if not at or not local_part:
        raise AddressError("address has no local-part or no domain")
    if len(local_part.encode()) > LOCAL_PART_OCTETS:
        raise AddressError("local-part is too long")
    address = Address(_parse_local_part(local_part), parse_domain(domain))
    if len(str(address).encode()) > ADDRESS_OCTETS:
        raise AddressError("address is too long")
    return address


def _parse_local_part(text: str) -> str:
    """Take a Dot-string or a Quoted-string; the empty one is refused: ``@domain`` is the key of a catch-all."""
    if text[0] != '"':
        if not _DOT_STRING.fullmatch(text):
            raise AddressError("local-part holds a character that must be quoted, or misplaced dots")
        return text
    if not _QUOTED.fullmatch(text):
        raise AddressError("quoted local-part is malformed")
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _parse_label(label: str) -> str:
    """Check one label and give its A-label, or itself if it is ASCII (RFC 5890, 2.3.2.1)."""
    if label.isascii() and label[:4].lower() != "xn--":
        if not _ASCII_LABEL.fullmatch(label):
            raise AddressError("domain has a malformed label")
        return label.lower()
    if len(label) > 63:
        raise AddressError("domain has a label that is too long")
    try:
        return idna.alabel(idna.ulabel(label.lower())).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise AddressError("domain has a label that is not valid in IDNA") from error


def _parse_literal(text: str) -> str:
    """Take an IPv4 or IPv6 address literal (RFC 5321, 4.1.3); other kinds are not defined."""
    inner = text[1:-1]
    try:
        if text[-1] != "]" or "%" in inner:
            raise AddressError("address literal is malformed")
        if inner[:5].lower() == "ipv6:":
            return f"[IPv6:{ipaddress.IPv6Address(inner[5:])}]"
        return f"[{ipaddress.IPv4Address(inner)}]"
    except ipaddress.AddressValueError as error:
        raise AddressError("address literal is malformed") from error
