"""Which addresses mail may be sent to, and how address literals and host names with ports are spelled."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from msgspec import Struct

# Nothing that a public MX may name: this host, this network, multicast, reserved (RFC 6890). Networks of
# documentation lead nowhere, so they need no mention.
_PRIVATE: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.168.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "::/127", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip


class HostPort(Struct, frozen=True):
    """A host name or an IP address without brackets, and a port."""

    host: str
    port: int


def canonical_address(text: str) -> str | None:
    """Spell an IP address, with or without brackets and ``IPv6:``, in its short form; None if it is none."""
    bare = text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text
    bare = bare[5:] if bare[:5].lower() == "ipv6:" else bare
    try:
        return str(_unmapped(bare))
    except ValueError:
        return None


def is_private(address: str) -> bool:
    """Whether an address is one that mail from DNS must not reach (an IPv4 address inside IPv6 counts as itself)."""
    parsed = _unmapped(address)
    return any(parsed.version == network.version and parsed in network for network in _PRIVATE)


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own, whatever its interfaces."""
    return _unmapped(address).is_loopback


def is_ipv6(address: str) -> bool:
    """Whether an address is of IPv6."""
    return ":" in address


def parse_host_port(text: str) -> HostPort:
    """Read ``host:port`` or ``[address]:port``; the port is mandatory.

    Raises:
        ValueError: it is neither.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ValueError(f"not host:port: {text!r}")
    if host.startswith("["):
        host = canonical_address(host) or ""
    if not host or (":" in host and canonical_address(host) is None):
        raise ValueError(f"not host:port: {text!r}")
    return HostPort(host.lower().removesuffix("."), int(port))


def _unmapped(text: str) -> IPv4Address | IPv6Address:
    parsed = ip_address(text)
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed
