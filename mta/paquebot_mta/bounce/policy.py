"""Who is told what: which envelopes a notification is made for (RFC 3461, 4.1; RFC 5321, 6.1). Pure."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from paquebot_mta.mail.envelope import Envelope, EnvelopeState, Message, Notify
from paquebot_mta.mail.ids import Evpid
from paquebot_mta.mail.outcome import Delivered, Outcome
from paquebot_mta.mail.reply import Reply

Kind = Literal["failure", "delay", "success"]
Action = Literal["failed", "delayed", "delivered", "relayed", "expanded"]
Verdict = Literal["send", "null-reverse-path", "not-requested", "next-hop"]
"""Send it; or not: nobody to tell, nobody wants it, or the next hop will tell (it knows DSN)."""


class RecipientReport(Struct, frozen=True):
    """What is told of one recipient.

    Attributes:
        envelope: which.
        reply: what the delivery ended with, or our own reason.
        last_reply: what the last attempt ended with, where the reply is that time is up; else None.
        remote: the server that was reached, as ``192.0.2.1 (mx.example.org)``; empty if there was none. Only a reply
            that is ``remote`` is in its words.
        relayed: handed to a next hop, not to a mailbox.
        attempted_at: of the last attempt, seconds since 1970, 0 if there was none.
        retry_until: when we stop trying (delays), 0 if it does not matter.
    """

    envelope: Envelope
    reply: Reply
    remote: str = ""
    relayed: bool = False
    attempted_at: float = 0.0
    retry_until: float = 0.0
    last_reply: Reply | None = None


class Selection(Struct, frozen=True):
    """Of a message's reports, those that go into one notification, and those nobody gets."""

    send: tuple[RecipientReport, ...]
    suppressed: tuple[Evpid, ...]


_WANTED: dict[Kind, Notify] = {
    "failure": Notify.FAILURE,
    "delay": Notify.DELAY,
    "success": Notify.SUCCESS,
}


def judge(kind: Kind, message: Message, envelope: Envelope, outcome: Outcome | None = None) -> Verdict:
    """Say whether a notification of that kind is due for an envelope; ``outcome`` matters for successes.

    Nothing is ever sent for a null reverse-path or one of our own notifications (RFC 5321, 4.5.5). Without NOTIFY,
    failures and delays are told (RFC 3461, 4.1).
    """
    if not message.reverse_path or message.kind == "bounce":
        return "null-reverse-path"
    wanted = envelope.notify or Notify.FAILURE | Notify.DELAY
    if Notify.NEVER in wanted or _WANTED[kind] not in wanted:
        return "not-requested"
    if kind == "success" and isinstance(outcome, Delivered) and outcome.dsn_passed:
        return "next-hop"
    return "send"


def select(kind: Kind, message: Message, reports: Sequence[RecipientReport]) -> Selection:
    """Part the reports of one message into those of its one notification and those that are suppressed."""
    send = tuple(each for each in reports if judge(kind, message, each.envelope) == "send")
    kept = {each.envelope.evpid for each in send}
    return Selection(send, tuple(each.envelope.evpid for each in reports if each.envelope.evpid not in kept))


def due_warning(
    message: Message, state: EnvelopeState, *, next_attempt_at: float, warn_after_seconds: Sequence[int]
) -> float | None:
    """Say whether a delay is to be told: the next attempt comes after an age that was not warned of yet.

    Returns the time of that age, to be kept as ``warned_at`` so that the age is warned of once; None if nothing is due.
    """
    passed = [message.created_at + age for age in warn_after_seconds if next_attempt_at >= message.created_at + age]
    return max(passed) if passed and state.warned_at < max(passed) else None


def wants_content(kind: Kind, message: Message, attach: Literal["Headers", "Full"]) -> bool:
    """Whether the whole message is returned: only failures, and as RET says (RFC 3461, 4.3)."""
    asked = message.dsn_return or ("FULL" if attach == "Full" else "HDRS")
    return kind == "failure" and asked == "FULL"
