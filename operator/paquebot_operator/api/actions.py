"""What is done with a message: the parts that MailService and MailDomain share."""

from typing import Annotated, Literal

from msgspec import Meta

from paquebot_operator.api.common import BundleRef, FilterRefs, Hostname, Label, LocalRef, Path, Port, Seconds, Text
from paquebot_operator.api.validation import ApiValue, Rule, exactly_one

Ttl = Annotated[Seconds | None, Meta(description="Time to live in the queue; the service's if left out.")]
TlsPolicy = Literal["None", "Opportunistic", "Required", "Verified"]


class ClientTls(ApiValue, frozen=True, kw_only=True):
    """TLS towards a next hop."""

    policy: Annotated[
        TlsPolicy,
        Meta(
            description="None: never. Opportunistic: if offered, without verification. Required: or deferred. "
            "Verified: by name against caRef or the system's authorities, or deferred. The name is the next "
            "hop's (its address, if it has none) as configured or as DNS gave it in the MX record: who can forge that "
            "record chooses the name, so configure the host of a smarthost, or use a resolver that you trust."
        ),
    ] = "Opportunistic"
    ca_ref: Annotated[BundleRef | None, Meta(description="Authorities to verify against.")] = None
    client_certificate_ref: Annotated[
        LocalRef | None, Meta(description="Secret of type kubernetes.io/tls to present.")
    ] = None


class RelayAuth(ApiValue, frozen=True, kw_only=True):
    """AUTH towards a smarthost."""

    credentials_ref: Annotated[
        LocalRef, Meta(description="Table with service credentials whose values are user:password.")
    ]
    label: Annotated[Text, Meta(description="Key to look up in that table.")]


class Relay(ApiValue, frozen=True, kw_only=True):
    """Send by SMTP: to the smarthost if host is given, else by MX lookup."""

    validations = (
        Rule(
            cel="!has(self.auth) || self.implicitTls || self.tls.policy in ['Required', 'Verified']",
            message="auth gives a password over TLS only: set tls.policy to Verified or Required, or implicitTls",
            holds=lambda relay: (
                relay.auth is None or relay.implicit_tls or relay.tls.policy in {"Required", "Verified"}
            ),
        ),
        Rule(
            cel="!has(self.auth) || has(self.host)",
            message="auth needs host: passwords are given to a named smarthost only",
            holds=lambda relay: relay.auth is None or relay.host is not None,
        ),
        Rule(
            cel="!has(self.backupMx) || !has(self.host)",
            message="backupMx needs MX lookup: leave out host",
            holds=lambda relay: relay.backup_mx is None or relay.host is None,
        ),
        Rule(
            cel="has(self.host) || !has(self.port)",
            message="port needs host: MX lookup goes to port 25",
            holds=lambda relay: relay.host is not None or relay.port is None,
        ),
        Rule(
            cel="has(self.host) || !self.implicitTls",
            message="implicitTls needs host",
            holds=lambda relay: relay.host is not None or not relay.implicit_tls,
        ),
    )

    host: Annotated[Hostname | None, Meta(description="Smarthost: a name, an IPv4 address or an [IPv6 address].")] = (
        None
    )
    port: Annotated[Port | None, Meta(description="Its port; 25, or 465 with implicitTls.")] = None
    implicit_tls: Annotated[bool, Meta(description="TLS from the first byte (RFC 8314).")] = False
    tls: Annotated[ClientTls, Meta(description="TLS towards the next hop.")] = ClientTls()
    auth: Annotated[RelayAuth | None, Meta(description="AUTH towards the smarthost.")] = None
    helo: Annotated[Hostname | None, Meta(description="Name to give in EHLO; the service's if left out.")] = None
    helo_names_ref: Annotated[
        LocalRef | None,
        Meta(description="Table (service addrname): source address to EHLO name, for the address really used."),
    ] = None
    source_ref: Annotated[LocalRef | None, Meta(description="Table (service source) of source addresses.")] = None
    mail_from: Annotated[
        Text | None, Meta(description="Sender override, @domain or user@domain; never for bounces.")
    ] = None
    backup_mx: Annotated[
        Hostname | None, Meta(description="Our name among the MX records; only better ones are used.")
    ] = None
    filter_refs: Annotated[FilterRefs, Meta(description="MailFilters that are told of its sessions (smtp-out).")] = ()
    ttl_seconds: Ttl = None


class Lmtp(ApiValue, frozen=True, kw_only=True):
    """Hand over by LMTP (RFC 2033)."""

    destination: Annotated[
        Text,
        Meta(
            description="host:port, [IPv6 address]:port or unix:/path, which a MailDomain of another namespace than "
            "its MailService's can't name."
        ),
    ]
    recipient: Annotated[
        Literal["User", "Address"], Meta(description="What RCPT names: the mailbox user or the whole address.")
    ] = "Address"
    tls: Annotated[ClientTls, Meta(description="TLS towards the LMTP server.")] = ClientTls(policy="None")
    ttl_seconds: Ttl = None


class Maildir(ApiValue, frozen=True, kw_only=True):
    """Deliver into maildirs."""

    path: Annotated[
        Path,
        Meta(
            description="A user's maildir; %{user}, %{domain} and %{extension} are replaced. In pods below "
            "/var/lib/paquebot/mail/, for MailDomains of other namespaces below /var/lib/paquebot/mail/%{domain}/."
        ),
    ]
    junk: Annotated[bool, Meta(description="Mail marked as spam goes to the folder .Junk.")] = False
    ttl_seconds: Ttl = None


class Mbox(ApiValue, frozen=True, kw_only=True):
    """Append to an mbox file (RFC 4155)."""

    path: Annotated[Path, Meta(description="A user's mbox file; replacements as for maildir.")]
    ttl_seconds: Ttl = None


class Discard(ApiValue, frozen=True, kw_only=True):
    """Accept and drop, with a log line."""


class Delivery(ApiValue, frozen=True, kw_only=True):
    """How the mailboxes of a domain are reached: exactly one kind."""

    validations = (exactly_one("relay", "lmtp", "maildir", "mbox", "discard"),)

    relay: Annotated[Relay | None, Meta(description="Send on by SMTP.")] = None
    lmtp: Annotated[Lmtp | None, Meta(description="Hand over by LMTP.")] = None
    maildir: Annotated[Maildir | None, Meta(description="Write into maildirs.")] = None
    mbox: Annotated[Mbox | None, Meta(description="Append to mbox files.")] = None
    discard: Annotated[Discard | None, Meta(description="Accept and drop.")] = None


class NamedAction(Delivery, frozen=True, kw_only=True):
    """An action that rules refer to by name; queued mail keeps the name only."""

    name: Annotated[Label, Meta(description="Name, unique in the service.")]
