"""Questions to DNS on behalf of one check, counted (RFC 7208, 4.6.4)."""

from collections.abc import Sequence
from typing import Final, Literal

from paquebot_mta.mailauth.spf.names import IpAddress, below, can_be_asked, is_host, same_network
from paquebot_mta.mailauth.spf.record import is_spf
from paquebot_mta.mailauth.spf.values import Dns, DnsAnswer, SpfDnsError, SpfError, SpfLimitError

MAX_TERMS: Final = 10
"""Mechanisms and modifiers that ask DNS."""
MAX_VOID: Final = 2
"""Questions to which there is no record."""
MAX_NAMES: Final = 10
"""Names of one ``mx`` or ``ptr``."""
_NOTHING: Final = frozenset({"nxdomain", "nodata"})


class Lookups:
    """Asks, and counts for one check."""

    def __init__(self, dns: Dns, address: IpAddress) -> None:
        """Begin to count."""
        self._dns = dns
        self._address = address
        self._terms = 0
        self._void = 0
        self._validated: tuple[str, ...] | None = None

    def count_term(self) -> None:
        """Count a term that asks DNS.

        Raises:
            SpfLimitError: there are too many.
        """
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise SpfLimitError(f"more than {MAX_TERMS} terms ask DNS")

    async def policies(self, domain: str) -> list[str]:
        """Give a domain's SPF records (RFC 7208, 4.4, 4.5).

        Raises:
            SpfDnsError: no answer.
        """
        answer = await self._ask(domain, "TXT")
        return [text for text in answer.records if is_spf(text)]

    async def explanation(self, domain: str) -> str | None:
        """Give the one text that a domain has, None if there is none or it is several (RFC 7208, 6.2)."""
        if not can_be_asked(domain):
            return None
        answer = await self._dns.ask(domain, "TXT")
        return answer.records[0] if answer.status == "ok" and len(answer.records) == 1 else None

    async def exists(self, name: str) -> bool:
        """Whether a name has an IPv4 address, whatever the client's is (RFC 7208, 5.7)."""
        return can_be_asked(name) and bool((await self._counted(name, "A")).records)

    async def host_matches(self, name: str, length4: int, length6: int) -> bool:
        """Whether a host has an address in the client's network."""
        if not can_be_asked(name):
            return False
        answer = await self._counted(name, "A" if self._address.version == 4 else "AAAA")
        return any(same_network(record, self._address, length4, length6) for record in answer.records)

    async def mail_hosts(self, name: str) -> Sequence[str]:
        """Give the names of a domain's mail exchangers.

        Raises:
            SpfLimitError: they are too many.
        """
        if not can_be_asked(name):
            return ()
        answer = await self._counted(name, "MX")
        if len(answer.mx) > MAX_NAMES:
            raise SpfLimitError(f"{name} has more than {MAX_NAMES} mail exchangers")
        return [host for _, host in sorted(answer.mx) if host]

    async def validated_names(self) -> tuple[str, ...]:
        """Give the client's names that lead back to it; those after the tenth are not looked at (RFC 7208, 5.5)."""
        if self._validated is None:
            answer = await self._dns.ask(self._address.reverse_pointer, "PTR")
            if answer.status in _NOTHING:
                self._count_void()
            names = [name for name in answer.records if is_host(name)][:MAX_NAMES]
            self._validated = tuple([name for name in names if await self._leads_back(name)])
        return self._validated

    async def validated_name(self, domain: str) -> str:
        """Give the name for ``%{p}``: the domain itself, else one in it, else any (RFC 7208, 7.3)."""
        try:
            names = await self.validated_names()
        except SpfError:
            return "unknown"
        inside = [name for name in names if below(name, domain)]
        return domain if domain in inside else next(iter([*inside, *names]), "unknown")

    async def _leads_back(self, name: str) -> bool:
        """A fault means no here (RFC 7208, 5.5)."""
        answer = await self._dns.ask(name, "A" if self._address.version == 4 else "AAAA")
        return any(same_network(record, self._address, 32, 128) for record in answer.records)

    async def _counted(self, name: str, rdtype: Literal["A", "AAAA", "MX"]) -> DnsAnswer:
        answer = await self._ask(name, rdtype)
        if answer.status in _NOTHING:
            self._count_void()
        return answer

    async def _ask(self, name: str, rdtype: Literal["A", "AAAA", "MX", "TXT"]) -> DnsAnswer:
        answer = await self._dns.ask(name, rdtype)
        if answer.status not in {"ok", *_NOTHING}:
            raise SpfDnsError(f"no answer about {name}")
        return answer

    def _count_void(self) -> None:
        self._void += 1
        if self._void > MAX_VOID:
            raise SpfLimitError(f"more than {MAX_VOID} questions without a record")
