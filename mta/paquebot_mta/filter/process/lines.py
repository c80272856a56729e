"""What a filter is told, as lines: reports, questions and content (smtpd-filters(7), protocols 0.4 to 0.7).

Fields are split by ``|`` and only the last one may hold it; control characters never enter a line of text. Content is
bytes: given as it came, dots stuffed, without CR. Must not know sessions, processes or sockets.
"""

import re
from typing import Final, Literal

from paquebot_mta.config.filters import Phase
from paquebot_mta.telemetry.events import LinkAuth, Report, TxMail, TxRcpt

Version = Literal["0.4", "0.5", "0.6", "0.7"]
RESULT_FIRST: Final[frozenset[Version]] = frozenset({"0.6", "0.7"})
"""Where tx-mail and tx-rcpt give the result before the address."""
SESSION_FIRST: Final[frozenset[Version]] = frozenset({"0.5", "0.6", "0.7"})
"""Where questions are answered with the session before the token."""

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SUBSYSTEMS: Final = {"in": "smtp-in", "out": "smtp-out"}


def clean(text: str) -> str:
    """Make a last field: control characters, and what is no text at all, become ``?``."""
    return text if text.isascii() and text.isprintable() else _CONTROL.sub("?", text)


def inner(text: str) -> str:
    """Make a field that others follow: no ``|`` either."""
    return clean(text).replace("|", "?")


def join_fields(fields: tuple[str, ...]) -> str:
    """Join fields, each led by ``|``."""
    if not fields:
        return ""
    *before, last = fields
    return "".join([f"|{inner(each)}" for each in before]) + f"|{clean(last)}"


def fields_of(event: Report, version: Version) -> tuple[str, ...]:
    """Give an event's parameters in the order of a version.

    0.6 put the result of tx-mail and tx-rcpt before the address, 0.7 that of link-auth before the name.
    """
    fields = event.fields()
    if isinstance(event, LinkAuth) and version != "0.7":
        return fields[::-1]
    if isinstance(event, TxMail | TxRcpt) and version not in RESULT_FIRST:
        msgid, result, address = fields
        return (msgid, address, result)
    return fields


def report_line(event: Report, at: float, version: Version = "0.7") -> bytes:
    """Spell a report, its LF included; ``at`` is seconds since 1970."""
    fields = event.fields() if version == "0.7" else fields_of(event, version)
    text = "|".join(fields)
    # One look at all fields is cheaper than some at each, and nearly always enough: nothing in them must be replaced.
    if text.isascii() and text.isprintable() and text.count("|") < len(fields):
        bar = "|" if fields else ""
    else:
        bar, text = "", join_fields(fields)
    head = f"report|{version}|{at:.6f}|{_SUBSYSTEMS[event.direction]}|{event.name}|{event.session}"
    return f"{head}{bar}{text}\n".encode("utf-8", "replace")


def question_line(phase: Phase, session: str, token: int, parameter: str, at: float, version: Version) -> bytes:
    """Spell a question about a phase, its LF included."""
    return f"{_question(phase, session, token, at, version)}{clean(parameter)}\n".encode("utf-8", "replace")


def question_head(phase: Phase, session: str, token: int, at: float, version: Version) -> bytes:
    """Spell all of a question but its parameter."""
    return _question(phase, session, token, at, version).encode()


def _question(phase: Phase, session: str, token: int, at: float, version: Version) -> str:
    return f"filter|{version}|{at:.6f}|smtp-in|{phase}|{session}|{token:016x}|"


def content_lines(head: bytes, content: bytes) -> bytes:
    """Spell whole lines of content (CRLF, dots unstuffed) as questions about data-line, one each."""
    return b"".join([head + _stuffed(line) + b"\n" for line in content.split(b"\r\n")[:-1]])


def _stuffed(line: bytes) -> bytes:
    return b"." + line if line.startswith(b".") else line
