"""Names and addresses as SPF needs them."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

IpAddress = IPv4Address | IPv6Address

_LABELS: Final = re.compile(r"(?:[ -\-/-\[\]-~]{1,63}\.)*[ -\-/-\[\]-~]{1,63}")
_HOST: Final = re.compile(r"[A-Za-z0-9_.-]+")


def parse_client(text: str) -> IpAddress:
    """Read a client's address; an IPv4-mapped one is IPv4.

    Raises:
        ValueError: it is none.
    """
    address = ip_address(text.strip("[]").partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def can_be_asked(name: str) -> bool:
    """Whether DNS may be asked for an expanded name: labels of 1 to 63 characters, none of which escapes another."""
    return len(name) <= 253 and _LABELS.fullmatch(name) is not None


def can_have_policy(domain: str) -> bool:
    """Whether a check begins at all: a name of several labels, not an address literal (RFC 7208, 4.3)."""
    name = domain.removesuffix(".")
    return "." in name and can_be_asked(name) and name[0] != "["


def is_host(name: str) -> bool:
    """Whether a name from DNS may become part of another one."""
    return _HOST.fullmatch(name) is not None and can_be_asked(name)


def dotted(address: IpAddress) -> str:
    """Spell an address as ``%{i}`` does: IPv6 as nibbles (RFC 7208, 7.3)."""
    return str(address) if address.version == 4 else ".".join(address.exploded.replace(":", "").upper())


def same_network(text: str, address: IpAddress, length4: int, length6: int) -> bool:
    """Whether an address from DNS shares a prefix with the client's."""
    try:
        other = ip_address(text)
    except ValueError:
        return False
    if other.version != address.version:
        return False
    shift = other.max_prefixlen - (length4 if other.version == 4 else length6)
    return int(other) >> shift == int(address) >> shift


def below(name: str, domain: str) -> bool:
    """Whether a name is a domain or lies in it."""
    return name == domain or name.endswith("." + domain)
