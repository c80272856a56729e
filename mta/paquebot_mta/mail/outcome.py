"""What became of one recipient in one delivery attempt: a value, never a bool, never an exception across stages."""

from msgspec import Struct

from paquebot_mta.mail.reply import Reply


class Delivered(Struct, frozen=True, tag="Ok"):
    """The next hop took responsibility.

    Attributes:
        reply: its reply (for a maildir or mbox: ours).
        dsn_passed: the next hop knows DSN (RFC 3461), so a SUCCESS notification is its duty, not ours.
    """

    reply: Reply
    dsn_passed: bool = False


class Deferred(Struct, frozen=True, tag="TempFail"):
    """Try again later.

    Attributes:
        reply: why (4yz).
        retry_after_seconds: it was held back, not tried, and may be tried after that; None lets the back-off decide.
        ambiguous: the end of data was sent and not answered, so the next attempt may make a second copy.
    """

    reply: Reply
    retry_after_seconds: float | None = None
    ambiguous: bool = False


class Failed(Struct, frozen=True, tag="PermFail"):
    """Never try again: bounce (5yz)."""

    reply: Reply


class Looped(Struct, frozen=True, tag="Loop"):
    """The message has been here before: bounce, and say so."""

    reply: Reply


Outcome = Delivered | Deferred | Failed | Looped


def outcome_of(reply: Reply, *, dsn_passed: bool = False) -> Outcome:
    """Judge a final reply: 2yz delivered, 5yz failed, anything else deferred (RFC 5321, 4.2.1)."""
    if 200 <= reply.code < 300:
        return Delivered(reply, dsn_passed)
    return Failed(reply) if reply.permanent else Deferred(reply)
