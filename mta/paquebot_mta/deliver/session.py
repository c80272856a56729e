"""One outbound session: opened to one next hop, carrying task after task, closed politely."""

import asyncio
import contextlib
import errno
import ssl
from collections.abc import Callable, Sequence
from typing import Final, Literal

from paquebot_mta.deliver import faults
from paquebot_mta.deliver.capabilities import Capabilities, unmet_need
from paquebot_mta.deliver.dialogue import Dialogue
from paquebot_mta.deliver.faults import Cause, SessionFaultError, StaleSessionError, TlsFaultError
from paquebot_mta.deliver.greeting import Manner, greet
from paquebot_mta.deliver.plan import Plan, Target, describe
from paquebot_mta.deliver.refusals import Refusals
from paquebot_mta.deliver.reports import Reason, SessionReports
from paquebot_mta.deliver.tls import failure_reason, verification_name
from paquebot_mta.deliver.transaction import Terms, Transaction
from paquebot_mta.deliver.transport import Receipt, Task
from paquebot_mta.deliver.wire import Wire
from paquebot_mta.mail.envelope import Envelope
from paquebot_mta.mail.ids import Evpid, SessionId
from paquebot_mta.mail.outcome import Deferred, Delivered, Failed, Outcome
from paquebot_mta.mail.reply import Reply
from paquebot_mta.table.lookup import TableError

QUIT_SECONDS: Final = 5.0
"""How long a 221 is waited for; nobody loses anything without it."""

_REASONS: Final[dict[Cause, Reason]] = {
    "timeout": "timeout",
    "tls": "tls",
    "eof": "eof",
    "connect": "eof",
    "shutdown": "shutdown",
}


_BAD_SOURCE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EACCES, errno.EAFNOSUPPORT})
"""What a bind to an address says that is not ours, or not now."""


class Session:
    """An open session. ``deliver`` one task at a time while ``usable``, then ``quit``."""

    def __init__(
        self, session: SessionId, plan: Plan, target: Target, dialogue: Dialogue, offered: Capabilities
    ) -> None:
        """Use ``open_session`` instead."""
        self.hop = target.hop
        self._id = session
        self._plan = plan
        self._route = target.route
        self._dialogue = dialogue
        self._offered = offered
        self._source = _without_port(dialogue.wire.addresses()[0])
        self._refusals = Refusals(plan.settings.limits.failures_per_session, target.route, plan.monotonic)
        self._transactions = 0
        self._kept = False
        self._needs_reset = False
        self._closing = False
        self._broken = False

    @property
    def usable(self) -> bool:
        """Whether another task may be given to it."""
        return (
            not self._closing
            and self._dialogue.wire.usable
            and self._transactions < self._plan.messages_per_session
            and self._refusals.stop() is None
        )

    @property
    def dead(self) -> bool:
        """Whether the next hop closed the connection, or speaks unasked."""
        return not self._dialogue.wire.usable

    @property
    def reconnect_seconds(self) -> float:
        """How long the next connection of the route has to wait after this one."""
        return self._plan.settings.delays.reconnect if self._broken else 0.0

    def watch(self, on_lost: Callable[[], None] | None) -> None:
        """Have it told when the next hop closes the connection or speaks unasked."""
        self._kept = True
        self._dialogue.wire.on_event = on_lost

    async def deliver(self, task: Task) -> Receipt:
        """Send a task: one transaction for each hundred or so of recipients.

        Raises:
            StaleSessionError: the next hop had closed the kept connection; nothing happened.
        """
        try:
            outcomes = await self._deliver(task)
        except StaleSessionError:
            self._give_up()
            raise
        except BaseException:
            self._broken = True
            self._give_up()
            raise
        tls = self._dialogue.wire.tls
        spelled = f"{tls[0]}:{tls[1]}:{tls[2]}" if tls else ""
        return Receipt(outcomes, describe(self.hop), self._source, self._id, spelled, reached=True)

    def _give_up(self) -> None:
        self._closing = True
        self._dialogue.wire.abort()

    async def _deliver(self, task: Task) -> dict[Evpid, Outcome]:
        if (unmet := await unmet_need(task, self._offered)) is not None:
            return {each.evpid: Failed(unmet) for each in task.envelopes}
        outcomes: dict[Evpid, Outcome] = {}
        step = self._plan.settings.limits.recipients_per_transaction
        for start in range(0, len(task.envelopes), step):
            try:
                outcomes |= await self._transact(task, task.envelopes[start : start + step])
            except StaleSessionError:
                if not outcomes:
                    raise
                self._closing = True
            if self._closing or self._refusals.stop() is not None:
                break
        rest = self._refusals.stop() or Deferred(faults.CLOSED)
        return {each.evpid: outcomes.get(each.evpid, rest) for each in task.envelopes}

    async def _transact(self, task: Task, recipients: Sequence[Envelope]) -> dict[Evpid, Outcome]:
        fresh = self._transactions == 0 and not self._kept
        if self._needs_reset:
            await self._reset()
        lmtp = self._plan.route.protocol == "lmtp"
        terms = Terms(self._offered, self._plan.endpoint, lmtp, fresh, self._refusals)
        transaction = Transaction(self._dialogue, task, recipients, terms)
        self._transactions += 1
        await transaction.run()
        self._needs_reset = transaction.needs_reset
        self._closing = self._closing or transaction.closing
        self._broken = self._broken or transaction.closing
        if not transaction.ours:
            self._tell_route(transaction.outcomes)
        return transaction.outcomes

    def _tell_route(self, outcomes: dict[Evpid, Outcome]) -> None:
        """Tell whether the message got anywhere; one that nobody wants for good says nothing of the route."""
        delivered = any(isinstance(each, Delivered) for each in outcomes.values())
        if delivered or any(isinstance(each, Deferred) for each in outcomes.values()):
            self._route.tried(delivered=delivered, now=self._plan.monotonic())

    async def _reset(self) -> None:
        """End what is left of the last transaction (RFC 5321, 4.1.1.5)."""
        try:
            reply = await self._dialogue.ask("RSET", self._dialogue.timeouts.command, phase="rset")
        except SessionFaultError as fault:
            raise StaleSessionError from fault
        if reply.code // 100 != 2:
            raise StaleSessionError

    async def quit(self) -> None:
        """Say QUIT if there is someone to hear it, and close (RFC 5321, 4.1.1.10)."""
        reason: Reason = "eof"
        if not self._closing and self._dialogue.wire.usable:
            reason = "quit"
            with contextlib.suppress(SessionFaultError):
                await self._dialogue.ask("QUIT", QUIT_SECONDS, phase="quit")
        self._dialogue.wire.close()
        self._dialogue.reports.disconnected(reason)


async def open_session(plan: Plan, target: Target, seconds: float) -> Session:
    """Connect and greet; with an opportunistic policy, again without TLS if the handshake fails.

    Args:
        plan: who and how.
        target: where, and where from.
        seconds: may shorten the deadline of the connection.

    Raises:
        SessionFaultError: this next hop can't be used now.
    """
    try:
        return await _open(plan, target, seconds, plain=False)
    except TlsFaultError:
        if plan.route.tls.policy != "Opportunistic" or plan.route.implicit_tls:
            raise
    return await _open(plan, target, seconds, plain=True)


async def _open(plan: Plan, target: Target, seconds: float, *, plain: bool) -> Session:
    session = plan.new_id()
    reports = SessionReports(plan.emit, session, plan.endpoint.name, plan.monotonic)
    wire = Wire()
    try:
        await _connect(plan, target, wire, min(seconds, plan.settings.timeouts.connect))
        reports.connected(target.hop, *wire.addresses())
        if wire.tls is not None:
            reports.tls(*wire.tls)
        dialogue = Dialogue(wire, reports, plan.settings.timeouts)
        offered = await greet(dialogue, await _manner(plan, target, wire, plain=plain))
    except SessionFaultError as fault:
        fault.relay = describe(target.hop)
        if isinstance(fault.__cause__, ssl.SSLError) and plan.route.implicit_tls:
            reports.tls_failed(failure_reason(fault.__cause__))
        wire.abort()
        reports.disconnected(_REASONS.get(fault.cause, "error"))
        raise
    except BaseException:
        wire.abort()
        reports.disconnected("error")
        raise
    return Session(session, plan, target, dialogue, offered)


async def _manner(plan: Plan, target: Target, wire: Wire, *, plain: bool) -> Manner:
    tls = plan.route.tls
    return Manner(
        helo=await _helo(plan, _without_port(wire.addresses()[0])),
        protocol=plan.route.protocol,
        tls=type(tls)(policy="None") if plain else tls,
        implicit_tls=plan.route.implicit_tls,
        context=plan.context,
        server_name=verification_name(target.hop.name, target.hop.address),
        credentials=plan.endpoint.credentials,
    )


async def _helo(plan: Plan, source: str) -> str:
    """Our name: by the address that the connection really has, if there is a table of names.

    Raises:
        SessionFaultError: the table has no name for it, or does not answer.
    """
    if (names := plan.endpoint.helo_names) is None:
        return plan.endpoint.helo or plan.settings.hostname
    try:
        async with asyncio.timeout(plan.settings.timeouts.command):
            name = await names.lookup("addrname", source)
    except (TableError, TimeoutError) as error:
        raise SessionFaultError("source", faults.NO_HELO) from error
    if not name:
        raise SessionFaultError("source", faults.NO_HELO)
    return name


async def _connect(plan: Plan, target: Target, wire: Wire, seconds: float) -> None:
    """Connect within the deadline."""
    try:
        async with asyncio.timeout(seconds):
            await _dial(plan, target, wire)
    except ssl.SSLError as error:
        raise TlsFaultError(error.reason or "unknown") from error
    except (OSError, ValueError) as error:
        if target.source and isinstance(error, OSError) and error.errno in _BAD_SOURCE:
            raise SessionFaultError("source", faults.NO_SOURCE) from error
        raise SessionFaultError("connect", Reply(451, f"{describe(target.hop)}: {_spell(error)}", "4.4.1")) from error


async def _dial(plan: Plan, target: Target, wire: Wire) -> None:
    loop, hop = asyncio.get_running_loop(), target.hop
    context = plan.context() if plan.route.implicit_tls else None
    name = verification_name(hop.name, hop.address) if context is not None else None
    if not hop.port:
        await loop.create_unix_connection(lambda: wire, hop.address, ssl=context, server_hostname=name)
        return
    local = (target.source, 0) if target.source else None
    await loop.create_connection(
        lambda: wire, hop.address, hop.port, ssl=context, server_hostname=name, local_addr=local
    )


def _spell(error: Exception) -> str:
    """Say why a connection failed, without what only this machine's operator may know."""
    if isinstance(error, TimeoutError):
        return "connection timed out"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    reason: Literal["unreachable", "can't connect"] = "unreachable" if isinstance(error, OSError) else "can't connect"
    return reason


def _without_port(address: str) -> str:
    """Give the address of ``192.0.2.1:25`` or ``[2001:db8::1]:25``."""
    return address if address.startswith("unix:") else address.rpartition(":")[0].strip("[]")
