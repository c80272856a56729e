"""What became of one RCPT: targets to queue, or the reply that refuses it. Knows nothing of sessions or the spool."""

from typing import Literal, Protocol

from msgspec import Struct

from paquebot_mta.mail.address import Address
from paquebot_mta.mail.reply import Reply

Reason = Literal[
    "unknown_user", "relay_denied", "greylist", "rate", "filter", "spf",
    "dmarc", "dnsbl", "size", "full", "syntax", "other",
]  # fmt: skip
"""The vocabulary of the metric of rejections."""


class Facts(Struct, frozen=True):
    """What rules may know of the session that sends RCPT.

    Attributes:
        client_address: IP address text, or ``local`` for a unix socket and for mail that we make ourselves.
        client_name: its verified reverse name, ``<unknown>`` or empty if there is none.
        helo: name given in HELO or EHLO.
        tag: of the listener.
        user: authenticated user name, empty if none.
        tls: the session is encrypted.
        local: the session counts as local, whatever its address (RFC 5321 knows no such thing; OpenSMTPD does).
    """

    client_address: str
    client_name: str = ""
    helo: str = ""
    tag: str = ""
    user: str = ""
    tls: bool = False
    local: bool = False


class Target(Struct, frozen=True):
    """One destination of a recipient after expansion: one envelope.

    Attributes:
        destination: full address (``alice@example.test``).
        action: name of an action, or ``domain:<name>`` for a hosted domain's own delivery.
        user: mailbox, folded to lower case; empty for relaying.
        extension: sub-address without its delimiter.
        ttl_seconds: the action's own time to live, None for the queue's.
    """

    destination: str
    action: str
    user: str = ""
    extension: str = ""
    ttl_seconds: int | None = None


class Accepted(Struct, frozen=True):
    """The recipient is good: at least one target, each but once, and the name of the rule that let it in."""

    targets: tuple[Target, ...]
    rule: str


class Refused(Struct, frozen=True):
    """The recipient is not taken: the reply to RCPT (the address already appended) and the reason for metrics."""

    reply: Reply
    reason: Reason


class Expander(Protocol):
    """Rules and aliases together: what RCPT needs to know before it is answered."""

    async def expand(self, facts: Facts, reverse_path: Address | None, recipient: Address) -> Accepted | Refused:
        """Judge one recipient; ``reverse_path`` None is the null reverse-path. Faults of tables are 4yz replies."""
