"""The envelope: what MAIL and RCPT said, kept apart from the content (RFC 5321, 2.3.1).

One message has one reverse-path, one content and many envelopes; an envelope is one destination after expansion, with
an id of its own, as in OpenSMTPD. These values are stored in the spool, by field name, unknown names ignored: a
field may be added with a default, never renamed or reused.
"""

from enum import IntFlag
from typing import Literal

from msgspec import Struct

from paquebot_mta.mail.ids import Evpid, Msgid, SessionId
from paquebot_mta.mail.reply import Reply


class Notify(IntFlag):
    """NOTIFY of RCPT (RFC 3461, 4.1). Nothing set means that the client said nothing: failures and delays."""

    UNSET = 0
    NEVER = 1
    SUCCESS = 2
    FAILURE = 4
    DELAY = 8


Body = Literal["7BIT", "8BITMIME", "BINARYMIME"]
FinalState = Literal["delivered", "bounced", "expired", "removed", "discarded", "looped"]


class Envelope(Struct, frozen=True, omit_defaults=True):
    """One destination of a message.

    Attributes:
        evpid: id; starts with the message's.
        recipient: the forward-path as RCPT gave it, without <> (``local-part@domain``).
        destination: the address after expansion; equal to ``recipient`` if nothing changed it.
        action: name of the action that delivers it, looked up when it is delivered, so that a mended configuration
            helps queued mail.
        user: the mailbox's name for local actions, else empty.
        extension: sub-address of the recipient (``news`` of ``alice+news``), without the delimiter.
        notify: NOTIFY as bits.
        original_recipient: ORCPT as received, xtext not decoded (RFC 3461, 4.2), else empty.
        ttl_seconds: the action's own time to live, None for the queue's.
    """

    evpid: Evpid
    recipient: str
    destination: str
    action: str
    user: str = ""
    extension: str = ""
    notify: Notify = Notify.UNSET
    original_recipient: str = ""
    ttl_seconds: int | None = None


class Message(Struct, frozen=True, omit_defaults=True):
    """All that is known of an accepted message but its content and what became of it.

    Attributes:
        msgid: id.
        reverse_path: MAIL's address without <>; empty is the null reverse-path.
        created_at: when it was accepted, seconds since 1970 (wall clock).
        size: bytes of content as stored, trace header included, dots not stuffed, lines ended by CRLF.
        envelopes: at least one.
        session: the session that brought it; empty for our own bounces.
        helo: what the client called itself.
        client_address: ``192.0.2.1``, ``2001:db8::1`` or ``local``.
        client_name: its verified reverse name, ``<unknown>`` if none.
        listener: name of the listener; ``tag`` its tag.
        user: authenticated user name, empty if none.
        protocol: ``ESMTPS`` and so on (RFC 3848), for trace.
        body: BODY of MAIL (RFC 6152, 3030).
        smtputf8: SMTPUTF8 was given (RFC 6531).
        dsn_return: RET (RFC 3461, 4.3), empty if not given.
        dsn_envelope_id: ENVID as received, xtext not decoded.
        kind: ``bounce`` for our own notifications: they are retried faster and never bounced.
        trace_id: 32 hex digits that follow the message across pods.
    """

    msgid: Msgid
    reverse_path: str
    created_at: float
    size: int
    envelopes: tuple[Envelope, ...]
    session: SessionId = SessionId("")
    helo: str = ""
    client_address: str = "local"
    client_name: str = "<unknown>"
    listener: str = ""
    tag: str = ""
    user: str = ""
    protocol: str = "ESMTP"
    body: Body = "7BIT"
    smtputf8: bool = False
    dsn_return: Literal["", "FULL", "HDRS"] = ""
    dsn_envelope_id: str = ""
    kind: Literal["mail", "bounce"] = "mail"
    trace_id: str = ""


class EnvelopeState(Struct, frozen=True, omit_defaults=True):
    """How far the delivery of one envelope has come.

    Attributes:
        attempts: finished attempts.
        due_at: when the next one is due, seconds since 1970; 0 means at once.
        last_attempt_at: when the last one ended, 0 if none did.
        last_reply: what it ended with.
        warned_at: the age up to which delays were told, seconds since 1970, 0 if none was.
        suspended: held by an operator's hand.
    """

    attempts: int = 0
    due_at: float = 0.0
    last_attempt_at: float = 0.0
    last_reply: Reply | None = None
    warned_at: float = 0.0
    suspended: bool = False


class Result(Struct, frozen=True, omit_defaults=True):
    """A durable change of one envelope's state; ``final`` ends it.

    Attributes:
        evpid: which.
        state: its state from now on.
        final: why it leaves the queue, None while it stays.
    """

    evpid: Evpid
    state: EnvelopeState
    final: FinalState | None = None


class Stored(Struct, frozen=True):
    """A message in the spool with the states of the envelopes that are not final yet."""

    message: Message
    states: dict[Evpid, EnvelopeState]
