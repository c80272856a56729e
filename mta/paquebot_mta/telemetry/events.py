"""The report events: every step of every session and transaction, once, in OpenSMTPD's shape (smtpd-filters(7)).

``fields()`` gives the parameters after the session id, in the protocol's exact order and spelling; attributes beyond
those
(listener, reason ...) are ours, for metrics and logs. The same 19 events serve smtp-in and smtp-out.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

from msgspec import Struct, field

from paquebot_mta.mail.envelope import FinalState
from paquebot_mta.mail.ids import Evpid, Msgid, SessionId
from paquebot_mta.mail.outcome import Outcome
from paquebot_mta.telemetry.filter_events import FilterAnswer, FilterFault

Direction = Literal["in", "out"]
Verdict = Literal["ok", "permfail", "tempfail"]
Sender = Literal["stranger", "user", "local"]
"""Who brought a message: anybody, a user who is authenticated, or a program of this machine."""


class Report(Struct, frozen=True, kw_only=True, gc=False):
    """What all reports have.

    Attributes:
        direction: ``in`` (smtp-in) or ``out`` (smtp-out).
        session: 16 hex digits.
        endpoint: listener (in) or relay action (out); a closed set of names from the configuration.
    """

    name: ClassVar[str]
    direction: Direction
    session: SessionId
    endpoint: str

    def fields(self) -> tuple[str, ...]:
        """The parameters after the session id."""
        return ()


class LinkConnect(Report, frozen=True, kw_only=True, gc=False):
    """A connection is there. Addresses are ``192.0.2.1:25``, ``[2001:db8::1]:25`` or ``unix:/path``."""

    name = "link-connect"
    rdns: str = "<unknown>"
    fcrdns: Literal["pass", "fail", "error"] = "error"
    source: str
    destination: str
    family: Literal["inet4", "inet6", "unix"] = "inet4"

    def fields(self) -> tuple[str, ...]:
        """Name, result, both ends."""
        return (self.rdns, self.fcrdns, self.source, self.destination)


class LinkGreeting(Report, frozen=True, kw_only=True, gc=False):
    """The banner was sent (in) or read (out); ``delay_seconds`` since link-connect."""

    name = "link-greeting"
    hostname: str
    delay_seconds: float = 0.0

    def fields(self) -> tuple[str, ...]:
        """Name in the banner."""
        return (self.hostname,)


class LinkIdentify(Report, frozen=True, kw_only=True, gc=False):
    """HELO, EHLO or LHLO was accepted."""

    name = "link-identify"
    method: Literal["HELO", "EHLO", "LHLO"]
    identity: str

    def fields(self) -> tuple[str, ...]:
        """Command and name."""
        return (self.method, self.identity)


class LinkTls(Report, frozen=True, kw_only=True, gc=False):
    """TLS is on: ``version`` as ``TLSv1.3``, cipher name, bits."""

    name = "link-tls"
    version: str
    cipher: str
    bits: int

    def fields(self) -> tuple[str, ...]:
        """``TLSv1.3:CIPHER:BITS``."""
        return (f"{self.version}:{self.cipher}:{self.bits}",)


class LinkAuth(Report, frozen=True, kw_only=True, gc=False):
    """AUTH ended."""

    name = "link-auth"
    result: Literal["pass", "fail", "error"]
    username: str
    mechanism: str = ""

    def fields(self) -> tuple[str, ...]:
        """Result first (protocol 0.7)."""
        return (self.result, self.username)


class LinkDisconnect(Report, frozen=True, kw_only=True, gc=False):
    """The connection is gone; always the last event of a session."""

    name = "link-disconnect"
    reason: Literal["quit", "eof", "timeout", "tls", "filter", "limit", "error", "shutdown"] = "quit"
    duration_seconds: float = 0.0


class Transaction(Report, frozen=True, kw_only=True, gc=False):
    """What reports of a transaction have."""

    msgid: Msgid

    def fields(self) -> tuple[str, ...]:
        """Message id."""
        return (self.msgid,)


class TxReset(Transaction, frozen=True, kw_only=True, gc=False):
    """The transaction is closed, whatever became of it."""

    name = "tx-reset"


class TxBegin(Transaction, frozen=True, kw_only=True, gc=False):
    """MAIL was accepted."""

    name = "tx-begin"


class TxMail(Transaction, frozen=True, kw_only=True, gc=False):
    """MAIL was answered; address without <>. ``reason`` is from the rejection vocabulary, empty if ok."""

    name = "tx-mail"
    result: Verdict
    address: str
    reason: str = ""

    def fields(self) -> tuple[str, ...]:
        """Message id, result, address."""
        return (self.msgid, self.result, self.address)


class TxRcpt(Transaction, frozen=True, kw_only=True, gc=False):
    """RCPT was answered."""

    name = "tx-rcpt"
    result: Verdict
    address: str
    reason: str = ""

    def fields(self) -> tuple[str, ...]:
        """Message id, result, address."""
        return (self.msgid, self.result, self.address)


class TxEnvelope(Transaction, frozen=True, kw_only=True, gc=False):
    """An envelope was made (in: one per destination after expansion, before its tx-rcpt)."""

    name = "tx-envelope"
    evpid: Evpid

    def fields(self) -> tuple[str, ...]:
        """Message id, envelope id."""
        return (self.msgid, self.evpid)


class TxData(Transaction, frozen=True, kw_only=True, gc=False):
    """DATA (or the first BDAT) was answered."""

    name = "tx-data"
    result: Verdict
    reason: str = ""

    def fields(self) -> tuple[str, ...]:
        """Message id, result."""
        return (self.msgid, self.result)


class TxCommit(Transaction, frozen=True, kw_only=True, gc=False):
    """The message was accepted for delivery (in) or handed over (out)."""

    name = "tx-commit"
    size: int
    recipients: int = 1

    def fields(self) -> tuple[str, ...]:
        """Message id, bytes."""
        return (self.msgid, str(self.size))


class TxRollback(Transaction, frozen=True, kw_only=True, gc=False):
    """The transaction ended without a message."""

    name = "tx-rollback"


class ProtocolClient(Report, frozen=True, kw_only=True, gc=False):
    """A command line as the client sent it; secrets are masked; the end of data is ``.``."""

    name = "protocol-client"
    command: str

    def fields(self) -> tuple[str, ...]:
        """The line."""
        return (self.command,)


class ProtocolServer(Report, frozen=True, kw_only=True, gc=False):
    """One line of a reply."""

    name = "protocol-server"
    reply: str

    def fields(self) -> tuple[str, ...]:
        """The line."""
        return (self.reply,)


class FilterReport(Report, frozen=True, kw_only=True, gc=False):
    """A filter said something."""

    name = "filter-report"
    kind: Literal["builtin", "proc"]
    filter: str
    message: str

    def fields(self) -> tuple[str, ...]:
        """Kind, filter, text."""
        return (self.kind, self.filter, self.message)


class FilterResponse(Report, frozen=True, kw_only=True, gc=False):
    """A phase was decided; phases are spelled ``connected`` for connect and ``tls`` for starttls."""

    name = "filter-response"
    phase: str
    response: str
    parameter: str | None = None
    filter: str = ""

    def fields(self) -> tuple[str, ...]:
        """Phase, response, its parameter if it has one."""
        return (self.phase, self.response) if self.parameter is None else (self.phase, self.response, self.parameter)


class Timeout(Report, frozen=True, kw_only=True, gc=False):
    """A deadline of the session passed; ``phase`` says which."""

    name = "timeout"
    phase: str = "command"


class DeliveryAttempt(Struct, frozen=True, kw_only=True, gc=False):
    """One envelope's attempt ended (OpenSMTPD's ``mta delivery`` and ``mda delivery`` log lines).

    Attributes:
        session: the outbound session, empty for local deliveries.
        transport: ``relay``, ``lmtp``, ``maildir``, ``mbox`` or ``discard``.
        relay: ``192.0.2.1 (mx.example.org)``, or the path kind for local ones; source: our address.
        delay_seconds: since the message was accepted.
        duration_seconds: of this attempt.
        final: ``expired`` and the like if the envelope left the queue by it.
        next_attempt_at: seconds since 1970, 0 if there is none.
        sender: who brought the message, whatever its reverse-path says.
        hosted: the recipient's domain is one that we host, wherever its mail goes.
    """

    evpid: Evpid
    session: str
    reverse_path: str
    recipient: str
    destination: str
    action: str
    transport: Literal["relay", "lmtp", "maildir", "mbox", "discard"]
    outcome: Outcome
    source: str = ""
    relay: str = ""
    user: str = ""
    delay_seconds: float = 0.0
    duration_seconds: float = 0.0
    attempt: int = 1
    next_attempt_at: float = 0.0
    tls: str = ""
    final: FinalState | None = None
    sender: Sender = "stranger"
    hosted: bool = False


class QueueEvent(Struct, frozen=True, kw_only=True, gc=False):
    """A message or envelope entered or left the queue: ``committed``, ``removed``, ``expired``, ``bounced`` ...

    ``source`` says who enqueued (``smtp``, ``submission``, ``bounce``, ``local``); ``envelopes`` how many.
    """

    change: Literal[
        "committed",
        "recovered",
        "delivered",
        "bounced",
        "expired",
        "removed",
        "discarded",
        "looped",
        "suspended",
        "resumed",
    ]
    msgid: Msgid
    evpid: str = ""
    source: str = ""
    envelopes: int = 1
    size: int = 0


class LimitHit(Struct, frozen=True, kw_only=True, gc=False):
    """A limit was enforced."""

    direction: Direction
    limit: Literal["session", "message", "rcpt", "size", "rate", "per_ip", "errors"]
    session: str = ""


class TlsFailure(Struct, frozen=True, kw_only=True, gc=False):
    """A handshake failed."""

    direction: Direction
    session: str
    reason: Literal["cert_expired", "cert_name", "cert_untrusted", "no_cipher", "protocol", "timeout", "eof", "other"]


class Attempt(Struct, frozen=True, kw_only=True, gc=False):
    """The outcome of a transaction, or of a session refused before MAIL (the service level's event)."""

    direction: Direction
    outcome: Literal["accepted", "policy_rejected", "client_aborted", "fault"]
    fault: Literal["", "queue", "table", "filter", "dns", "overload", "timeout", "bug"] = ""


class DnsLookup(Struct, frozen=True, kw_only=True, gc=False):
    """A question was answered by a server (not from the cache)."""

    type: str
    result: Literal["ok", "nxdomain", "servfail", "timeout", "error"]
    duration_seconds: float


class MxLookup(Struct, frozen=True, kw_only=True, gc=False):
    """A domain was routed."""

    result: Literal["ok", "nullmx", "nomx", "nxdomain", "servfail", "timeout", "loop"]


class BounceEvent(Struct, frozen=True, kw_only=True, gc=False):
    """A notification was made, or suppressed."""

    kind: Literal["failure", "delay", "success"]
    result: Literal["sent", "suppressed"]
    evpids: tuple[Evpid, ...]
    msgid: str = ""


class ConfigEvent(Struct, frozen=True, kw_only=True, gc=False):
    """A configuration was taken (``loaded``) or refused (``rejected``, with the reason)."""

    change: Literal["loaded", "rejected"]
    generation: int
    digest: str
    reason: str = ""


class Notice(Struct, frozen=True, kw_only=True, gc=False):
    """Anything else worth a log line: a fixed event name from the catalogue and checked details."""

    level: Literal["debug", "info", "warning", "error"]
    event: str
    details: Mapping[str, str | int | float | bool] = field(default_factory=dict)


Event = (
    Report
    | DeliveryAttempt
    | QueueEvent
    | LimitHit
    | TlsFailure
    | Attempt
    | DnsLookup
    | MxLookup
    | BounceEvent
    | ConfigEvent
    | FilterAnswer
    | FilterFault
    | Notice
)
