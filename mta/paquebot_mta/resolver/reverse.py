"""The name of a client's address, and whether the name points back (forward-confirmed reverse DNS)."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Literal

from paquebot_mta.resolver.questions import Resolver, Status

UNKNOWN_NAME: Final = "<unknown>"
_MAX_NAMES: Final = 3
_HOST_NAME: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?")
_NO_NAME: Final[frozenset[Status]] = frozenset({"ok", "nodata", "nxdomain"})


async def forward_confirmed_name(resolver: Resolver, address: str) -> tuple[str, Literal["pass", "fail", "error"]]:
    """Give the reverse name of an address and whether it is confirmed.

    Returns:
        The confirmed name and ``pass``; the first name and ``fail`` if none points back; ``<unknown>`` and ``fail``
        if there is no name; ``error`` if DNS gave no answer. A name is a plain host name, whatever DNS holds. Without
        ``pass`` it is only what the address's owner wrote: to be shown, never to be trusted.
    """
    try:
        parsed = _unmapped(address)
    except ValueError:
        return UNKNOWN_NAME, "error"
    answer = await resolver.ask(parsed.reverse_pointer, "PTR")
    names = [name for name in answer.records if _HOST_NAME.fullmatch(name)][:_MAX_NAMES]
    if not names:
        return UNKNOWN_NAME, "fail" if answer.status in _NO_NAME else "error"
    results = [(name, await _points_to(resolver, name, parsed)) for name in names]
    for wanted in ("pass", "error"):
        for name, result in results:
            if result == wanted:
                return name, result
    return names[0], "fail"


async def _points_to(
    resolver: Resolver, name: str, address: IPv4Address | IPv6Address
) -> Literal["pass", "fail", "error"]:
    answer = await resolver.ask(name, "A" if address.version == 4 else "AAAA")
    if answer.status not in _NO_NAME:
        return "error"
    return "pass" if any(_same(record, address) for record in answer.records) else "fail"


def _same(record: str, address: IPv4Address | IPv6Address) -> bool:
    try:
        return ip_address(record) == address
    except ValueError:
        return False


def _unmapped(address: str) -> IPv4Address | IPv6Address:
    parsed = ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed
