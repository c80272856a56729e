"""What a filter was told, made comparable: ids, times, ports and texts of replies are blanked."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_EVPID = re.compile(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])")
_MSGID = re.compile(r"(?<=\|)[0-9a-f]{8}(?![0-9a-f])")
_PORT = re.compile(r"(127\.0\.0\.\d+):\d+")
_TLS = re.compile(r"(TLSv1\.\d):[A-Z0-9_-]+:\d+")


@dataclass
class Told:
    """The lines of one session: its reports in order, the questions it led to, and the content."""

    reports: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    content: list[str] = field(default_factory=list)


def sessions(lines: Iterable[str]) -> list[Told]:
    """Sort lines by session, in the order of their begin."""
    found: dict[str, Told] = {}
    for line in lines:
        fields = line.split("|", 6)
        if fields[0] == "report" and len(fields) > 5:
            found.setdefault(fields[5], Told()).reports.append(_report(fields))
        elif fields[0] == "filter":
            told = found.setdefault(fields[5], Told())
            parameter = fields[6].partition("|")[2]
            kept = told.content if fields[4] == "data-line" else told.questions
            kept.append(parameter if fields[4] == "data-line" else f"{fields[4]}|{_blank(parameter)}")
    return [_joined(told) for told in found.values()]


def _report(fields: list[str]) -> str:
    rest = fields[6] if len(fields) > 6 else ""
    if fields[4] == "protocol-server":
        rest = rest[:3]
    if fields[4] == "tx-commit":
        rest = rest.partition("|")[0]  # sizes differ by our Received fields
    return f"{fields[4]}|{_blank('|' + rest)[1:]}"


def _blank(text: str) -> str:
    text = _EVPID.sub("EVPID", text)
    text = _MSGID.sub("MSGID", text)
    text = _PORT.sub(r"\1:PORT", text)
    return _TLS.sub(r"\1:CIPHER:BITS", text)


def _joined(told: Told) -> Told:
    """Make one line of the lines of one reply, and leave out trace fields: their texts are each server's own."""
    reports: list[str] = []
    for line in told.reports:
        if not (line.startswith("protocol-server|") and reports and reports[-1] == line):
            reports.append(line)
    body = [line for line in told.content if not re.match(r"Received: |[ \t]", line)]
    return Told(reports, told.questions, body)
