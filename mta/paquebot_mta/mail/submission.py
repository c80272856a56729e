"""What a program on this machine submits without SMTP: the envelope, and the content as it will be sent. A value."""

from typing import Final

from msgspec import Struct

from paquebot_mta.mail.address import Address, parse_address

DOMAIN_KEYWORD: Final = "XDOMAIN"
"""Of EHLO, to programs of this machine only: the domain of names without one stands behind it (RFC 5321, 4.1.1.1)."""


class Submission(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The envelope of a message that ``sendmail`` was given.

    Attributes:
        sender: the reverse-path, empty for the null one; a name without ``@`` is a user of whoever takes it.
        recipients: at least one; the same holds for a name without ``@``.
        notify: NOTIFY for all recipients (RFC 3461, 4.1), empty if not given.
        dsn_return: RET (RFC 3461, 4.3), ``FULL``, ``HDRS`` or empty.
        envelope_id: ENVID in xtext (RFC 3461, 4.4), empty if not given.
        eight_bit: the content is not ASCII.
    """

    sender: str
    recipients: tuple[str, ...]
    notify: str = ""
    dsn_return: str = ""
    envelope_id: str = ""
    eight_bit: bool = False


def qualify(name: str, domain: str) -> Address:
    """Read an address; a name without ``@`` gets the domain.

    Raises:
        AddressError: it is no address.
    """
    return parse_address(name if "@" in name else f"{name}@{domain}")
