"""One outbound session: opened to one next hop, carrying task after task, closed politely."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from typing import Final, Literal

from msgspec import Struct

from paquebot_mta.deliver import faults
from paquebot_mta.deliver.capabilities import Capabilities, unmet_need
from paquebot_mta.deliver.dialogue import Dialogue
from paquebot_mta.deliver.faults import Cause, SessionFaultError, StaleSessionError, TlsFaultError
from paquebot_mta.deliver.greeting import Manner, greet
from paquebot_mta.deliver.hops import NextHop, Route
from paquebot_mta.deliver.reports import Reason, SessionReports
from paquebot_mta.deliver.settings import ClientSettings, Endpoint
from paquebot_mta.deliver.tls import failure_reason, verification_name
from paquebot_mta.deliver.transaction import Terms, Transaction
from paquebot_mta.deliver.transport import Receipt, Task
from paquebot_mta.deliver.wire import Wire
from paquebot_mta.mail.envelope import Envelope
from paquebot_mta.mail.ids import Evpid, SessionId
from paquebot_mta.mail.outcome import Deferred, Failed, Outcome
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.bus import Emit

QUIT_SECONDS: Final = 5.0
"""How long a 221 is waited for; nobody loses anything without it."""

_REASONS: Final[dict[Cause, Reason]] = {
    "timeout": "timeout",
    "tls": "tls",
    "eof": "eof",
    "connect": "eof",
    "shutdown": "shutdown",
}


class Plan(Struct, frozen=True):
    """What a session is opened with: who and how, and whom to tell."""

    new_id: Callable[[], SessionId]
    route: Route
    endpoint: Endpoint
    settings: ClientSettings
    context: Callable[[], ssl.SSLContext]
    emit: Emit
    monotonic: Callable[[], float]


class Session:
    """An open session. ``deliver`` one task at a time while ``usable``, then ``quit``."""

    def __init__(self, session: SessionId, plan: Plan, hop: NextHop, dialogue: Dialogue, offered: Capabilities) -> None:
        """Use ``open_session`` instead."""
        self.hop = hop
        self._id = session
        self._plan = plan
        self._dialogue = dialogue
        self._offered = offered
        self._source = _without_port(dialogue.wire.addresses()[0])
        self._transactions = 0
        self._failures = 0
        self._needs_reset = False
        self._closing = False

    @property
    def usable(self) -> bool:
        """Whether another task may be given to it."""
        limits = self._plan.settings.limits
        return (
            not self._closing
            and self._dialogue.wire.usable
            and self._transactions < limits.messages_per_session
            and self._failures < limits.failures_per_session
        )

    def watch(self, on_lost: Callable[[], None] | None) -> None:
        """Have it told when the next hop closes the connection or speaks unasked."""
        self._dialogue.wire.on_event = on_lost

    async def deliver(self, task: Task) -> Receipt:
        """Send a task: one transaction for each hundred or so of recipients.

        Raises:
            StaleSessionError: the next hop had closed the kept connection; nothing happened.
        """
        try:
            outcomes = await self._deliver(task)
        except BaseException:
            self._closing = True
            self._dialogue.wire.abort()
            raise
        tls = self._dialogue.wire.tls
        spelled = f"{tls[0]}:{tls[1]}:{tls[2]}" if tls else ""
        return Receipt(outcomes, describe(self.hop), self._source, self._id, spelled)

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
            if self._closing or self._failures >= self._plan.settings.limits.failures_per_session:
                break
        rest = Deferred(faults.TOO_MANY_ERRORS if not self._closing else faults.CLOSED)
        return {each.evpid: outcomes.get(each.evpid, rest) for each in task.envelopes}

    async def _transact(self, task: Task, recipients: Sequence[Envelope]) -> dict[Evpid, Outcome]:
        fresh = self._transactions == 0
        if self._needs_reset:
            await self._reset()
        limits, lmtp = self._plan.settings.limits, self._plan.route.protocol == "lmtp"
        terms = Terms(self._offered, self._plan.endpoint, lmtp, fresh, self._failures, limits.failures_per_session)
        transaction = Transaction(self._dialogue, task, recipients, terms)
        self._transactions += 1
        await transaction.run()
        self._failures = transaction.failures
        self._needs_reset = transaction.needs_reset
        self._closing = self._closing or transaction.closing
        return transaction.outcomes

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


async def open_session(plan: Plan, hop: NextHop) -> Session:
    """Connect and greet; with an opportunistic policy, again without TLS if the handshake fails.

    Raises:
        SessionFaultError: this next hop can't be used now.
    """
    try:
        return await _open(plan, hop, plain=False)
    except TlsFaultError:
        if plan.route.tls.policy != "Opportunistic" or plan.route.implicit_tls:
            raise
    return await _open(plan, hop, plain=True)


async def _open(plan: Plan, hop: NextHop, *, plain: bool) -> Session:
    session = plan.new_id()
    reports = SessionReports(plan.emit, session, plan.endpoint.name, plan.monotonic)
    wire = Wire()
    try:
        await _connect(plan, hop, wire, reports)
        dialogue = Dialogue(wire, reports, plan.settings.timeouts)
        offered = await greet(dialogue, _manner(plan, hop, plain=plain))
    except SessionFaultError as fault:
        wire.abort()
        reports.disconnected(_REASONS.get(fault.cause, "error"))
        raise
    except BaseException:
        wire.abort()
        reports.disconnected("error")
        raise
    return Session(session, plan, hop, dialogue, offered)


def _manner(plan: Plan, hop: NextHop, *, plain: bool) -> Manner:
    tls = plan.route.tls
    return Manner(
        helo=plan.endpoint.helo or plan.settings.hostname,
        protocol=plan.route.protocol,
        tls=type(tls)(policy="None") if plain else tls,
        implicit_tls=plan.route.implicit_tls,
        context=plan.context,
        server_name=verification_name(hop.name, hop.address),
        credentials=plan.endpoint.credentials,
    )


async def _connect(plan: Plan, hop: NextHop, wire: Wire, reports: SessionReports) -> None:
    """Connect within the deadline."""
    seconds = plan.settings.timeouts.connect
    try:
        async with asyncio.timeout(seconds):
            await _dial(plan, hop, wire)
    except ssl.SSLError as error:
        reports.tls_failed(failure_reason(error))
        raise TlsFaultError(error.reason or "unknown") from error
    except (OSError, ValueError) as error:
        raise SessionFaultError("connect", Reply(451, f"{describe(hop)}: {_spell(error)}", "4.4.1")) from error
    reports.connected(hop, *wire.addresses())
    if wire.tls is not None:
        reports.tls(*wire.tls)


async def _dial(plan: Plan, hop: NextHop, wire: Wire) -> None:
    loop = asyncio.get_running_loop()
    context = plan.context() if plan.route.implicit_tls else None
    name = verification_name(hop.name, hop.address) if context is not None else None
    if not hop.port:
        await loop.create_unix_connection(lambda: wire, hop.address, ssl=context, server_hostname=name)
        return
    local = (plan.endpoint.source, 0) if plan.endpoint.source else None
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


def describe(hop: NextHop) -> str:
    """Name a hop as logs do: ``192.0.2.1 (mx.example.org)``."""
    return f"{hop.address} ({hop.name})" if hop.name else hop.address


def _without_port(address: str) -> str:
    """Give the address of ``192.0.2.1:25`` or ``[2001:db8::1]:25``."""
    return address if address.startswith("unix:") else address.rpartition(":")[0].strip("[]")
