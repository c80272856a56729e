"""Puts delivery status notifications into the queue: one for each message and kind, of many recipients.

What fails at nearly the same time is told together: a message for three domains that all refuse it makes one report.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from paquebot_mta.bounce.dsn import RETURNED_BYTES, Reporter, Stamp, build_dsn
from paquebot_mta.bounce.dsn import Notification as Report
from paquebot_mta.bounce.policy import Kind, RecipientReport, select, wants_content
from paquebot_mta.config.service import MtaConfig
from paquebot_mta.dispatch.settle import Notification
from paquebot_mta.expand.results import Accepted, Expander, Facts, Refused
from paquebot_mta.mail.address import AddressError, parse_address
from paquebot_mta.mail.envelope import Envelope, Message
from paquebot_mta.mail.ids import Msgid, RandomBits, new_evpid
from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool.store import Spool, SpoolError
from paquebot_mta.telemetry.bus import Emit
from paquebot_mta.telemetry.events import BounceEvent, Notice, QueueEvent

GROUPING_SECONDS = 1.0
OURSELVES = Facts(client_address="local", local=True)


class Batch:
    """Notifications of one message that are gathered, and whoever waits for them to be durable."""

    def __init__(self, message: Message, done: asyncio.Future[None]) -> None:
        """Start empty."""
        self.message = message
        self.notifications: list[Notification] = []
        self.done = done


class BounceNotifier:
    """Implements ``dispatch.settle.Notifier``."""

    def __init__(
        self,
        *,
        spool: Spool,
        expander: Callable[[], Expander],
        config: Callable[[], MtaConfig],
        emit: Emit,
        clock: Callable[[], float],
        randbits: RandomBits,
        on_accepted: Callable[[Message], None],
    ) -> None:
        """``on_accepted`` takes over each notification that is durable; ``clock`` gives seconds since 1970."""
        self._spool, self._expander, self._config, self._emit = spool, expander, config, emit
        self._clock, self._randbits, self._on_accepted = clock, randbits, on_accepted
        self._batches: dict[Msgid, Batch] = {}
        self._senders: set[asyncio.Task[None]] = set()
        self._hurried = asyncio.Event()

    def hurry(self) -> None:
        """Wait for nothing more."""
        self._hurried.set()

    async def notify(self, message: Message, notifications: Sequence[Notification]) -> None:
        """Tell the sender of these, together with what else fails of the message within a second."""
        batch = self._batches.get(message.msgid)
        if batch is None:
            batch = Batch(message, asyncio.get_running_loop().create_future())
            self._batches[message.msgid] = batch
            sender = asyncio.create_task(self._send_later(batch))
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        batch.notifications += notifications
        await asyncio.shield(batch.done)

    async def _send_later(self, batch: Batch) -> None:
        """Gather, then send; whoever waits learns how it went."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GROUPING_SECONDS):
                await self._hurried.wait()
        del self._batches[batch.message.msgid]
        try:
            await self._send(batch)
        except Exception as error:  # whatever it is: nobody may wait for ever, and the mail stays queued
            fault = Reply(451, "Temporary failure", "4.3.0")
            failed = error if isinstance(error, SpoolError) else SpoolError(fault, f"no notification: {error!r}")
            batch.done.set_exception(failed)
            batch.done.exception()  # those who waited may be gone
        else:
            batch.done.set_result(None)

    async def _send(self, batch: Batch) -> None:
        """Make one report for each kind."""
        kinds: tuple[Kind, ...] = ("failure", "delay", "success")
        for kind in kinds:
            told = [each for each in batch.notifications if each.kind == kind]
            selection = select(kind, batch.message, [self._report(batch.message, each) for each in told])
            if selection.suppressed:
                self._emit(BounceEvent(kind=kind, result="suppressed", evpids=selection.suppressed))
            if selection.send:
                await self._queue(kind, batch.message, selection.send)

    def _report(self, message: Message, notification: Notification) -> RecipientReport:
        """What the report says of one recipient."""
        envelope = notification.envelope
        ttl_seconds = envelope.ttl_seconds or self._config().service.queue.ttl_seconds
        return RecipientReport(
            envelope,
            notification.outcome.reply,
            remote=notification.remote,
            relayed=notification.relayed,
            attempted_at=self._clock(),
            retry_until=message.created_at + ttl_seconds if notification.kind == "delay" else 0.0,
            last_reply=notification.last_reply,
        )

    async def _queue(self, kind: Kind, original: Message, recipients: Sequence[RecipientReport]) -> None:
        """Make a report durable and hand it over; of a sender who can't be reached a note is all that is made."""
        evpids = tuple(each.envelope.evpid for each in recipients)
        result = await self._expand(original.reverse_path)
        if isinstance(result, Refused):
            if result.reply.transient:
                raise SpoolError(result.reply, f"the sender of {original.msgid} can't be looked up")
            self._emit(BounceEvent(kind=kind, result="suppressed", evpids=evpids))
            details = {"msgid": original.msgid, "cause": str(result.reply)}
            self._emit(Notice(level="warning", event="delivery.undeliverable-bounce", details=details))
            return
        report = await self._build(kind, original, recipients)
        self._spool.intend(evpids)  # dying before their results are stored would tell the sender twice: it is counted
        message = await self._store(original, report, result)
        self._emit(BounceEvent(kind=kind, result="sent", evpids=evpids, msgid=message.msgid))
        self._on_accepted(message)

    async def _expand(self, reverse_path: str) -> Accepted | Refused:
        """Find where the sender's mail goes."""
        try:
            address = parse_address(reverse_path)
        except AddressError as error:
            return Refused(Reply(553, str(error), "5.1.7"), "syntax")
        return await self._expander().expand(OURSELVES, None, address)

    async def _build(self, kind: Kind, original: Message, recipients: Sequence[RecipientReport]) -> Report:
        """Make the report's content."""
        service = self._config().service
        return build_dsn(
            kind,
            original,
            recipients,
            await self._beginning(original),
            full=wants_content(kind, original, service.bounce.attach),
            reporter=Reporter(service.hostname, service.bounce.from_),
            stamp=Stamp(self._clock(), f"{self._randbits(64):016x}", f"{self._randbits(128):032x}"),
        )

    async def _beginning(self, original: Message) -> bytes:
        """Read as much of the original as a report may give back, and as can be read: damage must not silence us."""
        beginning = b""
        with suppress(SpoolError):  # a volume that is away takes no report either, and all of this is done again
            async for chunk in self._spool.content(original.msgid):
                beginning += chunk
                if len(beginning) > RETURNED_BYTES:
                    break
        return beginning

    async def _store(self, original: Message, report: Report, accepted: Accepted) -> Message:
        """Put the report into the queue."""
        draft = self._spool.create(size_hint=len(report.content))
        draft.write(report.content)
        message = Message(
            msgid=draft.msgid,
            reverse_path="",
            created_at=self._clock(),
            size=draft.size,
            envelopes=tuple(
                Envelope(
                    evpid=new_evpid(draft.msgid, self._randbits),
                    recipient=original.reverse_path,
                    destination=target.destination,
                    action=target.action,
                    user=target.user,
                    extension=target.extension,
                    ttl_seconds=target.ttl_seconds,
                )
                for target in accepted.targets
            ),
            body=report.body,
            smtputf8=report.smtputf8,
            kind="bounce",
            trace_id=original.trace_id,
        )
        try:
            await draft.commit(message)
        except SpoolError:
            draft.abort()
            raise
        self._emit(
            QueueEvent(
                change="committed",
                msgid=message.msgid,
                source="bounce",
                envelopes=len(message.envelopes),
                size=message.size,
            )
        )
        return message
