"""What a submission server completes in a header (RFC 6409, 8): Date and Message-ID added, Bcc taken away, addresses
without domain completed, and From made the sender's where a listener masquerades. All other bytes stay as they came.
"""

from collections.abc import Callable, Iterator
from typing import Final

from paquebot_mta.accept.mailboxes import complete_mailboxes, replace_mailbox
from paquebot_mta.accept.received import format_date
from paquebot_mta.mail.header import Field, scan_fields
from paquebot_mta.mail.ids import RandomBits

_WITH_MAILBOXES: Final = frozenset({b"from", b"to", b"cc"})
_SECRET: Final = b"bcc"  # RFC 5322, 3.6.3


def complete_header(
    header: bytes, hostname: str, now: float, randbits: RandomBits, *, masquerade: str | None = None
) -> bytes:
    """Give the header section with what was missing in front; the order of all other fields stays.

    Args:
        header: the section, with the empty line that ends it, if the content has one.
        hostname: right side of a new Message-ID, and of addresses without domain.
        now: seconds since 1970.
        randbits: source of the Message-ID.
        masquerade: address that From must have, whatever the user wrote; None leaves it.
    """
    fields = list(scan_fields(header, len(header)))
    names = {field.name.lower() for field in fields}
    added = b""
    if b"date" not in names:
        added += f"Date: {format_date(int(now))}\r\n".encode()
    if b"message-id" not in names:
        added += f"Message-ID: <{randbits(96):024x}@{hostname}>\r\n".encode()
    if masquerade is not None and b"from" not in names:
        added += f"From: {masquerade}\r\n".encode()
    change = _Change(hostname.encode(), None if masquerade is None else masquerade.encode())
    end = fields[-1].end if fields else 0
    return added + b"".join(_rewrite(header, fields, change)) + header[end:]


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
        if name == _SECRET:
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
