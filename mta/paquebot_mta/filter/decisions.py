"""What a filter may decide about a phase."""

from dataclasses import dataclass
from typing import Final

from paquebot_mta.mail.reply import Reply


@dataclass(frozen=True, slots=True)
class Proceed:
    """Go on; the next filter of the chain is asked."""


@dataclass(frozen=True, slots=True)
class Junk:
    """Go on, and mark the message as spam (``X-Spam: yes``); not in commit."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Go on with another parameter: the whole of it, ``<address>`` for mail-from and rcpt-to; it is parsed again."""

    parameter: str


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse the command, or the message; 4yz or 5yz, a 421 ends the session."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Refuse and end the session."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Bypass:
    """Go on, and ask no further filter of the chain in this phase."""


@dataclass(frozen=True, slots=True)
class Say:
    """Report a text, and go on with the chain."""

    message: str


Decision = Proceed | Junk | Rewrite | Reject | Disconnect | Bypass | Say
PROCEED: Final = Proceed()
JUNK: Final = Junk()
BYPASS: Final = Bypass()


def staying(refusal: Reject | Disconnect) -> Reject:
    """Give what becomes of a refusal where nobody may hang up; 421 is for those who do (RFC 5321, 3.8)."""
    reply = refusal.reply
    return Reject(Reply(451, reply.text, "4.7.1") if reply.code == 421 else reply)
