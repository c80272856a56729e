"""The operator's own way to DNS: the one file of it that imports dnspython.

The MTA's resolver is out of reach behind the contract, and it caches: a check wants what is there now.
"""

import asyncio
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.rdatatype
import dns.resolver

from paquebot_operator.publish.questions import Answer, Asks, RecordType

MAX_RECORDS = 32
MAX_RECORD_CHARACTERS = 2_048
QUESTIONS_AT_ONCE = 32
DNS_PORT = 53


class DnsAsker(Asks):
    """Asks the given servers, or the machine's; each question on its own, nothing is kept.

    Args:
        resolver: made by ``open_asker``.
        timeout_seconds: for one question, all servers and rounds together.
    """

    def __init__(self, resolver: dns.asyncresolver.Resolver, timeout_seconds: float) -> None:
        self._resolver = resolver
        self._timeout_seconds = timeout_seconds
        self._slots = asyncio.Semaphore(QUESTIONS_AT_ONCE)

    async def ask(self, name: str, rdtype: RecordType) -> Answer:
        """Ask for an absolute name."""
        async with self._slots:
            try:
                async with asyncio.timeout(self._timeout_seconds + 1):
                    found = await self._resolver.resolve(
                        f"{name}.", rdtype, search=False, lifetime=self._timeout_seconds
                    )
            except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
                return Answer("Absent")
            except (dns.exception.Timeout, TimeoutError):
                return Answer("Unavailable", reason="no DNS server answered in time")
            except dns.resolver.NoNameservers:
                return Answer("Unavailable", reason="no DNS server could tell (SERVFAIL or refused)")
            except (dns.exception.DNSException, OSError, ValueError):
                return Answer("Unavailable", reason="the name can't be asked for")
        return Answer("Found", tuple(sorted(_texts(found)))[:MAX_RECORDS])


async def open_asker(servers: tuple[str, ...] = (), *, timeout_seconds: float = 5.0) -> DnsAsker:
    """Make an asker; ``servers`` are ``address``, ``address:port`` or ``[v6]:port``, none means resolv.conf.

    Raises ValueError if a server is not an address, or if there is none at all.
    """
    try:
        # Reads /etc/resolv.conf.
        resolver = await asyncio.to_thread(dns.asyncresolver.Resolver, configure=not servers)
    except dns.resolver.NoResolverConfiguration as error:
        raise ValueError(f"no DNS server is known: {error}") from None
    if servers:
        resolver.nameservers = [_server(text) for text in servers]
    resolver.use_edns(0, 0, 1_232)
    return DnsAsker(resolver, timeout_seconds)


def _server(text: str) -> dns.nameserver.Nameserver:
    host, port = text, ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        port = rest.removeprefix(":") if bracket else "?"
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        return dns.nameserver.Do53Nameserver(str(ip_address(host)), int(port) if port else DNS_PORT)
    except ValueError:
        raise ValueError(f"not the address of a DNS server: {text!r}") from None


def _texts(found: dns.resolver.Answer) -> Iterator[str]:
    for record in found:
        yield _printable(_text(record))


def _text(record: Any) -> str:
    if record.rdtype == dns.rdatatype.MX:
        return f"{record.preference} {record.exchange.to_text(omit_final_dot=True).lower()}"
    return b"".join(record.strings).decode("latin-1")


def _printable(text: str) -> str:
    """What strangers wrote into DNS, fit for a status: bounded, without control characters."""
    return "".join(each if each.isprintable() else "?" for each in text[:MAX_RECORD_CHARACTERS])
