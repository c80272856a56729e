"""The handler that joins the stages: MAIL is judged, RCPT expanded, the content written to the spool, and committed.

Its hooks are called as aiosmtpd calls a handler's: ``(server, session, envelope, ...)``; what was parsed already stands
in the envelope. Faults of the stages behind become 4yz here; nothing of their text reaches the client.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from paquebot_mta.accept import answers
from paquebot_mta.accept.answers import Answer
from paquebot_mta.accept.filtered import ContentScreen, Sink, begin_content
from paquebot_mta.accept.intake import Intake
from paquebot_mta.accept.parts import MAX_PARTS, Part, remove_recipient
from paquebot_mta.accept.policy import ListenerPolicy
from paquebot_mta.accept.received import make_received
from paquebot_mta.accept.screening import Screening
from paquebot_mta.accept.senders import may_send
from paquebot_mta.accept.state import SessionState, TransactionState
from paquebot_mta.accept.storing import store_all
from paquebot_mta.accept.submission import complete_header
from paquebot_mta.expand.results import Refused, Target
from paquebot_mta.filter.contract import Changes
from paquebot_mta.mail.address import AddressError, parse_address
from paquebot_mta.mail.commands import Recipient
from paquebot_mta.mail.envelope import Envelope, Message
from paquebot_mta.mail.ids import RandomBits, new_evpid
from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool.store import MAX_ENVELOPES_BYTES, Spool, SpoolError, envelope_bytes
from paquebot_mta.table.lookup import TableError
from paquebot_mta.telemetry.bus import Emit
from paquebot_mta.telemetry.events import Notice, QueueEvent


class Receiver:
    """Puts accepted mail into a spool, and says so."""

    def __init__(
        self,
        spool: Spool,
        emit: Emit,
        on_accepted: Callable[[Message], None],
        clock: Callable[[], float],
        randbits: RandomBits,
    ) -> None:
        """Take the stages; ``on_accepted`` is called once the message is durable and must not block."""
        self._spool = spool
        self._emit = emit
        self._on_accepted = on_accepted
        self._clock = clock
        self._randbits = randbits

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's spelling
        self, server: Any, session: SessionState, envelope: TransactionState, address: str, options: list[str]
    ) -> Answer | Reply:
        """Judge the reverse-path, and open a draft."""
        try:
            senders = server.policy.senders
            if session.user and not await may_send(session.user, envelope.mail.reverse_path, senders):
                return Answer(answers.BAD_SENDER)
            envelope.draft = self._spool.create(size_hint=envelope.mail.size)
        except TableError:
            return answers.INTERNAL_FAULT
        except SpoolError as error:
            self._complain(session, error)
            return error.reply
        return answers.OK

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's spelling
        self, server: Any, session: SessionState, envelope: TransactionState, address: str, options: list[str]
    ) -> Answer | Reply:
        """Expand the recipient; each target becomes an envelope."""
        recipient = envelope.recipient
        if recipient is None:
            return answers.NOT_NOW
        policy = server.policy
        facts = session.facts(policy.listener.tag)
        result = await policy.expander.expand(facts, envelope.mail.reverse_path, recipient.address)
        if isinstance(result, Refused):
            return Answer(result.reply, result.reason)
        try:
            part = self._part_of(server.screening, envelope, recipient.address.domain)
        except SpoolError as error:
            self._complain(session, error)
            return error.reply
        if part is None:
            return answers.TOO_MANY_RECIPIENTS
        fresh = tuple(self._make_envelope(envelope, part, recipient, each) for each in result.targets)
        taken = part.envelopes_bytes + sum(map(envelope_bytes, fresh))
        if taken > MAX_ENVELOPES_BYTES:
            return answers.TOO_MANY_RECIPIENTS
        envelope.part, envelope.fresh, part.envelopes_bytes = part, fresh, taken
        return answers.RECIPIENT_OK

    def _part_of(self, screening: Screening | None, envelope: TransactionState, domain: str) -> Part | None:
        """Find the part of a recipient's domain, or begin it: the first has the transaction's own draft.

        Raises SpoolError. None: there are too many.
        """
        chain = None if screening is None else screening.chain_of(domain)
        name = "" if chain is None else domain
        part = envelope.parts.get(name)
        if part is not None:
            return part
        if len(envelope.parts) == MAX_PARTS:
            return None
        if not envelope.parts and envelope.draft is not None:
            draft = envelope.draft
        else:
            draft = self._spool.create(size_hint=envelope.mail.size)
        return envelope.parts.setdefault(name, Part(draft, chain))

    def _make_envelope(self, envelope: TransactionState, part: Part, recipient: Recipient, target: Target) -> Envelope:
        evpid = new_evpid(part.draft.msgid, self._randbits)
        while evpid in envelope.evpids:
            evpid = new_evpid(part.draft.msgid, self._randbits)
        envelope.evpids.add(evpid)
        return Envelope(
            evpid,
            str(recipient.address),
            target.destination,
            target.action,
            target.user,
            target.extension,
            recipient.notify,
            recipient.original_recipient,
            target.ttl_seconds,
        )

    async def handle_DATA_BEGIN(  # noqa: N802 - aiosmtpd's spelling
        self, server: Any, session: SessionState, envelope: TransactionState
    ) -> None:
        """Put the trace field into the draft and get ready for the content."""
        policy, now = server.policy, self._clock()
        if envelope.draft is None:
            return
        trace = make_received(session, envelope, policy.listener, server.hostname, now)
        complete = None
        if policy.listener.role == "Submission":
            complete = partial(
                complete_header,
                hostname=server.hostname,
                domain=server.home,
                now=now,
                randbits=self._randbits,
                masquerade=_masquerade(session, envelope, policy),
            )
        target = self._target(server.screening, envelope, policy.limits.message_bytes, trace)
        envelope.filtered = target if isinstance(target, ContentScreen) else None
        envelope.intake = Intake(target, policy.limits, trace, complete)

    def _target(self, screening: Screening | None, envelope: TransactionState, size: int, trace: bytes) -> Sink:
        """Choose where content goes: what is not filtered goes into its draft."""
        parts = tuple(part for part in envelope.parts.values() if part.refusal is None)
        if screening is None:
            return parts[0].draft
        junk = screening.junk_session or screening.junk
        return begin_content(screening.screen, screening.facts, parts, size, trace, junk=junk)

    async def handle_CHANGES(  # noqa: N802 - spelled as the others
        self,
        server: Any,
        session: SessionState,
        envelope: TransactionState,
        changes: tuple[Changes, ...],
        part: Part | None,
    ) -> None:
        """Do with the envelope what filters of content want: those of a domain with its own recipients only."""
        for each in changes:
            for address in each.remove_recipients:
                remove_recipient(envelope.parts.values() if part is None else (part,), address)
            for address in each.add_recipients:
                await self._add_recipient(server, session, envelope, part, address)
            if each.reverse_path is not None:
                self._change_sender(session, envelope, part, each.reverse_path)

    async def _add_recipient(
        self, server: Any, session: SessionState, envelope: TransactionState, part: Part | None, address: str
    ) -> None:
        policy = server.policy
        try:
            recipient = Recipient(parse_address(address))
        except AddressError:
            return self._pass_over(session, "recipient")
        facts = session.facts(policy.listener.tag)
        result = await policy.expander.expand(facts, envelope.mail.reverse_path, recipient.address)
        found = part or next(iter(envelope.parts.values()))
        if isinstance(result, Refused) or (part is not None and envelope.parts.get(recipient.address.domain) != part):
            return self._pass_over(session, "recipient")
        found.envelopes += (self._make_envelope(envelope, found, recipient, each) for each in result.targets)
        return None

    def _change_sender(self, session: SessionState, envelope: TransactionState, part: Part | None, path: str) -> None:
        try:
            reverse_path = str(parse_address(path)) if path else ""
        except AddressError:
            self._pass_over(session, "reverse_path")
            return
        for each in envelope.parts.values() if part is None else (part,):
            each.reverse_path = reverse_path

    def _pass_over(self, session: SessionState, what: str) -> None:
        details: dict[str, str | int | float | bool] = {"session": session.id, "change": what}
        self._emit(Notice(level="warning", event="filter.changes", details=details))

    async def handle_DATA(  # noqa: N802 - aiosmtpd's spelling
        self, server: Any, session: SessionState, envelope: TransactionState
    ) -> Reply:
        """Make the message durable; only then the 250 may go out."""
        if envelope.draft is None:
            return answers.NOT_NOW
        wanted = [part for part in envelope.parts.values() if part.envelopes and part.refusal is None]
        messages = [(part.draft, self._make_message(server, session, envelope, part)) for part in wanted]
        try:
            await store_all(self._spool, messages)
        except SpoolError as error:
            self._complain(session, error)
            return error.reply
        for _, message in messages:
            self._stored(server, message)
        return answers.accepted(wanted[0].draft.msgid if wanted else envelope.msgid)

    def _stored(self, server: Any, message: Message) -> None:
        """Say that a message is durable."""
        self._emit(
            QueueEvent(
                change="committed",
                msgid=message.msgid,
                source="submission" if server.policy.listener.role == "Submission" else "smtp",
                envelopes=len(message.envelopes),
                size=message.size,
            )
        )
        self._tell(message)

    def _tell(self, message: Message) -> None:
        """Hand the message on; whatever goes wrong there, it is stored, and only a 250 is the truth."""
        try:
            self._on_accepted(message)
        except Exception as error:
            details: dict[str, str | int | float | bool] = {"msgid": message.msgid, "error": type(error).__name__}
            self._emit(Notice(level="error", event="smtp-in.fault", details=details))

    def _make_message(self, server: Any, session: SessionState, envelope: TransactionState, part: Part) -> Message:
        mail, listener = envelope.mail, server.policy.listener
        return Message(
            msgid=part.draft.msgid,
            reverse_path=(envelope.mail_from or "") if part.reverse_path is None else part.reverse_path,
            created_at=self._clock(),
            size=part.draft.size,
            envelopes=tuple(part.envelopes),
            session=session.id,
            helo=session.host_name or "",
            client_address=session.client_address,
            client_name=session.verified_name,
            listener=listener.name,
            tag=listener.tag,
            user=session.user,
            protocol=session.protocol,
            body=mail.body,
            smtputf8=mail.smtputf8,
            dsn_return=mail.dsn_return,
            dsn_envelope_id=mail.dsn_envelope_id,
            trace_id=f"{self._randbits(128):032x}",
        )

    def _complain(self, session: SessionState, error: SpoolError) -> None:
        """Put the private cause into the log; the client gets the public reply."""
        details: dict[str, str | int | float | bool] = {"session": session.id, "error": str(error)}
        self._emit(Notice(level="error", event="queue.fault", details=details))


def _masquerade(session: SessionState, envelope: TransactionState, policy: ListenerPolicy) -> str | None:
    """Give the address that From must have; with the null reverse-path that is the user's own, if it is an address."""
    if not policy.listener.auth.masquerade or not session.user:
        return None
    if envelope.mail_from:
        return envelope.mail_from
    try:
        return str(parse_address(session.user))
    except AddressError:
        return None
