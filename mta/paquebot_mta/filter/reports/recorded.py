"""Recorded reports, read back: lines of a stream, with or without their numbers, into events."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from paquebot_mta.telemetry import events
from paquebot_mta.telemetry.events import Report

_HEAD: Final = re.compile(
    r"(?:([0-9]{1,18})\|)?report\|0\.7\|([0-9]{1,12}\.[0-9]{6})\|smtp-(in|out)\|([a-z-]{1,20})\|([0-9a-f]{16})(?:\||\Z)"
)
_CLASSES: Final[tuple[tuple[type[Report], tuple[str, ...]], ...]] = (
    (events.LinkConnect, ("rdns", "fcrdns", "source", "destination")),
    (events.LinkGreeting, ("hostname",)),
    (events.LinkIdentify, ("method", "identity")),
    (events.LinkAuth, ("result", "username")),
    (events.LinkDisconnect, ()),
    (events.TxReset, ("msgid",)),
    (events.TxBegin, ("msgid",)),
    (events.TxMail, ("msgid", "result", "address")),
    (events.TxRcpt, ("msgid", "result", "address")),
    (events.TxEnvelope, ("msgid", "evpid")),
    (events.TxData, ("msgid", "result")),
    (events.TxRollback, ("msgid",)),
    (events.ProtocolClient, ("command",)),
    (events.ProtocolServer, ("reply",)),
    (events.FilterReport, ("kind", "filter", "message")),
    (events.Timeout, ()),
)
_BY_NAME: Final = {kind.name: (kind, fields) for kind, fields in _CLASSES}
MAX_LINE_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Recorded:
    """One line.

    Attributes:
        sequence: its number, 0 if it has none. at: seconds since 1970.
        line: the report as a filter is told it, without LF.
    """

    sequence: int
    at: float
    event: Report
    line: bytes


def read_line(raw: bytes, endpoint: str) -> Recorded:
    """Read one line without its LF; the event is one of ``endpoint``.

    Raises:
        ValueError: it isn't a report of protocol 0.7.
    """
    text = raw[:MAX_LINE_BYTES].decode("utf-8", "replace")
    if (head := _HEAD.match(text)) is None:
        raise ValueError("not a report of protocol 0.7")
    sequence, at, direction, name, session = head.groups()
    common = {"direction": direction, "session": session, "endpoint": endpoint}
    rest = text[head.end() :]
    if (special := _SPECIAL.get(name)) is not None:
        kind, values = special(rest)
    elif name in _BY_NAME:
        kind, fields = _BY_NAME[name]
        values = _values(fields, rest)
    else:
        raise ValueError(f"no such event: {name}")
    line = raw[raw.index(b"report|") :]
    return Recorded(int(sequence or 0), float(at), msgspec.convert({**common, **values}, kind), line)


def _values(fields: tuple[str, ...], rest: str) -> dict[str, Any]:
    parts = rest.split("|", len(fields) - 1) if fields else []
    if len(parts) != len(fields):
        raise ValueError("fields are missing")
    return dict(zip(fields, parts, strict=True))


def _tls(rest: str) -> tuple[type[Report], dict[str, Any]]:
    version, cipher, bits = (*rest.split(":"), "", "")[:3]
    return events.LinkTls, {"version": version, "cipher": cipher, "bits": _number(bits)}


def _commit(rest: str) -> tuple[type[Report], dict[str, Any]]:
    values = _values(("msgid", "size"), rest)
    return events.TxCommit, {**values, "size": _number(values["size"])}


def _response(rest: str) -> tuple[type[Report], dict[str, Any]]:
    fields = ("phase", "response", "parameter")[: rest.count("|") + 1]
    return events.FilterResponse, _values(fields, rest)


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
        raise ValueError(f"not a number: {text[:20]!r}")
    return int(text)


_SPECIAL: Final[Mapping[str, Callable[[str], tuple[type[Report], dict[str, Any]]]]] = {
    events.LinkTls.name: _tls,
    events.TxCommit.name: _commit,
    events.FilterResponse.name: _response,
}
