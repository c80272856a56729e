"""What a MailDomain wants to have in the DNS; the exact records are told in its status."""

from typing import Annotated, Literal

from msgspec import Meta

from paquebot_operator.api.common import Hostname
from paquebot_operator.api.validation import ApiValue

Mailbox = Annotated[str, Meta(min_length=3, max_length=320, pattern=r"^[!-+./-:<=>?A-~-]+@[A-Za-z0-9.-]+$")]
Reporters = Annotated[tuple[Mailbox, ...], Meta(max_length=8)]


class MxHost(ApiValue, frozen=True, kw_only=True):
    """A host that takes mail for the domain."""

    host: Annotated[Hostname, Meta(description="Name of the host.")]
    priority: Annotated[int, Meta(ge=0, le=65_535, description="Lower is better (RFC 5321, 5.1).")] = 10


class Dmarc(ApiValue, frozen=True, kw_only=True):
    """What receivers do with mail that is not the domain's (RFC 7489)."""

    policy: Annotated[
        Literal["Disabled", "None", "Quarantine", "Reject"],
        Meta(description="Disabled: no record. None: only report. Quarantine, Reject: as the words say."),
    ] = "None"
    rua: Annotated[Reporters, Meta(description="Mail addresses for aggregate reports.")] = ()


class MtaSts(ApiValue, frozen=True, kw_only=True):
    """Senders must use verified TLS (RFC 8461)."""

    mode: Annotated[
        Literal["Disabled", "Testing", "Enforce"], Meta(description="Disabled: no policy. Testing: only report.")
    ] = "Disabled"
    max_age_seconds: Annotated[int, Meta(ge=86_400, le=31_557_600, description="Life of the policy at senders.")] = (
        604_800
    )


class TlsReports(ApiValue, frozen=True, kw_only=True):
    """Reports of senders about TLS (RFC 8460)."""

    rua: Annotated[Reporters, Meta(description="Mail addresses for reports; empty for none.")] = ()


class Publish(ApiValue, frozen=True, kw_only=True):
    """Records that the domain should have."""

    mx: Annotated[tuple[MxHost, ...], Meta(max_length=16, description="MX hosts; if empty, the service's name.")] = ()
    spf: Annotated[
        str,
        Meta(max_length=450, pattern=r"^(v=spf1( [!-~]+)*)?$", description="SPF record (RFC 7208); empty for none."),
    ] = "v=spf1 mx -all"
    dmarc: Annotated[Dmarc, Meta(description="DMARC.")] = Dmarc()
    mta_sts: Annotated[MtaSts, Meta(description="MTA-STS.")] = MtaSts()
    tls_rpt: Annotated[TlsReports, Meta(description="TLS reports.")] = TlsReports()
