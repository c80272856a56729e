"""What a filter says: results of phases and lines of content, and what they mean (smtpd-filters(7)).

Whatever else it says is a fault of the protocol; nothing here knows which questions were asked.
"""

import re
from typing import Final

from msgspec import Struct

from paquebot_mta.config.filters import Phase
from paquebot_mta.filter.decisions import (
    JUNK,
    PROCEED,
    Decision,
    Disconnect,
    Reject,
    Rewrite,
    Say,
)
from paquebot_mta.filter.process.lines import SESSION_FIRST, Version, clean
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.mail.reply import Reply

INTERNAL_ERROR: Final = Reply(421, "Internal server error")
"""Instead of a reply that is none."""
_ID: Final = re.compile(rb"[0-9a-fA-F]{1,16}")
_PROCEEDS: Final = re.compile(rb"filter-result\|([0-9a-f]{16})\|([0-9a-f]{16})\|proceed")
"""What nearly all answers are, as nearly all filters spell them: with ids as they were told."""
_REPLY: Final = re.compile(r"([45][0-9]{2}) (?:([45]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$))?(.*)")
_WITH_PARAMETER: Final = frozenset({b"reject", b"disconnect", b"rewrite", b"report"})
_WITHOUT: Final = frozenset({b"proceed", b"junk"})
_KEY_FIELDS: Final = 3
_REPLY_BYTES: Final = 512
"""The longest reply line, code and CRLF included (RFC 5321, 4.5.3.1.5)."""


class ProtocolFault(Exception):  # noqa: N818 - a fault of the filter's, in the words of the protocol
    """A filter said what the protocol doesn't allow: it can't be trusted any further."""


class Result(Struct, frozen=True):
    """A phase is decided: ``response`` with its parameter, empty without."""

    session: SessionId
    token: int
    response: str
    parameter: str


class ContentLine(Struct, frozen=True):
    """A line of content as it was said: stuffed, without line end; ``.`` ends the message."""

    session: SessionId
    token: int
    line: bytes


class Remark(Struct, frozen=True):
    """A line ``report|...`` of the filter's own, for the log."""

    text: str


Answer = Result | ContentLine | Remark


def parse_answer(line: bytes, version: Version) -> Answer:
    """Read one line, without its LF.

    Raises:
        ProtocolFault: it isn't one that a filter may say.
    """
    usual = _PROCEEDS.fullmatch(line)
    if usual is not None and version in SESSION_FIRST:
        return Result(SessionId(usual[1].decode("ascii")), int(usual[2], 16), "proceed", "")
    kind, _, rest = line.partition(b"|")
    if kind == b"report":
        return Remark(_text(rest))
    if kind not in {b"filter-result", b"filter-dataline"}:
        raise ProtocolFault(f"it said {_quoted(line)}")
    parts = rest.split(b"|", 2)
    if len(parts) != _KEY_FIELDS:
        raise ProtocolFault(f"fields are missing in {_quoted(line)}")
    first, second, rest = parts
    if not (_ID.fullmatch(first) and _ID.fullmatch(second)):
        raise ProtocolFault(f"no session and token in {_quoted(line)}")
    if version not in SESSION_FIRST:
        first, second = second, first
    session, token = SessionId(f"{int(first, 16):016x}"), int(second, 16)
    return ContentLine(session, token, rest) if kind == b"filter-dataline" else _result(session, token, rest)


def _result(session: SessionId, token: int, rest: bytes) -> Result:
    response, bar, parameter = rest.partition(b"|")
    if response in _WITHOUT or (response in _WITH_PARAMETER and bar):
        return Result(session, token, response.decode("ascii"), _text(parameter))
    raise ProtocolFault(f"it decided {_quoted(rest)}")


def decision_of(result: Result, phase: Phase) -> Decision:
    """Say what a result means.

    Raises:
        ProtocolFault: a filter may not decide so in this phase.
    """
    match result.response:
        case "proceed":
            return PROCEED
        case "junk":
            if phase == "commit":
                raise ProtocolFault("it decided junk in the phase commit")
            return JUNK
        case "rewrite":
            return Rewrite(result.parameter)
        case "report":
            return Say(result.parameter)
    reply = reply_of(result.parameter)
    # RFC 5321, 3.8: after 421 the connection ends.
    return Disconnect(reply) if result.response == "disconnect" or reply.code == 421 else Reject(reply)


def reply_of(text: str) -> Reply:
    """Read ``4yz text`` or ``5yz text``, maybe with an enhanced status code of the same class (RFC 3463).

    A text that is too long for a line is cut.
    """
    found = _REPLY.fullmatch(text)
    if found is None:
        return INTERNAL_ERROR
    code, status, rest = found.groups()
    if status is None or status[0] != code[0]:
        rest, status = text[4:], ""
    room = _REPLY_BYTES - len(f"{code} {status} \r\n")
    rest = rest.encode("utf-8", "replace")[:room].decode("utf-8", "ignore")
    return Reply(int(code), rest, status) if rest or status else INTERNAL_ERROR


def _text(field: bytes) -> str:
    return clean(field.decode("utf-8", "replace"))


def _quoted(line: bytes) -> str:
    """Show the begin of a line in a message for people."""
    text = _text(line[:80])
    return f'"{text}"' if len(line) <= 80 else f'"{text}..."'
