"""The fields of message/delivery-status (RFC 3464, 2.2 and 2.3), safe whatever the values hold. Pure."""

import re
from collections.abc import Iterator
from email.utils import formatdate
from ipaddress import ip_address
from typing import Final

from msgspec import Struct

from paquebot_mta.bounce.policy import Action, Kind, RecipientReport
from paquebot_mta.mail.envelope import Message
from paquebot_mta.mail.reply import Reply

TEXT_CHARACTERS: Final = 1_000
"""What is kept of a remote server's words."""
_LINE_CHARACTERS: Final = 76
_XTEXT: Final = re.compile(r"\+([0-9A-F]{2})")
_REMOTE: Final = re.compile(r"(?P<address>[^ ]+)(?: \((?P<name>[^ )]+)\))?")
_WORD_CHARACTERS: Final = 700


class Style(Struct, frozen=True):
    """How texts are written: with RFC 6533's UTF-8, or in ASCII with escapes."""

    utf8: bool

    def text(self, value: str) -> str:
        """Escape what may not stand in a report, and cut it."""
        printable = "".join(char if char.isprintable() else " " for char in value)[:TEXT_CHARACTERS]
        return printable if self.utf8 else printable.encode("ascii", "backslashreplace").decode()

    def address(self, value: str) -> str:
        """Give address type and address (RFC 3464, 2.1.2; RFC 6533, 3)."""
        if value.isascii():
            return f"rfc822; {self.text(value)}"
        if self.utf8:
            return f"utf-8; {self.text(value)}"
        # utf-8-addr-xtext: what a 7-bit report can hold (RFC 6533, 3).
        return "utf-8; " + "".join(
            char if char.isascii() and char.isprintable() else f"\\x{{{ord(char):X}}}" for char in value
        )


def message_fields(message: Message, hostname: str, style: Style) -> list[str]:
    """Make the fields of the whole message."""
    fields = [f"Reporting-MTA: dns; {hostname}"]
    if message.dsn_envelope_id:
        fields.insert(0, f"Original-Envelope-Id: {style.text(decode_xtext(message.dsn_envelope_id))}")
    fields.append(f"Arrival-Date: {formatdate(message.created_at)}")
    return fields


def recipient_fields(kind: Kind, report: RecipientReport, style: Style) -> list[str]:
    """Make the fields of one recipient."""
    return list(_recipient_fields(kind, report, style))


def _recipient_fields(kind: Kind, report: RecipientReport, style: Style) -> Iterator[str]:
    if report.envelope.original_recipient:
        yield f"Original-Recipient: {_original(report.envelope.original_recipient, style)}"
    yield f"Final-Recipient: {style.address(report.envelope.destination)}"
    yield f"Action: {action(kind, report)}"
    yield f"Status: {status(kind, report.reply)}"
    if report.remote:
        # Only of a server that had its part in the attempt (RFC 3464, 2.3.5).
        yield f"Remote-MTA: dns; {style.text(remote_name(report.remote))}"
    yield from _diagnostic(kind, report.last_reply or report.reply, style)
    if report.attempted_at:
        yield f"Last-Attempt-Date: {formatdate(report.attempted_at)}"
    if kind == "delay" and report.retry_until:
        yield f"Will-Retry-Until: {formatdate(report.retry_until)}"


def _diagnostic(kind: Kind, reply: Reply, style: Style) -> Iterator[str]:
    """Quote a server as ``smtp``, and nobody else (RFC 3464, 2.3.6): our own reasons have a type of our own."""
    if reply.remote or kind != "success":
        yield f"Diagnostic-Code: {'smtp' if reply.remote else 'x-paquebot'}; {style.text(str(reply))}"


def _original(value: str, style: Style) -> str:
    """Spell ORCPT: type and xtext (RFC 3461, 4.2)."""
    kind, separator, address = value.partition(";")
    return f"{style.text(kind)}; {style.text(decode_xtext(address))}" if separator else style.address(value)


def action(kind: Kind, report: RecipientReport) -> Action:
    """Name what was done (RFC 3464, 2.3.3)."""
    if kind == "success":
        return "relayed" if report.relayed else "delivered"
    return "failed" if kind == "failure" else "delayed"


def status(kind: Kind, reply: Reply) -> str:
    """Give the enhanced status code, a general one of the right class if there is none (RFC 3463, 2)."""
    if reply.status:
        return reply.status
    if kind == "failure":
        return "5.0.0" if reply.permanent else "4.0.0"
    return "4.0.0" if kind == "delay" else "2.0.0"


def remote_name(remote: str) -> str:
    """Take the host name out of ``192.0.2.1 (mx.example.org)``, else the address as a literal (RFC 5321, 4.1.3)."""
    found = _REMOTE.fullmatch(remote)
    name = (found["name"] or found["address"]) if found else remote
    try:
        address = ip_address(name)
    except ValueError:
        return name
    return f"[{'IPv6:' if address.version == 6 else ''}{address}]"


def decode_xtext(value: str) -> str:
    """Undo ``+HH`` (RFC 3461, 4); anything else stays as it is."""
    return _XTEXT.sub(lambda found: chr(int(found[1], 16)), value)


def fold(field: str) -> str:
    """Fold a field at spaces so that lines stay short; a word without an end is broken (RFC 5322, 2.1.1)."""
    lines, line = [], ""
    for word in (piece for each in field.split(" ") for piece in _pieces(each)):
        if line and len(line) + 1 + len(word) > _LINE_CHARACTERS and line.strip():
            lines.append(line)
            line = f" {word}"
        else:
            line = f"{line} {word}" if line else word
    return "\n".join(each for each in (*lines, line) if each.strip())


def _pieces(word: str) -> list[str]:
    return [word[at : at + _WORD_CHARACTERS] for at in range(0, len(word), _WORD_CHARACTERS)] or [""]
