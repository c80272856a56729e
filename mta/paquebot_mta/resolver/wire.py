"""DNS messages: a question to bytes, a checked response to what it says. Knows nothing of sockets or caches."""

from collections.abc import Callable
from typing import Final, Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset
from msgspec import Struct

from paquebot_mta.resolver.questions import Answer, Status

UDP_PAYLOAD_OCTETS: Final = 1_232
"""Fits any path without fragments (DNS flag day 2020); more comes over TCP."""
MAX_RECORDS: Final = 512
MAX_CHAIN: Final = 8
"""CNAMEs followed for one question."""
MAX_TTL_SECONDS: Final = 86_400
MAX_NEGATIVE_TTL_SECONDS: Final = 3_600  # RFC 2308, 5

ERROR: Final = Answer("error")


class Query(Struct, frozen=True):
    """A question on its way: ``name`` absolute, ``wire`` the message without TCP's length."""

    name: dns.name.Name
    rdtype: dns.rdatatype.RdataType
    wire: bytes

    def renumbered(self, message_id: int) -> Self:
        """Make the same question with another id."""
        return type(self)(self.name, self.rdtype, message_id.to_bytes(2, "big") + self.wire[2:])


class NameLeads(Struct, frozen=True):
    """The response only says that the name is an alias: ask for ``target``; ``ttl_seconds`` holds for the alias."""

    target: str
    cnames: int
    ttl_seconds: int


def make_query(name: str, rdtype: str, message_id: int) -> Query:
    """Spell a recursive question with EDNS0 (RFC 6891) that wants to know of validation (RFC 6840, 5.7).

    Raises:
        ValueError: the name can't be a domain name.
    """
    try:
        absolute = dns.name.from_text(name)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise ValueError(f"not a domain name: {name!r}") from error
    kind = dns.rdatatype.from_text(rdtype)
    flags = dns.flags.RD | dns.flags.AD
    message = dns.message.make_query(absolute, kind, use_edns=0, payload=UDP_PAYLOAD_OCTETS, id=message_id, flags=flags)
    return Query(absolute, kind, message.to_wire())


def parse_response(query: Query, wire: bytes) -> dns.message.QueryMessage | None:
    """Read a response to that very question; None for one that is not (an attacker's guess, a late answer).

    Raises:
        ValueError: it is the response, by its id, but malformed.
    """
    if len(wire) < 12 or wire[:2] != query.wire[:2]:
        return None
    try:
        message = dns.message.from_wire(wire)
    except (dns.exception.DNSException, ValueError, IndexError) as error:
        raise ValueError("malformed DNS response") from error
    question = message.question
    fits = len(question) == 1 and (question[0].name, question[0].rdtype) == (query.name, query.rdtype)
    if not isinstance(message, dns.message.QueryMessage) or not message.flags & dns.flags.QR or not fits:
        return None
    return message


def is_lame(message: dns.message.QueryMessage) -> bool:
    """Whether a server only says, without saying so, that it does not know: a referral, or nothing at all.

    It neither has authority nor asks others, and gives no SOA for the absence (RFC 2308, 2.2): as the C library does,
    another server is asked, as this must never count as "no such record".
    """
    knows = message.flags & (dns.flags.AA | dns.flags.RA)
    has_soa = any(rrset.rdtype == dns.rdatatype.SOA for rrset in message.authority)
    return message.rcode() == dns.rcode.NOERROR and not (knows or message.answer or has_soa)


def read_answer(message: dns.message.QueryMessage, *, trusted: bool) -> Answer | NameLeads:
    """Say what a response says; ``trusted``: believe its AD bit."""
    rcode = message.rcode()
    if rcode not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        return Answer("servfail")
    try:
        chain = message.resolve_chaining()
    except dns.exception.DNSException:
        return ERROR
    if len(chain.cnames) > MAX_CHAIN:
        return ERROR
    if chain.answer is not None:
        authenticated = trusted and bool(message.flags & dns.flags.AD)
        return _positive(chain.answer, min(chain.minimum_ttl, MAX_TTL_SECONDS), authenticated=authenticated)
    has_soa = any(rrset.rdtype == dns.rdatatype.SOA for rrset in message.authority)
    if chain.cnames and rcode == dns.rcode.NOERROR and not has_soa:
        return NameLeads(_name(chain.canonical_name), len(chain.cnames), chain.minimum_ttl)
    status: Status = "nxdomain" if rcode == dns.rcode.NXDOMAIN else "nodata"
    ttl_seconds = min(chain.minimum_ttl, MAX_NEGATIVE_TTL_SECONDS) if has_soa else 0  # RFC 2308, 5
    return Answer(status, ttl_seconds=ttl_seconds)


def _positive(rrset: dns.rrset.RRset, ttl_seconds: int, *, authenticated: bool) -> Answer:
    records = list(rrset)[:MAX_RECORDS]
    if rrset.rdtype == dns.rdatatype.MX:
        mx = tuple((each.preference, _name(each.exchange)) for each in records)
        return Answer("ok", (), mx, ttl_seconds, authenticated)
    spell = _SPELLINGS.get(rrset.rdtype, dns.rdata.Rdata.to_text)
    return Answer("ok", tuple(spell(each) for each in records), (), ttl_seconds, authenticated)


def _name(name: dns.name.Name) -> str:
    """Spell a name in lower case without the final dot; the root is empty; odd octets are escaped as ``\\DDD``."""
    return name.to_text(omit_final_dot=True).lower() if name != dns.name.root else ""


_SPELLINGS: Final[dict[int, Callable[[dns.rdata.Rdata], str]]] = {
    dns.rdatatype.PTR: lambda rdata: _name(rdata.target),  # type: ignore[attr-defined]
    dns.rdatatype.CNAME: lambda rdata: _name(rdata.target),  # type: ignore[attr-defined]
    # RFC 7208, 3.3: the strings of one record are joined. Octets are kept one to one.
    dns.rdatatype.TXT: lambda rdata: b"".join(rdata.strings).decode("latin-1"),  # type: ignore[attr-defined]
}
