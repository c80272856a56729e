"""How often clients do things: counts in sliding windows, bounded in memory, for limits that are off when 0."""

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal

Kind = Literal["session", "message", "recipient", "auth", "auth-failure", "handshake", "user-message", "user-recipient"]

MINUTE: Final = 60.0
HOUR: Final = 3_600.0
_KEYS: Final = 65_536
_CLIENT_BITS: Final = 64  # RFC 6177: one site has at least that, so single addresses say nothing
_NETWORKS: Final = 4_096
"""Remembered networks: a client that comes is counted in and out, and often comes again."""


class RateCounter:
    """Counts by kind and key.

    A window slides: what the last full one held counts by the part of it that is still within reach.
    """

    def __init__(self, clock: Callable[[], float], keys: int = _KEYS) -> None:
        """Take a monotonic clock in seconds; beyond ``keys`` the oldest counts are forgotten."""
        self._clock = clock
        self._keys = keys
        self._counts: dict[tuple[Kind, str], tuple[int, int, int]] = {}

    def take(self, kind: Kind, key: str, limit: int, window_seconds: float = MINUTE, amount: int = 1) -> bool:
        """Count, if that stays within the limit; False if it would not. A limit of 0 allows all and counts nothing."""
        if not limit:
            return True
        if self._estimate(kind, key, window_seconds) + amount > limit:
            return False
        self.add(kind, key, window_seconds, amount)
        return True

    def reached(self, kind: Kind, key: str, limit: int, window_seconds: float = MINUTE) -> bool:
        """Whether nothing more is allowed."""
        return bool(limit) and self._estimate(kind, key, window_seconds) + 1 > limit

    def add(self, kind: Kind, key: str, window_seconds: float = MINUTE, amount: int = 1) -> None:
        """Count, whatever the limit is."""
        index = int(self._clock() // window_seconds)
        known, count, before = self._counts.pop((kind, key), (index, 0, 0))
        if known != index:
            count, before = 0, count if known == index - 1 else 0
        self._counts[kind, key] = (index, count + amount, before)
        if len(self._counts) > self._keys:
            del self._counts[next(iter(self._counts))]

    def _estimate(self, kind: Kind, key: str, window_seconds: float) -> float:
        found = self._counts.get((kind, key))
        if found is None:
            return 0.0
        index, into = divmod(self._clock(), window_seconds)
        known, count, before = found
        within_reach = 1.0 - into / window_seconds
        if known == int(index):
            return count + before * within_reach
        return count * within_reach if known == int(index) - 1 else 0.0


def client_of(address: str) -> str:
    """Give the key under which a client is counted: its IPv4 address, or the /64 of an IPv6 one."""
    return _network(address, 32, _CLIENT_BITS) if ":" in address else address


def network_of(address: str) -> str:
    """Give the network of a client: /24 or /48; anything that is no address is its own."""
    return _network(address, 24, 48)


@lru_cache(maxsize=_NETWORKS)
def _network(address: str, bits_of_4: int, bits_of_6: int) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, bits_of_4 if parsed.version == 4 else bits_of_6), strict=False))
