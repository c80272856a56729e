"""One mail transaction with a next hop: MAIL, RCPT for each recipient, DATA, and an outcome for each of them.

With PIPELINING (RFC 2920) commands travel in flights, else in lockstep. A flight has no more recipients than may be
refused before the asking ends; DATA is in the last one. LMTP answers once for each accepted recipient after the final
dot (RFC 2033, 4.2). Whatever goes wrong, every recipient has an outcome at the end.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final, NoReturn

from msgspec import Struct

from paquebot_mta.deliver import faults
from paquebot_mta.deliver.capabilities import Capabilities
from paquebot_mta.deliver.commands import mail_line, rcpt_line
from paquebot_mta.deliver.dialogue import Dialogue
from paquebot_mta.deliver.faults import SessionFaultError, StaleSessionError
from paquebot_mta.deliver.refusals import Refusals
from paquebot_mta.deliver.settings import Endpoint
from paquebot_mta.deliver.transport import Task
from paquebot_mta.mail.envelope import Envelope
from paquebot_mta.mail.ids import Evpid
from paquebot_mta.mail.outcome import Deferred, Delivered, Failed, Outcome, outcome_of
from paquebot_mta.mail.reply import Reply
from paquebot_mta.mail.stuffing import BareLineEndError, DotStuffer

_CLOSING: Final = 421
_GO_AHEAD: Final = 354
_TOO_MANY_RECIPIENTS: Final = frozenset({452, 552})
"""After others were accepted (RFC 5321, 4.5.3.1.10): says nothing of those that are refused, nor of the route."""


class Terms(Struct, frozen=True):
    """What holds for all transactions of a session.

    Attributes:
        fresh: this is the first one: a server that is gone is a failure, not an old connection.
        refusals: say when to stop asking for recipients.
    """

    offered: Capabilities
    endpoint: Endpoint
    lmtp: bool
    fresh: bool
    refusals: Refusals


class Transaction:
    """Sends one task to some of its recipients. ``run`` once."""

    def __init__(self, dialogue: Dialogue, task: Task, recipients: Sequence[Envelope], terms: Terms) -> None:
        """Keep what is to be sent."""
        self._dialogue = dialogue
        self._task = task
        self._recipients = recipients
        self._terms = terms
        self._accepted: list[Envelope] = []
        self._dot_sent = False
        self._asked = 0
        self._data_sent = False
        self.outcomes: dict[Evpid, Outcome] = {}
        self.needs_reset = False
        """The server still has the transaction open."""
        self.closing = False
        """The server said 421, or the connection is of no use any more."""
        self.ours = False
        """It ended for a fault of our own queue, which says nothing of the server."""

    async def run(self) -> None:
        """Send it; afterwards ``outcomes`` has all recipients.

        Raises:
            StaleSessionError: the kept connection was gone before anything happened.
        """
        try:
            await self._converse()
        except SessionFaultError as fault:
            self.ours = fault.cause == "internal"
            if self._dot_sent:
                self._settle_with(Deferred(faults.LOST_AFTER_DOT, ambiguous=True))
            self._break(fault.reply)
        except BareLineEndError:
            self._break(faults.BAD_CONTENT)
        self._report_end()

    def _report_end(self) -> None:
        """Commit if anyone got it, else roll back: each transaction ends once."""
        delivered = sum(isinstance(outcome, Delivered) for outcome in self.outcomes.values())
        if delivered:
            self._dialogue.reports.committed(self._task.message.size, delivered)
        else:
            self._dialogue.reports.rolled_back()

    def _break(self, reply: Reply) -> None:
        """Give up the connection and settle who has no outcome yet."""
        self._dialogue.wire.abort()
        self.closing = True
        self._settle_rest(reply)

    def _settle_rest(self, reply: Reply) -> None:
        self._settle_with(Failed(reply) if reply.permanent else Deferred(reply))

    def _settle_with(self, outcome: Outcome) -> None:
        for each in self._recipients:
            self.outcomes.setdefault(each.evpid, outcome)

    # The conversation.

    async def _converse(self) -> None:
        flight = self._send_flight(first=True)
        mail = await self._mail()
        if mail.code // 100 != 2:
            await self._mail_refused(mail, flight)
            return
        self._dialogue.reports.began(self._task.message.msgid, self._task.reverse_path)
        self.needs_reset = True
        stop = await self._ask_all(flight)
        if self._accepted and not self.closing:
            await self._data()
        elif not self.closing:
            await self._nobody()
        self._settle_with(stop or Deferred(faults.TOO_MANY_ERRORS))

    async def _ask_all(self, flight: Sequence[Envelope]) -> Deferred | None:
        """Ask for recipients, flight after flight; answers what becomes of the rest if the asking has to end."""
        while flight:
            for each in flight:
                if self.closing:
                    return None
                await self._rcpt(each)
            if self._asked < len(self._recipients) and (stop := self._terms.refusals.stop()) is not None:
                return stop
            flight = () if self.closing else self._send_flight()
        return None

    @property
    def _pipelined(self) -> bool:
        return self._terms.offered.pipelining

    def _send_flight(self, *, first: bool = False) -> Sequence[Envelope]:
        """Choose whom to ask for next; the commands go out at once if the server takes that."""
        size = self._terms.refusals.room() if self._pipelined else 1
        flight = self._recipients[self._asked : self._asked + size]
        self._asked += len(flight)
        if self._pipelined and flight:
            wire = self._dialogue.wire
            if first:
                wire.put_line(mail_line(self._task, self._terms.offered).encode())
            for each in flight:
                wire.put_line(self._rcpt_line(each).encode())
            if self._asked == len(self._recipients):
                wire.put_line(b"DATA")
                self._data_sent = True
            wire.flush()
        return flight

    def _rcpt_line(self, envelope: Envelope) -> str:
        return rcpt_line(envelope, self._terms.offered, self._terms.endpoint.recipient)

    async def _command(self, line: str, timeout_seconds: float, phase: str, *, sent: bool) -> Reply:
        """Send a command unless it is on its way already, and read its reply."""
        if not sent:
            self._dialogue.wire.put_line(line.encode())
            self._dialogue.wire.flush()
        self._dialogue.reports.client(line)
        return await self._dialogue.read(timeout_seconds, phase=phase)

    async def _mail(self) -> Reply:
        line = mail_line(self._task, self._terms.offered)
        try:
            reply = await self._command(line, self._dialogue.timeouts.mail, "mail", sent=self._pipelined)
        except SessionFaultError as fault:
            if not self._terms.fresh and fault.cause == "eof":
                raise StaleSessionError from fault
            raise
        if reply.code == _CLOSING and not self._terms.fresh:
            raise StaleSessionError
        return reply

    async def _mail_refused(self, mail: Reply, flight: Sequence[Envelope]) -> None:
        """Settle all recipients by MAIL's reply; read the replies to what travelled with it."""
        self._settle_rest(_as_refusal(mail))
        if mail.code == _CLOSING:
            self.closing = True
        elif self._pipelined:
            for each in flight:
                await self._command(self._rcpt_line(each), self._dialogue.timeouts.recipient, "rcpt", sent=True)
            await self._nobody()

    async def _rcpt(self, envelope: Envelope) -> None:
        line = self._rcpt_line(envelope)
        self._dialogue.reports.envelope(envelope.evpid)
        reply = await self._command(line, self._dialogue.timeouts.recipient, "rcpt", sent=self._pipelined)
        self._dialogue.reports.recipient(reply, envelope.destination)
        if reply.code // 100 == 2:
            self._accepted.append(envelope)
            self._terms.refusals.accepted()
            return
        if not (self._accepted and reply.code in _TOO_MANY_RECIPIENTS):
            self._terms.refusals.refused(reply)
        self.outcomes[envelope.evpid] = self._judge_rcpt(reply)
        if reply.code == _CLOSING:
            self.closing = True
            self._settle_rest(reply)

    def _judge_rcpt(self, reply: Reply) -> Outcome:
        """552 after others were accepted means "too many recipients": try the rest later (RFC 5321, 4.5.3.1.10)."""
        if reply.code == 552 and self._accepted and not reply.status.startswith("5.2"):
            return Deferred(Reply(452, f"Next hop takes no more recipients: {reply}", "4.5.3"))
        return outcome_of(_as_refusal(reply))

    async def _nobody(self) -> None:
        """Nobody was accepted: a DATA on its way must be answered, and ended if it was let in (RFC 2920, 3.1)."""
        if not self._data_sent:
            return
        reply = await self._command("DATA", self._dialogue.timeouts.data, "data", sent=True)
        self._dialogue.reports.data(reply)
        if reply.code == _GO_AHEAD:
            self._dialogue.wire.put_content(b".\r\n")
            self._dialogue.wire.flush()
            self._dialogue.reports.client(".")
            await self._dialogue.read(self._dialogue.timeouts.final_dot, phase="dot")
        self.closing = reply.code == _CLOSING

    # The content.

    async def _data(self) -> None:
        reply = await self._command("DATA", self._dialogue.timeouts.data, "data", sent=self._data_sent)
        self._dialogue.reports.data(reply)
        if reply.code != _GO_AHEAD:
            self.closing = reply.code == _CLOSING
            self._settle_rest(_as_refusal(reply))
            return
        if not await self._send_content():
            self.ours = True
            self._break(faults.NOT_OURS)
            return
        await self._final_replies()

    async def _send_content(self) -> bool:
        """Send content and final dot; false without the dot if the queue is not to be told of it.

        The last chunk waits for the permission and travels with the dot, so a small message is one write.
        """
        stuffer, wire = DotStuffer(), self._dialogue.wire
        last = b""
        async for chunk in self._chunks():
            if last:
                wire.put_content(last)
                wire.flush()
                await self._drain()
            last = stuffer.feed(chunk)
        end = stuffer.end()
        if not await self._task.before_final_dot():
            return False
        if not wire.usable:
            # What was said before the dot is no answer to it: a 250 that comes early is never "delivered".
            await self._broken_off()
        wire.put_content(last + end)
        wire.flush()
        self._dot_sent = True
        self._dialogue.reports.client(".")
        return True

    async def _chunks(self) -> AsyncIterator[bytes]:
        """Read the content; whatever the store raises is our fault, never the message's."""
        content = self._task.content()
        while True:
            try:
                chunk = await anext(content)
            except StopAsyncIteration:
                return
            except Exception as error:
                raise SessionFaultError("internal", faults.UNREADABLE) from error
            yield chunk

    async def _drain(self) -> None:
        """Wait for room; a server that answers amid the content and closes has said why."""
        try:
            await self._dialogue.wire.drain(self._dialogue.timeouts.block)
        except SessionFaultError as fault:
            if fault.cause == "timeout":
                self._dialogue.reports.timeout("block")
            await self._broken_off()

    async def _broken_off(self) -> NoReturn:
        """Give up the content for what the server said amid it, or for the lost connection."""
        reply = await self._dialogue.read(0, phase="block")
        raise SessionFaultError("refused", _as_transient(reply))

    async def _final_replies(self) -> None:
        """Read the reply to the dot; LMTP gives one for each accepted recipient."""
        if self._terms.lmtp:
            for each in self._accepted:
                self._settle((each,), await self._final_reply())
        else:
            self._settle(self._accepted, await self._final_reply())
        self.needs_reset = False

    async def _final_reply(self) -> Reply:
        reply = await self._dialogue.read(self._dialogue.timeouts.final_dot, phase="dot")
        self.closing = self.closing or reply.code == _CLOSING
        return reply

    def _settle(self, envelopes: Sequence[Envelope], reply: Reply) -> None:
        outcome = outcome_of(_as_final(reply), dsn_passed=self._terms.offered.dsn)
        for each in envelopes:
            self.outcomes[each.evpid] = outcome


def _as_final(reply: Reply) -> Reply:
    """Keep 2yz, 4yz and 5yz; a 3yz to the final dot makes no sense, so nobody knows what became of the message."""
    return _as_refusal(reply) if reply.code // 100 == 3 else reply


def _as_refusal(reply: Reply) -> Reply:
    """Keep 4yz and 5yz; a positive reply where it does not belong never counts as delivered."""
    return Reply(451, f"Unexpected reply of next hop: {reply}", "4.5.0") if reply.positive else reply


def _as_transient(reply: Reply) -> Reply:
    """Keep a 4yz; anything else amid the content is out of order and must not bounce the message."""
    return reply if reply.transient else Reply(451, f"Next hop broke off the content: {reply}", "4.5.0")
