"""Settles an attempt: judge the outcomes, tell the sender if he is owed it, remember the results durably, report.

Order matters: the notification is in the queue before the failure is stored as final, so a crash between the two
repeats the notification and never swallows it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Container, Sequence
from typing import Protocol

from msgspec import Struct

from paquebot_mta.config.service import MtaConfig
from paquebot_mta.deliver.transport import Receipt
from paquebot_mta.dispatch.groups import Group, is_local
from paquebot_mta.dispatch.judge import Attempted, Verdict, expiry_reply, judge
from paquebot_mta.mail.envelope import Envelope, Message
from paquebot_mta.mail.outcome import Deferred, Failed, Outcome
from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool.store import Spool, SpoolError
from paquebot_mta.telemetry.bus import Emit
from paquebot_mta.telemetry.events import DeliveryAttempt, Notice, QueueEvent, Sender

UNANSWERED = Deferred(Reply(451, "Temporary Error", "4.3.0"))
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0


class Notification(Struct, frozen=True):
    """What the sender is to be told about one envelope.

    Attributes:
        outcome: of the last attempt; for an expired envelope a failure that says so.
        remote: the server that was reached, ``192.0.2.1 (mx.example.org)``, empty if none was or none is needed.
        relayed: it is a next hop on the way; an LMTP server's 2yz is the final delivery (RFC 2033, 4.2).
        last_reply: what the last attempt ended with, where the outcome is that time is up.
    """

    envelope: Envelope
    kind: str
    outcome: Outcome
    remote: str
    relayed: bool = False
    last_reply: Reply | None = None


class Notifier(Protocol):
    """Puts notifications into the queue."""

    async def notify(self, message: Message, notifications: Sequence[Notification]) -> None:
        """Return when they are durable, or when policy says that there is none to send.

        Raises:
            SpoolError: not stored; ask again.
        """

    def hurry(self) -> None:
        """The process is about to end: don't wait for more to put into one notification."""


class Settler:
    """Turns receipts into durable results."""

    def __init__(
        self,
        *,
        spool: Spool,
        notifier: Notifier,
        config: Callable[[], MtaConfig],
        emit: Emit,
        clock: Callable[[], float],
    ) -> None:
        """``clock`` gives seconds since 1970."""
        self._spool, self._notifier, self._config, self._emit, self._clock = spool, notifier, config, emit, clock
        self._hurried = asyncio.Event()

    def hurry(self) -> None:
        """The process is about to end: give up on a volume that does not answer."""
        self._hurried.set()
        self._notifier.hurry()

    async def settle(self, group: Group, receipt: Receipt, started_at: float) -> list[Verdict]:
        """Judge, notify, store, report; answers what became of each envelope of the group.

        Raises:
            SpoolError: only while the process ends; the mail stays queued as it was before.
        """
        now = self._clock()
        verdicts = [self._judge(group, envelope, receipt, now) for envelope in group.envelopes]
        hosted = self._config().domains
        for verdict in verdicts:
            self._emit(_attempt_event(group, verdict, receipt, now, started_at, hosted))
        message = group.stored.message
        if notifications := [_notification(group, verdict, receipt) for verdict in verdicts if verdict.notice]:
            await self._durably(lambda: self._notifier.notify(message, notifications))
        await self._durably(lambda: self._spool.update([verdict.result for verdict in verdicts]))
        for verdict in verdicts:
            self._report_final(group, verdict)
        return verdicts

    def _judge(self, group: Group, envelope: Envelope, receipt: Receipt, now: float) -> Verdict:
        """Judge one envelope; an outcome that the transport forgot is a deferral."""
        outcome = receipt.outcomes.get(envelope.evpid, UNANSWERED)
        attempted = Attempted(envelope, group.stored.states[envelope.evpid], outcome)
        queue = self._config().service.queue
        return judge(group.stored.message, attempted, local=is_local(group.action), queue=queue, now=now)

    def _report_final(self, group: Group, verdict: Verdict) -> None:
        """Tell that an envelope left the queue, or stays in it."""
        if (final := verdict.result.final) is not None:
            discarded = group.action is not None and group.action.discard is not None and final == "delivered"
            message = group.stored.message
            self._emit(
                QueueEvent(
                    change="discarded" if discarded else final,
                    msgid=message.msgid,
                    evpid=verdict.envelope.evpid,
                    size=message.size,
                )
            )

    async def _durably(self, step: Callable[[], Awaitable[None]]) -> None:
        """Repeat a step until the volume takes it: what a next hop accepted must not be sent again for our fault."""
        wait_seconds = FIRST_WAIT_SECONDS
        while True:
            try:
                return await step()
            except SpoolError as error:
                if self._hurried.is_set():
                    raise
                self._emit(Notice(level="error", event="queue.fault", details={"cause": str(error)}))
            await self._pause(wait_seconds)
            wait_seconds = min(wait_seconds * 2, LONGEST_WAIT_SECONDS)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not while the process ends."""
        try:
            async with asyncio.timeout(seconds):
                await self._hurried.wait()
        except TimeoutError:
            return


def _notification(group: Group, verdict: Verdict, receipt: Receipt) -> Notification:
    """What the sender is to be told; an expired envelope fails for good, whatever its last reply was."""
    last, expired = verdict.outcome.reply, verdict.result.final == "expired"
    return Notification(
        verdict.envelope,
        verdict.notice,
        Failed(expiry_reply(last)) if expired else verdict.outcome,
        receipt.relay if receipt.reached else "",
        relayed=group.transport == "relay",
        last_reply=last if expired else None,
    )


def _sender(message: Message) -> Sender:
    if message.user:
        return "user"
    return "local" if message.client_address == "local" else "stranger"


def _attempt_event(
    group: Group, verdict: Verdict, receipt: Receipt, now: float, started_at: float, hosted: Container[str]
) -> DeliveryAttempt:
    """The delivery line of the log."""
    message, state = group.stored.message, verdict.result.state
    return DeliveryAttempt(
        evpid=verdict.envelope.evpid,
        session=receipt.session,
        reverse_path=group.reverse_path,
        recipient=verdict.envelope.recipient,
        destination=verdict.envelope.destination,
        action=verdict.envelope.action,
        transport=group.transport,
        outcome=verdict.outcome,
        source=receipt.source,
        relay=receipt.relay,
        user=verdict.envelope.user,
        delay_seconds=max(0.0, now - message.created_at),
        duration_seconds=max(0.0, now - started_at),
        attempt=state.attempts,
        next_attempt_at=0.0 if verdict.result.final else state.due_at,
        tls=receipt.tls,
        final=verdict.result.final,
        sender=_sender(message),
        hosted=verdict.envelope.recipient.rpartition("@")[2] in hosted,
    )
