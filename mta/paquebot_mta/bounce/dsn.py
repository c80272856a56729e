"""Delivery status notifications (RFC 3461 to 3464, RFC 6533): one report on all recipients of a message. Pure.

A remote server's words are hostile: they come escaped, cut and folded. What is returned of the message is bytes as
they were, capped; nothing is parsed and made anew.
"""

from collections.abc import Sequence
from email.utils import formatdate
from typing import Final

from msgspec import Struct

from paquebot_mta.bounce import wording
from paquebot_mta.bounce.fields import Style, fold, message_fields, recipient_fields
from paquebot_mta.bounce.policy import Kind, RecipientReport
from paquebot_mta.mail.envelope import Body, Message
from paquebot_mta.mail.header import find_body, scan_fields

RETURNED_BYTES: Final = 51_200
"""How much of the original message is returned; a longer one is returned as its header (RFC 3461, 6.2)."""


class Reporter(Struct, frozen=True):
    """Who reports.

    Attributes:
        hostname: our name.
        author: local-part or address in From.
    """

    hostname: str
    author: str = "MAILER-DAEMON"


class Stamp(Struct, frozen=True):
    """What makes a report unique: when it was made (seconds since 1970), its id and 64 random bits or so as text."""

    now: float
    id: str
    boundary: str


class Notification(Struct, frozen=True):
    """A finished report: content with CRLF line ends, and what MAIL must say about it."""

    content: bytes
    body: Body
    smtputf8: bool


def build_dsn(
    kind: Kind,
    message: Message,
    recipients: Sequence[RecipientReport],
    original: bytes,
    *,
    full: bool,
    reporter: Reporter,
    stamp: Stamp,
) -> Notification:
    """Make the report on these recipients (at least one) of a message with a reverse-path.

    Args:
        kind: what is told of all of them.
        message: the original.
        recipients: and what became of them.
        original: its content, or as much of its beginning as is at hand.
        full: return the whole content if it is at hand and small enough, else the header.
        reporter: we.
        stamp: time and ids.
    """
    utf8 = _needs_utf8(message, recipients, original)
    style = Style(utf8)
    returned = _returned(original, full=full and len(original) == message.size, utf8=utf8)
    boundary = _boundary(stamp.boundary, original)
    explained = wording.explain(kind, recipients, reporter.hostname, style)
    status = _status(kind, message, recipients, reporter, style)
    parts = (
        _part(f"text/plain; charset={'utf-8' if utf8 else 'us-ascii'}", explained),
        _part(f"message/{'global-' if utf8 else ''}delivery-status", status),
        returned,
    )
    framed = b"".join(b"\r\n--" + boundary + b"\r\n" + part for part in parts) + b"\r\n--" + boundary + b"--\r\n"
    eight_bit = not framed.isascii()
    head = _head(kind, message, reporter, stamp, boundary.decode(), eight_bit=eight_bit)
    return Notification(head + framed, "8BITMIME" if eight_bit or utf8 else "7BIT", utf8)


def _needs_utf8(message: Message, recipients: Sequence[RecipientReport], original: bytes) -> bool:
    """Whether RFC 6533's forms are due: only if the sender can read them, and something can't be said without."""
    if not message.smtputf8:
        return False
    addresses = [message.reverse_path, *(each.envelope.destination for each in recipients)]
    header = original[: find_body(original) or len(original)]
    return not (header.isascii() and all(each.isascii() for each in addresses))


def _head(kind: Kind, message: Message, reporter: Reporter, stamp: Stamp, boundary: str, *, eight_bit: bool) -> bytes:
    author = reporter.author if "@" in reporter.author else f"{reporter.author}@{reporter.hostname}"
    lines = (
        f"From: Mail Delivery System <{author}>",
        f"To: <{message.reverse_path}>",
        f"Subject: Delivery status notification: {wording.SUBJECTS[kind]}",
        f"Date: {formatdate(stamp.now)}",
        f"Message-ID: <{stamp.id}@{reporter.hostname}>",
        # RFC 3834, 5: nobody answers automatically to what is automatic.
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        *(("Content-Transfer-Encoding: 8bit",) if eight_bit else ()),
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="{boundary}"',
    )
    return "\r\n".join((*lines, "", "This is a MIME-encapsulated message.", "")).encode()


def _part(content_type: str, text: str) -> bytes:
    """Make a part of text lines separated by LF."""
    body = text.replace("\n", "\r\n").encode()
    encoding = b"" if body.isascii() else b"Content-Transfer-Encoding: 8bit\r\n"
    return f"Content-Type: {content_type}\r\n".encode() + encoding + b"\r\n" + body


def _status(
    kind: Kind, message: Message, recipients: Sequence[RecipientReport], reporter: Reporter, style: Style
) -> str:
    """Make the machine-readable part (RFC 3464, 2.1): a block for the message, then one for each recipient."""
    blocks = [message_fields(message, reporter.hostname, style)]
    blocks += [recipient_fields(kind, each, style) for each in recipients]
    return "\n\n".join("\n".join(fold(field) for field in block) for block in blocks) + "\n"


def _returned(original: bytes, *, full: bool, utf8: bool) -> bytes:
    """Make the part that gives back the message or its header."""
    if full and len(original) <= RETURNED_BYTES:
        content_type, body = ("message/global" if utf8 else "message/rfc822"), original
    else:
        content_type, body = ("message/global-headers" if utf8 else "text/rfc822-headers"), _header_of(original)
    encoding = b"" if body.isascii() else b"Content-Transfer-Encoding: 8bit\r\n"
    return f"Content-Type: {content_type}\r\n".encode() + encoding + b"\r\n" + body


def _header_of(original: bytes) -> bytes:
    """Cut the header off, between fields if it is too long."""
    end = 0
    for field in scan_fields(original, RETURNED_BYTES):
        if field.end < RETURNED_BYTES and original[field.end - 1 : field.end] == b"\n":
            end = field.end
    return original[:end]


def _boundary(wish: str, original: bytes) -> bytes:
    """Make sure that the boundary is not in what is returned (RFC 2046, 5.1.1)."""
    boundary = wish.encode()
    while boundary in original:
        boundary += b"x"
    return boundary
