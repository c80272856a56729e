"""What a submission server completes in a header (RFC 6409, 8): Date and Message-ID added, Bcc taken away."""

from paquebot_mta.accept.received import format_date
from paquebot_mta.mail.header import scan_fields, strip_fields
from paquebot_mta.mail.ids import RandomBits


def complete_header(header: bytes, hostname: str, now: float, randbits: RandomBits) -> bytes:
    """Give the header section with what was missing in front; the order of all other fields stays.

    Args:
        header: the section, with the empty line that ends it, if the content has one.
        hostname: right side of a new Message-ID.
        now: seconds since 1970.
        randbits: source of the Message-ID.
    """
    names = {field.name.lower() for field in scan_fields(header, len(header))}
    if b"bcc" in names:  # RFC 5322, 3.6.3
        header = strip_fields(header, b"Bcc", len(header))
    added = b""
    if b"date" not in names:
        added += f"Date: {format_date(int(now))}\r\n".encode()
    if b"message-id" not in names:
        added += f"Message-ID: <{randbits(96):024x}@{hostname}>\r\n".encode()
    return added + header
