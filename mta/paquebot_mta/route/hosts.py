"""Addresses of one host in the wanted families and order. Knows nothing of MX records or policies."""

import asyncio
from typing import Final, Literal

from msgspec import Struct

from paquebot_mta.resolver.questions import Answer, RdType, Resolver, Status

Family = Literal["IPv6First", "IPv4First", "IPv4Only", "IPv6Only"]

_TYPES: Final[dict[Family, tuple[RdType, ...]]] = {
    "IPv6First": ("AAAA", "A"),
    "IPv4First": ("A", "AAAA"),
    "IPv4Only": ("A",),
    "IPv6Only": ("AAAA",),
}
_LOOPBACK: Final[dict[RdType, tuple[str, ...]]] = {"A": ("127.0.0.1",), "AAAA": ("::1",)}
_NO_FAULT: Final[frozenset[Status]] = frozenset({"ok", "nodata", "nxdomain"})


class Addresses(Struct, frozen=True):
    """What DNS says of a host.

    Attributes:
        found: addresses, the preferred family first.
        fault: a family could not be asked: ``servfail``, ``timeout`` or ``error``; None if all was answered.
        exists: the name exists, with or without addresses.
    """

    found: tuple[str, ...]
    fault: Status | None = None
    exists: bool = True


async def find_addresses(resolver: Resolver, host: str, family: Family) -> Addresses:
    """Ask for the addresses of a host, both families at once; ``localhost`` is never asked (RFC 6761, 6.3)."""
    types = _TYPES[family]
    if host == "localhost" or host.endswith(".localhost"):
        return Addresses(tuple(address for rdtype in types for address in _LOOPBACK[rdtype]))
    answers = await asyncio.gather(*(resolver.ask(host, rdtype) for rdtype in types))
    return Addresses(
        tuple(address for answer in answers for address in answer.records),
        _fault(answers),
        any(answer.status != "nxdomain" for answer in answers),
    )


def _fault(answers: list[Answer]) -> Status | None:
    return next((answer.status for answer in answers if answer.status not in _NO_FAULT), None)
