"""What an outcome means for its envelope: pure, so every rule of retry and expiry can be tested without a queue."""

from typing import Final, Literal

from msgspec import Struct

from paquebot_mta.bounce.policy import due_warning
from paquebot_mta.config.service import Queue
from paquebot_mta.mail.envelope import Envelope, EnvelopeState, FinalState, Message, Notify, Result
from paquebot_mta.mail.outcome import Deferred, Delivered, Looped, Outcome
from paquebot_mta.mail.reply import Reply
from paquebot_mta.schedule.backoff import expires_at, next_attempt_at

REMEMBERED_CHARACTERS: Final = 1_000
"""What is kept of a reply while its envelope waits; a hostile server must not fill the queue with its words."""
Notice = Literal["", "failure", "delay", "success"]


class Verdict(Struct, frozen=True):
    """What becomes of an envelope after an attempt.

    Attributes:
        result: what the spool has to remember.
        notice: which notification the sender may be owed (bounce policy decides whether one goes out).
    """

    envelope: Envelope
    outcome: Outcome
    result: Result
    notice: Notice = ""


class Attempted(Struct, frozen=True):
    """An envelope, its state before the attempt, and what came out."""

    envelope: Envelope
    state: EnvelopeState
    outcome: Outcome


def judge(message: Message, attempted: Attempted, *, local: bool, queue: Queue, now: float) -> Verdict:
    """Decide: done, retry, or give up.

    Args:
        message: the envelope's message.
        attempted: what was tried.
        local: the action delivers on this machine: retries are quick (base 10 s instead of 400 s).
        queue: retry and time to live.
        now: seconds since 1970.
    """
    envelope, outcome = attempted.envelope, attempted.outcome
    state = EnvelopeState(
        attempts=attempted.state.attempts + _counts_as_attempt(outcome),
        last_attempt_at=now,
        last_reply=_remembered(outcome.reply),
        warned_at=attempted.state.warned_at,
    )
    if isinstance(outcome, Deferred):
        return _retry_or_expire(message, attempted, state, local=local, queue=queue, now=now)
    if isinstance(outcome, Delivered):
        wanted = Notify.SUCCESS in envelope.notify and not outcome.dsn_passed
        return _final(envelope, outcome, state, "delivered", "success" if wanted else "")
    return _final(envelope, outcome, state, "looped" if isinstance(outcome, Looped) else "bounced", "failure")


def _remembered(reply: Reply) -> Reply:
    """Cut a reply to what someone will read."""
    if len(reply.text) <= REMEMBERED_CHARACTERS:
        return reply
    return Reply(reply.code, reply.text[:REMEMBERED_CHARACTERS], reply.status, reply.remote)


def _counts_as_attempt(outcome: Outcome) -> bool:
    """Mail that was only held back was not tried: its time table must not grow longer for it."""
    return not isinstance(outcome, Deferred) or outcome.retry_after_seconds is None


def _final(envelope: Envelope, outcome: Outcome, state: EnvelopeState, final: FinalState, notice: Notice) -> Verdict:
    """The envelope leaves the queue."""
    return Verdict(envelope, outcome, Result(envelope.evpid, state, final), notice)


def _retry_or_expire(
    message: Message, attempted: Attempted, state: EnvelopeState, *, local: bool, queue: Queue, now: float
) -> Verdict:
    """A deferred envelope stays until its time to live has passed; its last attempt is at that very time."""
    envelope, outcome = attempted.envelope, attempted.outcome
    expiry = expires_at(_age_begins(message, now), envelope.ttl_seconds or queue.ttl_seconds)
    if now >= expiry:
        return _final(envelope, outcome, state, "expired", "failure")
    due_at = min(_due_at(message, outcome, state.attempts, local=local, queue=queue, now=now), expiry)
    warned_at = due_warning(message, state, next_attempt_at=due_at, warn_after_seconds=queue.warn_after_seconds)
    warn = warned_at is not None and message.kind == "mail"
    state = EnvelopeState(state.attempts, due_at, now, state.last_reply, warned_at or state.warned_at)
    return Verdict(envelope, outcome, Result(envelope.evpid, state), "delay" if warn else "")


def _due_at(message: Message, outcome: Outcome, attempts: int, *, local: bool, queue: Queue, now: float) -> float:
    """The outcome's own wish, else the time table (local mail and bounces: the quick one)."""
    if isinstance(outcome, Deferred) and outcome.retry_after_seconds is not None:
        return now + max(1.0, outcome.retry_after_seconds)
    quick = local or message.kind == "bounce"
    base = queue.retry.local_base_seconds if quick else queue.retry.base_seconds
    return next_attempt_at(_age_begins(message, now), attempts, base, now)


def _age_begins(message: Message, now: float) -> float:
    """When it was accepted; the clock was wrong then if that is ahead, and its retries must not wait until then."""
    return min(message.created_at, now)


def expiry_reply(last: Reply | None) -> Reply:
    """The reply shown for an envelope whose time is up (RFC 3463: X.4.7 delivery time expired)."""
    reason = "" if last is None else f"; last {'reply' if last.remote else 'error'}: {last}"
    return Reply(550, f"Envelope expired{reason}", "5.4.7")
