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
FAMILY_SECONDS: Final = 2.0
"""How long a family is waited for when the other one has addresses."""
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


async def find_addresses(
    resolver: Resolver, host: str, family: Family, family_seconds: float = FAMILY_SECONDS
) -> Addresses:
    """Ask for the addresses of a host, both families at once; ``localhost`` is never asked (RFC 6761, 6.3).

    A family whose answer is long in coming counts as unanswered when the other one has addresses for
    ``family_seconds``: name servers that drop what they don't know must not delay the mail.
    """
    types = _TYPES[family]
    if host == "localhost" or host.endswith(".localhost"):
        return Addresses(tuple(address for rdtype in types for address in _LOOPBACK[rdtype]))
    answers = await _ask_all(resolver, host, types, family_seconds)
    return Addresses(
        tuple(address for answer in answers for address in answer.records),
        _fault(answers),
        any(answer.status != "nxdomain" for answer in answers),
    )


async def _ask_all(resolver: Resolver, host: str, types: tuple[RdType, ...], family_seconds: float) -> list[Answer]:
    questions = [asyncio.ensure_future(resolver.ask(host, rdtype)) for rdtype in types]
    try:
        done, late = await asyncio.wait(questions, return_when=asyncio.FIRST_COMPLETED)
        if late:
            has_some = any(each.result().records for each in done)
            await asyncio.wait(late, timeout=family_seconds if has_some else None)
        return [each.result() if each.done() else Answer("timeout") for each in questions]
    finally:
        for each in questions:
            each.cancel()


def _fault(answers: list[Answer]) -> Status | None:
    return next((answer.status for answer in answers if answer.status not in _NO_FAULT), None)
