"""Checks of keys: whatever passes them, a table in memory can be made of."""

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

from paquebot_mta.config.patterns import compile_wildcard, regex_fault
from paquebot_mta.config.tables import Service

MatchMode = Literal["Exact", "Wildcard", "Regex", "Network"]
UNFOLDED: Final[frozenset[Service]] = frozenset({"credentials", "auth"})
"""Services whose keys differ by case."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Fault = tuple[int, str]
"""Place of a key, from 0, and what it is but should not be."""
_Check = Callable[[Sequence[str]], Iterator[Fault]]


def key_faults(keys: Sequence[str], services: Sequence[Service], mode: MatchMode) -> Iterator[Fault]:
    """Say what is wrong with keys, each as its services and the match mode compare it.

    Reasons hold nothing of the keys themselves, which may be nobody's business.
    """
    for place, key in enumerate(keys):
        if not key:
            yield place, "empty"
    for check in dict.fromkeys(_check_of(service, mode) for service in services):
        yield from check(keys)


def parse_network(text: str) -> Network:
    """Read a network or an address, brackets allowed; IPv4 in IPv6 spelling becomes IPv4.

    Raises:
        ValueError: it is none.
    """
    address, slash, length = text.partition("/")
    network = ipaddress.ip_network(f"{address.strip('[]')}{slash}{length}", strict=False)
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is not None and network.prefixlen >= 96:
        return ipaddress.ip_network(f"{mapped}/{network.prefixlen - 96}", strict=False)
    return network


def _check_of(service: Service, mode: MatchMode) -> _Check:
    if mode == "Regex" or service == "regex":
        return _regexes
    if mode == "Network" or service == "netaddr":
        return _networks
    if service == "mailaddr":
        return _addresses
    if service == "domain" or mode == "Wildcard":
        return _wildcards
    return _exact if service in UNFOLDED else _folded


def _regexes(keys: Sequence[str]) -> Iterator[Fault]:
    for place, key in enumerate(keys):
        if reason := regex_fault(key):
            yield place, reason.removeprefix(f"entry {key!r}: ")


def _networks(keys: Sequence[str]) -> Iterator[Fault]:
    for place, key in enumerate(keys):
        try:
            parse_network(key)
        except ValueError:
            yield place, "not a network or an address"


def _addresses(keys: Sequence[str]) -> Iterator[Fault]:
    for place, key in enumerate(keys):
        if "@" in key and (reason := _wildcard_fault(key.rpartition("@")[2])):
            yield place, reason


def _wildcards(keys: Sequence[str]) -> Iterator[Fault]:
    yield from ((place, reason) for place, key in enumerate(keys) if (reason := _wildcard_fault(key)))
    # Keys with wildcards are tried in their order.
    exact = [(place, key) for place, key in enumerate(keys) if "*" not in key]
    yield from ((exact[place][0], reason) for place, reason in _folded([key for _, key in exact]))


def _wildcard_fault(entry: str) -> str:
    if "*" not in entry:
        return ""
    try:
        compile_wildcard(entry)
    except ValueError as error:
        return str(error).removeprefix(f"entry {entry!r}: ")
    return ""


def _exact(keys: Sequence[str]) -> Iterator[Fault]:
    return iter(())


def _folded(keys: Sequence[str]) -> Iterator[Fault]:
    """Keys are folded when they are looked up, so two that differ in case only would hide each other."""
    seen: dict[str, str] = {}
    for place, key in enumerate(keys):
        if seen.setdefault(key.lower(), key) != key:
            yield place, "there twice, as upper and lower case are the same"
