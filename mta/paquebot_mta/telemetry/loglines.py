"""What each event looks like as a log line: name, level, fields; addresses only as the privacy mode shows them.

Every line of a message has ``msgid``, so one id tells its story; lines of a session have ``session``, and the lines of
its transactions have both.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from paquebot_mta.mail.ids import msgid_of
from paquebot_mta.mail.outcome import Deferred, Delivered, Failed, Looped
from paquebot_mta.telemetry import events as ev
from paquebot_mta.telemetry.lognames import LOG_NAMES, Level
from paquebot_mta.telemetry.privacy import Privacy
from paquebot_mta.telemetry.render import Value

Fields = dict[str, Value]
Line = tuple[str, Fields]
"""Name and fields."""

_RESULTS: Final = {Delivered: "Ok", Deferred: "TempFail", Failed: "PermFail", Looped: "Loop"}
_NAMES: Final = {"Ok": "delivered", "TempFail": "tempfail", "PermFail": "permfail", "Loop": "loop", "Expire": "expired"}
_MASK: Final = "********"
_RESERVED: Final = frozenset({"ts", "level", "event", "component", "pod", "gen", "name", "self", "method_name"})
_REFUSING: Final = frozenset({"reject", "disconnect", "junk"})


def line_of(event: ev.Event, privacy: Privacy) -> Line | None:
    """Make the line of an event, None if it has none (it is counted only)."""
    if isinstance(event, ev.Report):
        return _report(event, privacy)
    make = _OTHERS.get(type(event))
    return make(event, privacy) if make is not None else None


def loudness(event: ev.Event) -> Level:
    """Say how loud the line of an event is, without making it."""
    kind = type(event)
    if kind in _VERDICTS:
        return "debug" if event.result == "ok" else "info"  # type: ignore[union-attr]
    if (level := LOUDEST.get(kind)) is not None and kind is not ev.FilterResponse:
        return level
    if isinstance(event, ev.FilterResponse):
        return "info" if event.response in _REFUSING else "debug"
    if isinstance(event, ev.Notice):
        return event.level
    if isinstance(event, ev.QueueEvent):
        return LOG_NAMES[f"queue.{event.change}"].level
    return "warning" if isinstance(event, ev.ConfigEvent) and event.change == "rejected" else "info"


def _loudest() -> Iterator[tuple[type[ev.Report], Level]]:
    for kind in (*ev.Report.__subclasses__(), *ev.Transaction.__subclasses__()):
        if kind is not ev.Transaction:
            yield (
                kind,
                "info" if kind in _VERDICTS or kind is ev.FilterResponse else LOG_NAMES[f"smtp-in.{kind.name}"].level,
            )


_VERDICTS: Final = frozenset({ev.TxMail, ev.TxRcpt, ev.TxData})
LOUDEST: Final[dict[type, Level]] = dict(_loudest())
"""How loud the line of a report can be: the log passes over the quiet ones by their class."""


def _report(event: ev.Report, privacy: Privacy) -> Line:
    fields: Fields = {"session": event.session}
    if isinstance(event, ev.Transaction):
        fields["msgid"] = event.msgid
    fields["endpoint"] = event.endpoint
    make = _REPORTS.get(type(event))
    if make is not None:
        fields |= make(event, privacy)
    return f"smtp-{event.direction}.{event.name}", fields


def _connect(event: ev.LinkConnect, privacy: Privacy) -> Fields:
    inbound = event.direction == "in"
    return {
        "rdns": privacy.scrub(event.rdns) if inbound else event.rdns,
        "fcrdns": event.fcrdns,
        "source": privacy.client(event.source) if inbound else event.source,
        "destination": event.destination,
    }


def _auth(event: ev.LinkAuth, privacy: Privacy) -> Fields:
    fields: Fields = {"result": event.result, "username": privacy.user(event.username), "mechanism": event.mechanism}
    # Attempts to guess passwords are kept apart: whoever keeps logs may keep these shorter, or longer.
    return fields if event.result == "pass" else {**fields, "retention": "security"}


def _verdict(event: ev.TxMail | ev.TxRcpt, privacy: Privacy) -> Fields:
    fields: Fields = {"result": event.result, "address": privacy.address(event.address)}
    return fields | ({"reason": event.reason} if event.reason else {})


def _data(event: ev.TxData, _: Privacy) -> Fields:
    fields: Fields = {"result": event.result}
    return {**fields, "reason": event.reason} if event.reason else fields


def _command(event: ev.ProtocolClient, privacy: Privacy) -> Fields:
    words = event.command.split(" ", 2)
    masked = words[0].upper() == "AUTH" and len(words) > 2
    return {"command": privacy.scrub(f"{words[0]} {words[1]} {_MASK}" if masked else event.command)}


def _filter_response(event: ev.FilterResponse, privacy: Privacy) -> Fields:
    fields: Fields = {"filter": event.filter, "phase": event.phase, "response": event.response}
    return fields if event.parameter is None else {**fields, "parameter": privacy.scrub(event.parameter)}


_REPORTS: Final[dict[type, Callable[[Any, Privacy], Fields]]] = {
    ev.LinkConnect: _connect,
    ev.LinkGreeting: lambda event, privacy: {"hostname": privacy.scrub(event.hostname)},
    ev.LinkIdentify: lambda event, privacy: {"method": event.method, "identity": privacy.scrub(event.identity)},
    ev.LinkTls: lambda event, _: {"version": event.version, "cipher": event.cipher, "bits": event.bits},
    ev.LinkAuth: _auth,
    ev.LinkDisconnect: lambda event, _: {"reason": event.reason, "duration_seconds": round(event.duration_seconds, 3)},
    ev.TxMail: _verdict,
    ev.TxRcpt: _verdict,
    ev.TxEnvelope: lambda event, _: {"evpid": event.evpid},
    ev.TxData: _data,
    ev.TxCommit: lambda event, _: {"size": event.size, "recipients": event.recipients},
    ev.ProtocolClient: _command,
    ev.ProtocolServer: lambda event, privacy: {"reply": privacy.scrub(event.reply)},
    ev.FilterReport: lambda event, privacy: {
        "kind": event.kind,
        "filter": event.filter,
        "message": privacy.scrub(event.message),
    },
    ev.FilterResponse: _filter_response,
    ev.Timeout: lambda event, _: {"phase": event.phase},
}


def _delivery(event: ev.DeliveryAttempt, privacy: Privacy) -> Line:
    """Tell an attempt in OpenSMTPD's words (``mta delivery``, ``mda delivery``), and some more."""
    reply = event.outcome.reply
    result = "Expire" if event.final == "expired" else _RESULTS[type(event.outcome)]
    same = event.recipient == event.destination
    fields: Fields = {
        "evpid": event.evpid,
        "msgid": msgid_of(event.evpid),
        "from": privacy.address(event.reverse_path),
        "to": privacy.address(event.destination),
        "rcpt": "-" if same else privacy.address(event.recipient),
        "source": event.source,
        "relay": event.relay,
        "delay_seconds": round(event.delay_seconds, 3),
        "result": result,
        "stat": privacy.scrub(str(reply), (event.destination, event.recipient, event.reverse_path)),
        "attempt": event.attempt,
        "code": reply.code,
        "status": reply.status,
        "transport": event.transport,
        "action": event.action,
    }
    return f"delivery.{_NAMES[result]}", fields | _delivery_options(event, privacy)


def _delivery_options(event: ev.DeliveryAttempt, privacy: Privacy) -> Fields:
    """Give what only some attempts have."""
    options: Fields = {}
    if event.session:
        options["session"] = event.session
    if event.user:
        options["user"] = privacy.user(event.user)
    if event.tls:
        options["tls_version"] = event.tls
    if event.next_attempt_at:
        options["next_attempt"] = _moment(event.next_attempt_at)
    return options


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _queue(event: ev.QueueEvent, _: Privacy) -> Line:
    fields: Fields = {"msgid": event.msgid, "envelopes": event.envelopes}
    if event.evpid:
        fields["evpid"] = event.evpid
    if event.source:
        fields["source"] = event.source
    if event.size:
        fields["size"] = event.size
    return f"queue.{event.change}", fields


def _bounce(event: ev.BounceEvent, _: Privacy) -> Line:
    about = msgid_of(event.evpids[0]) if event.evpids else event.msgid
    fields: Fields = {"msgid": about, "kind": event.kind, "result": event.result, "evpids": " ".join(event.evpids)}
    return "delivery.bounced", fields | ({"bounce_msgid": event.msgid} if event.msgid else {})


def _config(event: ev.ConfigEvent, privacy: Privacy) -> Line:
    fields: Fields = {"generation": event.generation, "digest": event.digest}
    reason: Fields = {"reason": privacy.scrub(event.reason)} if event.reason else {}
    return f"config.{event.change}", fields | reason


def _tls_failure(event: ev.TlsFailure, _: Privacy) -> Line:
    return "tls.failed", {"session": event.session, "direction": event.direction, "reason": event.reason}


def _notice(event: ev.Notice, privacy: Privacy) -> Line:
    fields: Fields = {
        f"{key}_" if key in _RESERVED else key: privacy.scrub(value) if isinstance(value, str) else value
        for key, value in event.details.items()
    }
    if event.event in LOG_NAMES:
        return event.event, fields
    return "log.unlisted", {"name": event.event, **fields}


_OTHERS: Final[dict[type, Callable[[Any, Privacy], Line]]] = {
    ev.DeliveryAttempt: _delivery,
    ev.QueueEvent: _queue,
    ev.BounceEvent: _bounce,
    ev.ConfigEvent: _config,
    ev.TlsFailure: _tls_failure,
    ev.Notice: _notice,
}
