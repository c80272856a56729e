"""What a submission server completes in a header (RFC 6409, 8): Date and Message-ID added, Bcc and Resent-Bcc
taken away, addresses without domain completed, and From made the sender's where a listener masquerades. All other bytes
stay as they came, but a header that no empty line ends gets one: what a user wrote is never taken for fields.
"""

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Final

from paquebot_mta.accept.mailboxes import complete_mailboxes, replace_mailbox
from paquebot_mta.accept.received import format_date
from paquebot_mta.mail.header import Field, scan_fields
from paquebot_mta.mail.ids import RandomBits

_WITH_MAILBOXES: Final = frozenset({b"from", b"to", b"cc"})
_SECRET: Final = frozenset({b"bcc", b"resent-bcc"})  # RFC 5322, 3.6.3, 3.6.6


def complete_header(
    header: bytes, hostname: str, now: float, randbits: RandomBits, *, domain: str = "", masquerade: str | None = None
) -> bytes:
    """Give the header section with what was missing in front; the order of all other fields stays.

    Args:
        header: the section, with the empty line that ends it, if the content has one. The first line that is no field
            ends it as well: it and what follows is text, in front of which the empty line is put.
        hostname: right side of a new Message-ID.
        now: seconds since 1970.
        randbits: source of the Message-ID.
        domain: of addresses that have none, empty for the host name.
        masquerade: address that From must have, whatever the user wrote; None leaves it.
    """
    header = _without_mailbox_line(header)
    fields = list(takewhile(lambda field: field.name, scan_fields(header, len(header))))
    names = {field.name.lower() for field in fields}
    added = b""
    if b"date" not in names:
        added += f"Date: {format_date(int(now))}\r\n".encode()
    if b"message-id" not in names:
        added += f"Message-ID: <{randbits(96):024x}@{hostname}>\r\n".encode()
    if masquerade is not None and b"from" not in names:
        added += f"From: {masquerade}\r\n".encode()
    change = _Change((domain or hostname).encode(), None if masquerade is None else masquerade.encode())
    rest = header[fields[-1].end :] if fields else header
    blank = b"" if not rest or rest.startswith(b"\r\n") else b"\r\n"
    return added + b"".join(_rewrite(header, fields, change)) + blank + rest


def _without_mailbox_line(header: bytes) -> bytes:
    """Cut off the line that a mailbox puts in front of a message (RFC 4155), if a field follows it: else it is text."""
    if not header.startswith(b"From "):
        return header
    rest = header.partition(b"\r\n")[2]
    first = next(scan_fields(rest, len(rest)), None)
    return rest if first is not None and first.name else header


class _Change:
    """Says what becomes of a value; of several From fields a masquerade leaves one."""

    def __init__(self, domain: bytes, sender: bytes | None) -> None:
        self._domain = domain
        self._sender = sender
        self._seen_from = False

    def __call__(self, name: bytes, value: bytes) -> bytes | None:
        if name == b"from" and self._sender is not None:
            first, self._seen_from = not self._seen_from, True
            return replace_mailbox(value, self._sender) if first else None
        return complete_mailboxes(value, self._domain)


def _rewrite(header: bytes, fields: list[Field], change: Callable[[bytes, bytes], bytes | None]) -> Iterator[bytes]:
    """Give the fields one by one, changed or not; what isn't yielded is gone."""
    for field in fields:
        name = field.name.lower()
        if name in _SECRET:
            continue
        whole = header[field.start : field.end]
        if name not in _WITH_MAILBOXES:
            yield whole
            continue
        value = change(name, field.value)
        if value is None:
            continue
        start = whole.index(b":") + 1
        yield whole if value == field.value else whole[:start] + value + whole[start + len(field.value) :]
