"""Names under which DNS lists keep addresses (RFC 5782, 2.1, 2.4), and answers that mean something."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Final

from paquebot_mta.table.networks import parse_ip

LISTED: Final = IPv4Network("127.0.0.0/8")
_REFUSED: Final = IPv4Network("127.255.255.0/24")
_NEVER: Final = IPv4Address("127.0.0.1")


def client_of(text: str) -> IPv4Address | IPv6Address | None:
    """Read a client's address; None for ``local``. An IPv4-mapped one is IPv4."""
    try:
        return parse_ip(text)
    except ValueError:
        return None


def list_name(address: IPv4Address | IPv6Address, zone: str) -> str:
    """Give the name of an address in a zone: octets or nibbles in reverse order."""
    reverse, _, _ = address.reverse_pointer.rpartition(".arpa")
    return f"{reverse.rpartition('.')[0]}.{zone.strip('.')}"


def parse_codes(codes: Sequence[str]) -> tuple[IPv4Network, ...]:
    """Read the answers that count.

    Raises:
        ValueError: one is not an address or network of 127.0.0.0/8.
    """
    networks = tuple(IPv4Network(code, strict=False) for code in codes)
    for network in networks:
        if not network.subnet_of(LISTED):
            raise ValueError(f"code {network}: answers of DNS lists lie in 127.0.0.0/8")
    return networks


def listing_addresses(records: Sequence[str]) -> list[IPv4Address]:
    """Give the answers of a list; whatever lies elsewhere comes from a parked domain or a provider's search page."""
    found = []
    for record in records:
        try:
            address = IPv4Address(record)
        except ValueError:
            continue
        if address in LISTED:
            found.append(address)
    return found


def counts(address: IPv4Address, codes: Sequence[IPv4Network]) -> bool:
    """Whether an answer names the client: one of the codes; without codes any that is not kept for other meanings."""
    if codes:
        return any(address in network for network in codes)
    return address != _NEVER and address not in _REFUSED


def is_refusal(address: IPv4Address) -> bool:
    """Whether a list says that it does not answer us: large ones do so in 127.255.255.0/24, some by 127.0.0.1."""
    return address in _REFUSED or address == _NEVER
