"""The records that a hosted domain should publish, as exact text."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from paquebot_mta.config.names import AddressError, parse_domain
from paquebot_operator.api.maildomain import MailDomain
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.publish.dkim_record import DkimKey, dkim_text
from paquebot_operator.publish.exchangers import mail_exchangers
from paquebot_operator.publish.mta_sts import mta_sts_id
from paquebot_operator.publish.questions import RecordType

MAX_STRING_BYTES = 255
"""Of one character-string of a TXT record (RFC 1035, 3.3)."""

Purpose = Literal["MX", "SPF", "DKIM", "DMARC", "MTA-STS", "TLSRPT"]


@dataclass(frozen=True)
class DnsRecord:
    """A record to publish.

    Attributes:
        purpose: what it is for.
        name: absolute, without the last dot.
        type: of the record.
        value: ``10 mail.example.test`` for MX; for TXT its text as one string, however long.
    """

    purpose: Purpose
    name: str
    type: RecordType
    value: str

    @property
    def zone_line(self) -> str:
        """The record as a line of a zone file; a long text is split in strings of 255 bytes (RFC 6376, 3.6.2.2)."""
        data = f"{self.value}." if self.type == "MX" else " ".join(_strings(self.value))
        return f"{self.name}. IN {self.type} {data}"


def dns_records(domain: MailDomain, service: MailService, dkim_keys: tuple[DkimKey, ...]) -> tuple[DnsRecord, ...]:
    """Say what ``domain`` should publish: MX, SPF, DKIM (each key), DMARC, MTA-STS and TLSRPT, in this order.

    Returns nothing if the domain or a host is no domain name: the compiler says so in a condition.
    """
    try:
        return tuple(_records(domain, service, dkim_keys))
    except AddressError:
        return ()


def _records(domain: MailDomain, service: MailService, dkim_keys: tuple[DkimKey, ...]) -> Iterator[DnsRecord]:
    name, publish = parse_domain(domain.spec.domain), domain.spec.publish
    for host in mail_exchangers(domain, service):
        yield DnsRecord("MX", name, "MX", str(host))
    if publish.spf:
        yield DnsRecord("SPF", name, "TXT", publish.spf)
    for key in dkim_keys:
        yield DnsRecord("DKIM", f"{key.selector}._domainkey.{name}", "TXT", dkim_text(key))
    if publish.dmarc.policy != "Disabled":
        yield DnsRecord("DMARC", f"_dmarc.{name}", "TXT", _dmarc(domain))
    if publish.mta_sts.mode != "Disabled":
        yield DnsRecord("MTA-STS", f"_mta-sts.{name}", "TXT", f"v=STSv1; id={mta_sts_id(domain, service)};")
    if publish.tls_rpt.rua:
        yield DnsRecord("TLSRPT", f"_smtp._tls.{name}", "TXT", f"v=TLSRPTv1; rua={_uris(publish.tls_rpt.rua)}")


def _dmarc(domain: MailDomain) -> str:
    """RFC 7489, 6.3."""
    dmarc = domain.spec.publish.dmarc
    reports = f"; rua={_uris(dmarc.rua)}" if dmarc.rua else ""
    return f"v=DMARC1; p={dmarc.policy.lower()}{reports}"


def _uris(mailboxes: tuple[str, ...]) -> str:
    """Comma, semicolon and ``!`` have a meaning in the list, so they are encoded (RFC 7489, 6.2; RFC 8460, 3)."""
    return ",".join(f"mailto:{quote(mailbox, safe='@+')}" for mailbox in mailboxes)


def _strings(text: str) -> Iterator[str]:
    """Quoted strings of a TXT record."""
    for start in range(0, len(text), MAX_STRING_BYTES):
        part = text[start : start + MAX_STRING_BYTES].replace("\\", "\\\\").replace('"', '\\"')
        yield f'"{part}"'
