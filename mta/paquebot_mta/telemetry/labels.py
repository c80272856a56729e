"""The closed sets of label values, and how free text is judged into them."""

from typing import Final, get_args

from paquebot_mta.config.filters import Phase
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.events import (
    Attempt,
    BounceEvent,
    DnsLookup,
    FilterReport,
    LimitHit,
    LinkConnect,
    LinkDisconnect,
    LinkIdentify,
    MxLookup,
    TlsFailure,
    Verdict,
)
from paquebot_mta.telemetry.metric import OTHER, Label


def _values(struct: type, field: str) -> tuple[str, ...]:
    """Read a closed set from the event that carries it, so that the two can't drift."""
    return tuple(value for value in get_args(struct.__annotations__[field]) if value)


EVENTS: Final = (
    "link-connect", "link-disconnect", "link-greeting", "link-identify", "link-tls", "link-auth",
    "tx-reset", "tx-begin", "tx-mail", "tx-rcpt", "tx-envelope", "tx-data", "tx-commit", "tx-rollback",
    "protocol-client", "protocol-server", "filter-report", "filter-response", "timeout",
)  # fmt: skip
VERBS: Final = (
    "CONNECT", "HELO", "EHLO", "LHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BDAT", ".",
    "RSET", "NOOP", "VRFY", "EXPN", "HELP", "QUIT", OTHER,
)  # fmt: skip
CODES: Final = (
    "211", "214", "220", "221", "235", "250", "251", "252", "334", "354", "421", "432", "450", "451", "452", "454",
    "455", "458", "459", "500", "501", "502", "503", "504", "521", "523", "524", "525", "530", "534", "535", "538",
    "550", "551", "552", "553", "554", "555", "556", OTHER,
)  # fmt: skip
CIPHERS: Final = (
    "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305", OTHER,
)  # fmt: skip
REJECTIONS: Final = (
    "unknown_user", "relay_denied", "greylist", "rate", "filter", "spf", "dmarc", "dnsbl", "size", "full", "syntax",
    OTHER,
)  # fmt: skip
PHASES: Final = (
    "connect", "banner", "handshake", "command", "auth", "data", "final_dot", "mail", "recipient", "block", "idle",
    "session", OTHER,
)  # fmt: skip
FAILURES: Final = (
    "dns", "connect", "tls", "auth", "greylist", "rate", "policy", "spam", "unknown_user", "full", "size", "timeout",
    "protocol", "local", OTHER,
)  # fmt: skip
STATUSES: Final = (*(f"{cls}.{subject}" for cls in "45" for subject in range(8)), OTHER)
TRANSPORTS: Final = ("relay", "lmtp", "maildir", "mbox", "discard")
RESULTS: Final = ("delivered", "tempfail", "permfail", "loop", "expired")
SOURCES: Final = ("smtp", "submission", "bounce", "local", "redirect", OTHER)
DEQUEUED: Final = ("delivered", "bounced", "expired", "removed", "discarded", "looped")

DIRECTION: Final = Label("direction", ("in", "out"))
EVENT: Final = Label("event", EVENTS)
ENDPOINT: Final = Label("endpoint")
RELAY: Final = Label("relay")
VERSION: Final = Label("version")
REVISION: Final = Label("revision")
RESOURCE: Final = Label("resource_name")
HASH: Final = Label("hash")
CERTIFICATE: Final = Label("name")
METRIC: Final = Label("metric")
FAMILY: Final = Label("family", _values(LinkConnect, "family"))
FCRDNS: Final = Label("result", _values(LinkConnect, "fcrdns"))
DISCONNECT: Final = Label("reason", _values(LinkDisconnect, "reason"))
METHOD: Final = Label("method", _values(LinkIdentify, "method"))
TLS_VERSION: Final = Label("version", ("TLSv1.2", "TLSv1.3", OTHER))
CIPHER: Final = Label("cipher", CIPHERS)
TLS_FAILURE: Final = Label("reason", _values(TlsFailure, "reason"))
MECHANISM: Final = Label("mechanism", ("PLAIN", "LOGIN", OTHER))
AUTH_RESULT: Final = Label("result", ("pass", "fail", "error"))
PHASE: Final = Label("phase", PHASES)
COMMAND: Final = Label("command", VERBS)
CODE: Final = Label("code", CODES)
LIMIT: Final = Label("limit", _values(LimitHit, "limit"))
FINISHED: Final = Label("result", ("commit", "rollback"))
IN_TRANSACTION: Final = Label("in_transaction", ("true", "false"))
VERDICT: Final = Label("result", get_args(Verdict))
REFUSED_AT: Final = Label("phase", ("mail", "rcpt", "data"))
REJECTION: Final = Label("reason", REJECTIONS)
OUTCOME: Final = Label("outcome", _values(Attempt, "outcome"))
FAULT: Final = Label("reason", _values(Attempt, "fault"))
DNS_TYPE: Final = Label("type", ("mx", "a", "aaaa", "ptr", "txt", "tlsa", OTHER))
DNS_RESULT: Final = Label("result", _values(DnsLookup, "result"))
MX_RESULT: Final = Label("result", _values(MxLookup, "result"))
SOURCE: Final = Label("source", SOURCES)
DEQUEUE_RESULT: Final = Label("result", DEQUEUED)
LEFT: Final = Label("result", ("taken", "returned", "deferred", "refused"))
ADOPTED: Final = Label("reason", ("goodbye", "lock", "lease", "inherited"))
DUPLICATE: Final = Label("cause", ("unanswered", "recovery"))
QUEUE_STATE: Final = Label("state", ("incoming", "scheduled", "inflight", "hold", "suspended"))
TRANSPORT: Final = Label("transport", TRANSPORTS)
RESULT: Final = Label("result", RESULTS)
FILTER: Final = Label("filter")
FILTER_KIND: Final = Label("kind", _values(FilterReport, "kind"))
FILTER_PHASE: Final = Label("phase", get_args(Phase))
FILTER_RESPONSE: Final = Label("response", ("proceed", "junk", "rewrite", "reject", "disconnect", "bypass", "report"))
FAILING: Final = Label("reason", ("timeout", "crash", "protocol", "table"))
CLASS: Final = Label("class", ("4", "5"))
FAILURE: Final = Label("reason", FAILURES)
STATUS: Final = Label("status", STATUSES)
ROUTE_STATE: Final = Label("state", ("active", "idle", "disabled_net", "disabled_smtp"))
ROUTE_CHANGE: Final = Label("to", ("disabled", "penalised", "enabled"))
ROUTE_REASON: Final = Label("reason", ("net", "smtp", "expired", "operator"))
BOUNCE_KIND: Final = Label("kind", _values(BounceEvent, "kind"))
BOUNCE_RESULT: Final = Label("result", _values(BounceEvent, "result"))
RELOAD: Final = Label("result", ("loaded", "rejected"))
LEVEL: Final = Label("level", ("debug", "info", "warning", "error"))
CONSUMER: Final = Label("consumer", ("bus", "log", "subscriber", "filter"))

_BY_STATUS: Final = {
    "1.1": "unknown_user", "1.2": "dns", "1.10": "dns", "2.1": "unknown_user", "2.2": "full", "3.1": "full",
    "2.3": "size", "3.4": "size", "4.1": "connect", "4.2": "connect", "4.3": "dns", "4.4": "dns", "4.5": "rate",
    "4.7": "timeout", "5.0": "protocol", "5.1": "protocol", "5.2": "protocol", "5.4": "protocol", "7.1": "policy",
    "7.8": "auth", "7.9": "auth", "7.10": "tls", "7.28": "rate",
}  # fmt: skip
_WORDS: Final = (
    ("greylist", "greylist"), ("graylist", "greylist"), ("rate limit", "rate"), ("too many", "rate"),
    ("spam", "spam"),
    ("blocklist", "policy"), ("blacklist", "policy"), ("mailbox full", "full"), ("quota", "full"),
    ("user unknown", "unknown_user"), ("no such user", "unknown_user"),
    ("timeout", "timeout"), ("timed out", "timeout"),
    ("starttls", "tls"), ("handshake", "tls"), ("certificate", "tls"), ("connection refused", "connect"),
    ("unreachable", "connect"),
)  # fmt: skip


def failure_reason(reply: Reply, transport: str) -> str:
    """Judge why a delivery failed: by telling words first, for servers choose 4.7.1 for anything, then by status."""
    text = reply.text[:512].lower()
    for word, reason in _WORDS:
        if word in text:
            return reason
    if found := _BY_STATUS.get(reply.status[2:]):
        return found
    return OTHER if transport in {"relay", "lmtp"} else "local"


def verb_of(command: str) -> str:
    """Name the command of a line: one of ``VERBS``; a continued AUTH is masked and counts as AUTH."""
    verb = command[:9].split(" ", 1)[0].upper()
    return "AUTH" if verb.startswith("*") else verb


def endpoint_of(action: str) -> str:
    """Name an action as a label: a domain's own delivery, ``domain:NAME``, is ``domain``, for domains are many."""
    return "domain" if action.startswith("domain:") else action
