"""DNS lists of clients: weights of those that name it are added up, and an action follows from a threshold on."""

import asyncio
from copy import copy
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Final, Self

from msgspec import Struct

from paquebot_mta.config.filters import Dnsbl, DnsList, Kind, Phase
from paquebot_mta.filter.base import BaseFilter
from paquebot_mta.filter.builtin import decision_of
from paquebot_mta.filter.contract import Facts, FilterError
from paquebot_mta.filter.decisions import PROCEED, Decision, Disconnect, Reject, Rewrite
from paquebot_mta.filter.dns_lists.names import (
    client_of,
    counts,
    is_refusal,
    list_name,
    listing_addresses,
    parse_codes,
)
from paquebot_mta.filter.tools import Places, Tools
from paquebot_mta.mail.reply import Reply

_TEST_ENTRY: Final = IPv4Address("127.0.0.1")
"""No list may name it: one that does names everything, as lists do that were given up (RFC 5782, 5)."""
_SILENT: Final = frozenset({"servfail", "timeout", "error"})


class _List(Struct, frozen=True):
    """One list, ready to be asked."""

    zone: str
    codes: tuple[IPv4Network, ...]
    weight: int


class DnsblFilter(BaseFilter):
    """Asks all lists at once, in one phase; users who are authenticated and local clients are not asked about.

    A list that gives no answer counts for nothing if the others decide without it; else the filter has failed.
    """

    def __init__(self, name: str, config: Dnsbl, tools: Tools, phase: Phase) -> None:
        """Read the codes; raises ValueError if they are none."""
        super().__init__(name, frozenset({"helo", "ehlo"} if phase == "helo" else {phase}))
        self._lists = tuple(_read(each) for each in config.lists)
        self._threshold = config.threshold
        self._then = decision_of(config.action, phase)
        self._timeout_seconds = config.timeout_seconds
        self._resolver = tools.resolver

    def at_recipients(self) -> Self:
        """Give one that asks and acts at a recipient."""
        found = copy(self)
        if not isinstance(self._then, Rewrite):  # of what, would be another question there
            found.phases = frozenset({"rcpt-to"})
        return found

    async def decide(self, phase: Phase, facts: Facts, parameter: str) -> Decision:
        """Ask, add up, and act from the threshold on."""
        address = client_of(facts.client_address)
        if address is None or facts.user:
            return PROCEED
        answers = await asyncio.gather(*(self._ask(each, address) for each in self._lists))
        sure = sum(each.weight for each, named in zip(self._lists, answers, strict=True) if named)
        unknown = [each.weight for each, named in zip(self._lists, answers, strict=True) if named is None]
        if sure + sum(weight for weight in unknown if weight < 0) >= self._threshold:
            zones = [each.zone for each, named in zip(self._lists, answers, strict=True) if named and each.weight > 0]
            return self._refusal(address, zones)
        if sure + sum(weight for weight in unknown if weight > 0) >= self._threshold:
            silent = [each.zone for each, named in zip(self._lists, answers, strict=True) if named is None]
            raise FilterError(f"no answer from {', '.join(silent)}", "timeout")
        return PROCEED

    async def _ask(self, each: _List, address: IPv4Address | IPv6Address) -> bool | None:
        """Whether a list names the client; None if it gave no answer, or one to everybody."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                resolver = self._resolver()
                answer = await resolver.ask(list_name(address, each.zone), "A")
                found = listing_addresses(answer.records)
                if any(counts(entry, each.codes) for entry in found):
                    return None if await self._names_everything(each) else True
        except TimeoutError:
            return None
        if answer.status in _SILENT or any(is_refusal(entry) for entry in found):
            return None
        return False

    async def _names_everything(self, each: _List) -> bool:
        answer = await self._resolver().ask(list_name(_TEST_ENTRY, each.zone), "A")
        return any(counts(entry, each.codes) for entry in listing_addresses(answer.records))

    def _refusal(self, address: IPv4Address | IPv6Address, zones: list[str]) -> Decision:
        """Name the client and the lists, so that whoever runs it knows where to turn to."""
        match self._then:
            case Reject(reply):
                return Reject(_naming(reply, address, zones))
            case Disconnect(reply):
                return Disconnect(_naming(reply, address, zones))
        return self._then


def _naming(reply: Reply, address: IPv4Address | IPv6Address, zones: list[str]) -> Reply:
    return reply.with_suffix(f" ({address}: {', '.join(dict.fromkeys(zones))})")


def _read(each: DnsList) -> _List:
    return _List(each.zone.strip(".").lower(), parse_codes(each.codes), each.weight)


def build_dnsbl(name: str, kind: Kind, places: Places, tools: Tools) -> DnsblFilter:
    """Make one (implements ``Maker``)."""
    assert isinstance(kind, Dnsbl)
    return DnsblFilter(name, kind, tools, kind.phase)
