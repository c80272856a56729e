"""What each event looks like as a log line: name, level, fields; addresses only as the privacy mode shows them.

Every line of a message has ``msgid``, so one id tells its story; lines of a session have ``session``, and the lines of
its transactions have both.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

from paquebot_mta.mail.ids import msgid_of
from paquebot_mta.mail.outcome import Deferred, Delivered, Failed, Looped
from paquebot_mta.telemetry import events as ev
from paquebot_mta.telemetry.filter_events import FilterAnswer, FilterFault
from paquebot_mta.telemetry.lognames import LOG_NAMES, Level
from paquebot_mta.telemetry.privacy import Privacy
from paquebot_mta.telemetry.render import Value

Fields = dict[str, Value]
Title = tuple[Level, str]
"""How loud a line is, and its name."""


class Form(Struct, frozen=True):
    """The line of one class of events: its title, told without making the line, and its fields."""

    title: Callable[[Any], Title]
    fields: Callable[[Any, Privacy], Fields]


_RESULTS: Final = {Delivered: "Ok", Deferred: "TempFail", Failed: "PermFail", Looped: "Loop"}
_NAMES: Final = {"Ok": "delivered", "TempFail": "tempfail", "PermFail": "permfail", "Loop": "loop", "Expire": "expired"}
_MASK: Final = "********"
_RESERVED: Final = frozenset({"ts", "level", "event", "component", "pod", "gen", "name", "self", "method_name"})
_REFUSING: Final = frozenset({"reject", "disconnect", "junk"})


def _link(make: Callable[[Any, Privacy], Fields] | None) -> Callable[[Any, Privacy], Fields]:
    """Put what all reports have before what ``make`` gives."""

    def fields(event: ev.Report, privacy: Privacy) -> Fields:
        common: Fields = {"session": event.session, "endpoint": event.endpoint}
        return common | make(event, privacy) if make is not None else common

    return fields


def _transaction(make: Callable[[Any, Privacy], Fields] | None) -> Callable[[Any, Privacy], Fields]:
    """Put what all reports of transactions have before what ``make`` gives."""

    def fields(event: ev.Transaction, privacy: Privacy) -> Fields:
        common: Fields = {"session": event.session, "msgid": event.msgid, "endpoint": event.endpoint}
        return common | make(event, privacy) if make is not None else common

    return fields


def _titles(kind: type[ev.Report], level: Level) -> dict[str, Title]:
    return {direction: (level, f"smtp-{direction}.{kind.name}") for direction in ("in", "out")}


def _fixed_title(kind: type[ev.Report]) -> Callable[[Any], Title]:
    titles = _titles(kind, LOG_NAMES[f"smtp-in.{kind.name}"].level)
    return lambda event: titles[event.direction]


def _verdict_title(kind: type[ev.Report]) -> Callable[[Any], Title]:
    quiet, loud = _titles(kind, "debug"), _titles(kind, "info")
    return lambda event: (quiet if event.result == "ok" else loud)[event.direction]


def _response_title(kind: type[ev.Report]) -> Callable[[Any], Title]:
    quiet, loud = _titles(kind, "debug"), _titles(kind, "info")
    return lambda event: (loud if event.response in _REFUSING else quiet)[event.direction]


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


def _result(event: ev.DeliveryAttempt) -> str:
    return "Expire" if event.final == "expired" else _RESULTS[type(event.outcome)]


def _delivery(event: ev.DeliveryAttempt, privacy: Privacy) -> Fields:
    """Tell an attempt in OpenSMTPD's words (``mta delivery``, ``mda delivery``), and some more."""
    reply = event.outcome.reply
    same = event.recipient == event.destination
    people = (
        (event.destination, event.reverse_path) if same else (event.destination, event.recipient, event.reverse_path)
    )
    fields: Fields = {
        "evpid": event.evpid,
        "msgid": msgid_of(event.evpid),
        "from": privacy.address(event.reverse_path),
        "to": privacy.address(event.destination),
        "rcpt": "-" if same else privacy.address(event.recipient),
        "source": event.source,
        "relay": event.relay,
        "delay_seconds": round(event.delay_seconds, 3),
        "result": _result(event),
        "stat": privacy.scrub(str(reply), people if same else (*people, event.recipient)),
        "attempt": event.attempt,
        "code": reply.code,
        "status": reply.status,
        "transport": event.transport,
        "action": event.action,
    }
    _add_options(fields, event, privacy)
    return fields


def _add_options(fields: Fields, event: ev.DeliveryAttempt, privacy: Privacy) -> None:
    """Add what only some attempts have."""
    if event.session:
        fields["session"] = event.session
    if event.user:
        fields["user"] = privacy.user(event.user)
    if event.tls:
        fields["tls_version"] = event.tls
    if event.next_attempt_at:
        fields["next_attempt"] = _moment(event.next_attempt_at)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _queue(event: ev.QueueEvent, _: Privacy) -> Fields:
    fields: Fields = {"msgid": event.msgid, "envelopes": event.envelopes}
    if event.evpid:
        fields["evpid"] = event.evpid
    if event.source:
        fields["source"] = event.source
    if event.size:
        fields["size"] = event.size
    return fields


def _bounce(event: ev.BounceEvent, _: Privacy) -> Fields:
    about = msgid_of(event.evpids[0]) if event.evpids else event.msgid
    fields: Fields = {"msgid": about, "kind": event.kind, "result": event.result, "evpids": " ".join(event.evpids)}
    return fields | ({"bounce_msgid": event.msgid} if event.msgid else {})


def _config(event: ev.ConfigEvent, privacy: Privacy) -> Fields:
    fields: Fields = {"generation": event.generation, "digest": event.digest}
    reason: Fields = {"reason": privacy.scrub(event.reason)} if event.reason else {}
    return fields | reason


def _tls_failure(event: ev.TlsFailure, _: Privacy) -> Fields:
    return {"session": event.session, "direction": event.direction, "reason": event.reason}


def _notice(event: ev.Notice, privacy: Privacy) -> Fields:
    fields: Fields = {
        f"{key}_" if key in _RESERVED else key: privacy.scrub(value) if isinstance(value, str) else value
        for key, value in event.details.items()
    }
    return fields if event.event in LOG_NAMES else {"name": event.event, **fields}


def _notice_title(event: ev.Notice) -> Title:
    return event.level, event.event if event.event in LOG_NAMES else "log.unlisted"


def _filter_answer(event: FilterAnswer, _: Privacy) -> Fields:
    return {
        "filter": event.filter,
        "phase": event.phase,
        "response": event.response,
        "session": event.session,
        "duration_seconds": round(event.duration_seconds, 6),
    }


def _filter_fault(event: FilterFault, privacy: Privacy) -> Fields:
    return {
        "filter": event.filter,
        "phase": event.phase,
        "reason": event.reason,
        "session": event.session,
        "cause": privacy.scrub(event.cause),
    }


def _answer_title(event: FilterAnswer) -> Title:
    noted = event.shadow and event.response != "proceed"
    return ("info", "filter.shadow") if noted else ("debug", "filter.answered")


_DELIVERIES: Final[dict[str, Title]] = {result: ("info", f"delivery.{name}") for result, name in _NAMES.items()}
_CHANGES: Final[dict[str, Title]] = {
    name.partition(".")[2]: (found.level, name) for name, found in LOG_NAMES.items() if name.startswith("queue.")
}
_CONFIGS: Final[dict[str, Title]] = {"loaded": ("info", "config.loaded"), "rejected": ("warning", "config.rejected")}
_SPECIAL_TITLES: Final = {
    ev.TxMail: _verdict_title,
    ev.TxRcpt: _verdict_title,
    ev.TxData: _verdict_title,
    ev.FilterResponse: _response_title,
}


def _form(kind: type[ev.Report]) -> Form:
    begin = _transaction if issubclass(kind, ev.Transaction) else _link
    return Form(_SPECIAL_TITLES.get(kind, _fixed_title)(kind), begin(_REPORTS.get(kind)))


_KINDS: Final = tuple(
    kind for kind in (*ev.Report.__subclasses__(), *ev.Transaction.__subclasses__()) if kind is not ev.Transaction
)
FORMS: Final[dict[type, Form]] = {
    **{kind: _form(kind) for kind in _KINDS},
    ev.DeliveryAttempt: Form(lambda event: _DELIVERIES[_result(event)], _delivery),
    ev.QueueEvent: Form(lambda event: _CHANGES[event.change], _queue),
    ev.BounceEvent: Form(lambda _: ("info", "delivery.bounced"), _bounce),
    ev.ConfigEvent: Form(lambda event: _CONFIGS[event.change], _config),
    FilterAnswer: Form(_answer_title, _filter_answer),
    FilterFault: Form(
        lambda event: ("warning", "filter.timeout" if event.reason == "timeout" else "filter.failed"), _filter_fault
    ),
    ev.TlsFailure: Form(lambda _: ("info", "tls.failed"), _tls_failure),
    ev.Notice: Form(_notice_title, _notice),
}
"""All events with a line; the others are only counted."""
LOUDEST: Final[dict[type, Level]] = {
    kind: "info" if kind in _SPECIAL_TITLES else LOG_NAMES[f"smtp-in.{kind.name}"].level for kind in _KINDS
}
"""How loud the line of a report can be: the log wants no quieter ones from the bus at all."""
