"""Addresses and networks: the longest prefix that holds an address, in as many steps as there are prefix lengths."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from paquebot_mta.config.check_keys import parse_network


class NetworkIndex:
    """Networks (``192.0.2.0/24``, ``2001:db8::/32``, single addresses), each with the entry that it came from.

    Raises:
        ValueError: an entry is not a network; the message names it.
    """

    def __init__(self, entries: tuple[str, ...]) -> None:
        self._by_length: dict[tuple[int, int], dict[int, str]] = {}
        for entry in entries:
            network = parse_network(entry)
            shift = network.max_prefixlen - network.prefixlen
            self._by_length.setdefault((network.version, shift), {})[int(network.network_address) >> shift] = entry
        self._lengths = {
            version: tuple(sorted((shift, held) for (v, shift), held in self._by_length.items() if v == version))
            for version in (4, 6)
        }

    def find(self, address: str) -> str | None:
        """Give the entry of the narrowest network that holds the address; None also for what is no address."""
        try:
            parsed = parse_ip(address)
        except ValueError:
            return None
        number = int(parsed)
        for shift, held in self._lengths[parsed.version]:
            if (entry := held.get(number >> shift)) is not None:
                return entry
        return None


@lru_cache(maxsize=4_096)
def parse_ip(text: str) -> IPv4Address | IPv6Address:
    """Read an address; brackets, an ``IPv6:`` tag and a scope are dropped, an IPv4-mapped address becomes IPv4.

    Raises:
        ValueError: it is none.
    """
    bare = text.strip("[]")
    bare = bare[5:] if bare[:5].lower() == "ipv6:" else bare
    parsed = ip_address(bare.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed
