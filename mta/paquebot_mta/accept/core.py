"""The wire of a session: bytes in and out, one piece of work at a time, replies in one write per flight.

``aiosmtpd.smtp.SMTP`` is the API (session, envelope, hooks, ``smtp_*`` methods, ``push``); none of its reader, parser
or timers run. Only work that waits for something has a task; deadlines are floats that the listener sweeps.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Any, Final, TypeVar

from aiosmtpd.smtp import MISSING, SMTP

from paquebot_mta.accept import answers
from paquebot_mta.accept.answers import answer_of, spell
from paquebot_mta.accept.deadlines import Deadlines
from paquebot_mta.accept.eager import Work
from paquebot_mta.accept.host import Host
from paquebot_mta.accept.policy import ListenerPolicy
from paquebot_mta.accept.rates import Kind, client_of
from paquebot_mta.accept.screening import Screening
from paquebot_mta.accept.state import SessionState, TransactionState
from paquebot_mta.config.filters import Phase
from paquebot_mta.filter.chain import GO_ON, Verdict
from paquebot_mta.filter.decisions import Disconnect, Rewrite
from paquebot_mta.mail.content import BdatReader, DataReader
from paquebot_mta.mail.ids import new_session_id
from paquebot_mta.mail.lines import LineBuffer
from paquebot_mta.mail.parameters import CommandError
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.events import LimitHit, ProtocolServer

Parsed = TypeVar("Parsed")
_AHEAD_BYTES: Final = 65_536
"""How much may wait unread while the session works; beyond it the transport is paused."""
_LINGER_SECONDS: Final = 10.0
"""How long a closed session may take to send what is left."""


class SessionCore(Deadlines, SMTP):
    """Transport, buffers and replies; what the bytes mean is the subclasses' matter."""

    session: SessionState
    envelope: TransactionState

    def __init__(self, host: Host, policy: ListenerPolicy) -> None:
        """Take over what the listener prepared; the base class's own start is not wanted (it inspects and resolves)."""
        self.host = host
        self.policy = policy
        self.loop = asyncio.get_running_loop()
        self.transport: Any = None
        self.event_handler = host.handler
        self.hostname = policy.hostname
        self.reason = ""  # why the connection ended, once that is known
        self.closing = self.finished = self.greeted = self.committing = False
        self.screening: Screening | None = None
        self._handle_hooks = host.hooks
        self._emit = host.emit
        self._endpoint = policy.listener.name
        self._input = LineBuffer()
        self._output: list[bytes] = []
        self._content: DataReader | BdatReader | None = None
        self._task: asyncio.Task[None] | Work | None = None
        self._begun = self._paused = self._ended = self._lost = False
        self._writable: asyncio.Future[None] | None = None
        self.errors = self.junk = 0

    @property
    def home(self) -> str:
        """The domain of names that have none."""
        return self.policy.homes.of(self.hostname)

    def __del__(self) -> None:
        """Nothing of the base class's reader is there to be cleaned up."""

    def _create_session(self) -> SessionState:
        return SessionState(self.loop, new_session_id(self.host.randbits))

    def _create_envelope(self) -> TransactionState:
        return TransactionState()

    # What subclasses do with it.

    async def step(self) -> bool:
        """Do one piece of work with the input; False if there is not enough of it."""
        raise NotImplementedError

    async def fail(self, error: Exception) -> None:
        """Answer an unexpected exception."""
        raise NotImplementedError

    def arrive(self) -> None:
        """Greet: the connection is there."""
        raise NotImplementedError

    def finish(self) -> None:
        """End: the connection is gone and no work is left. Called once or more."""
        raise NotImplementedError

    def begin(self, peer: Any, local: Any) -> None:
        """Know who is there; ``peer`` and ``local`` are the ends of the connection as sockets name them."""
        self._begun = True
        self.session = self._create_session()
        self.envelope = self._create_envelope()
        self.session.locate(peer, local)
        self.begin_deadlines()

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a session, unless its socket was accepted by hand and it began with that."""
        self.transport = transport
        if not self._begun:
            self.begin(transport.get_extra_info("peername"), transport.get_extra_info("sockname"))
        self.arrive()

    def data_received(self, data: bytes) -> None:
        """Take bytes; work on them, unless work is going on."""
        if self.closing:
            return
        self._input.feed(data)
        self.received_bytes += len(data)
        if self._task is None:
            self._work_at_once(self._serve())
        elif len(self._input) > _AHEAD_BYTES and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Note that nothing more will come: what came is served, and a commit is never disturbed."""
        self._ended = True
        if self._task is None:
            self.close("eof")
        return not self.session.tls_version

    def connection_lost(self, error: Exception | None) -> None:
        """Note that nobody listens any more."""
        self._lost = True
        self.resume_writing()
        self.reason = self.reason or ("error" if error is not None and not self._ended else "eof")
        if self._task is None:
            self.finish()
        elif not self.committing:
            self.closing = True

    def pause_writing(self) -> None:
        """The client doesn't read its replies: it gets no further ones until it does."""
        if self._writable is None:
            self._writable = self.loop.create_future()

    def resume_writing(self) -> None:
        """Go on."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # Work.

    def work(self, steps: Any) -> None:
        """Run a coroutine as this session's only task."""
        self.rest_from_deadlines()
        self._task = self.loop.create_task(steps)

    def _work_at_once(self, steps: Any) -> None:
        """Run a coroutine now, as far as it goes; within somebody's task it has to be one of its own."""
        if asyncio.current_task(self.loop) is not None:
            self.work(steps)
            return
        self.rest_from_deadlines()
        work = self._task = Work()
        work.run(steps, self.loop)

    async def _serve(self) -> None:
        try:
            # After a reset, what was pipelined is left: its replies could reach nobody, so it will be sent again.
            while not self.closing and not self._lost and await self.step():
                if self._writable is not None:
                    await self._wait_for_client()
                if self._content is None and not len(self._input):
                    break  # nothing more came: the most usual case, and a step only to find that out is dear
        except asyncio.CancelledError:
            self.closing = True
        except Exception as error:  # a fault of ours must not look like the client's: 4yz, and the session ends
            await self.fail(error)
        finally:
            self.settle()

    async def _wait_for_client(self) -> None:
        self.flush()
        if self._writable is not None:
            self.deadline = self.loop.time() + self.policy.limits.command_timeout_seconds
            await self._writable
            self.deadline = math.inf

    def settle(self) -> None:
        """End a piece of work: replies go out, and either the session goes on or it ends."""
        self._task = None
        self.flush()
        if self._lost:
            self.finish()
        elif self.closing:
            self.close("error")
        elif self._ended:
            self.close("eof")
        elif self.host.draining and self.idle:
            self.say_goodbye(answers.SHUTTING_DOWN, "shutdown")
        else:
            self._go_on()

    def _go_on(self) -> None:
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        self.expect_input(data=self._content is not None)

    @property
    def idle(self) -> bool:
        """Whether no transaction is open and no work is done."""
        return self._task is None and self.envelope.draft is None and self._content is None

    # Replies.

    def reply(self, reply: Reply) -> None:
        """Queue a reply; it goes out with its flight."""
        wire, lines = spell(reply)
        self._output.append(wire)
        session, endpoint = self.session.id, self._endpoint
        for line in lines:
            self._emit(ProtocolServer(direction="in", session=session, endpoint=endpoint, reply=line))

    def refuse(self, reply: Reply) -> None:
        """Send a negative reply; too many permanent ones end the session."""
        self.reply(reply)
        if reply.permanent:
            self.errors += 1

    async def screen(self, phase: Phase, parameter: str = "") -> str | None:
        """Ask the filters about a command that would be served.

        Returns:
            The parameter, perhaps another one; None if the command was refused, which the client was told.
        """
        if self.screening is None:
            return parameter
        found = self.screening.ask_at_once(phase, parameter)
        if found is GO_ON:
            return parameter
        verdict = found if isinstance(found, Verdict) else await found
        if verdict.refusal is not None:
            self.turn_down(verdict)
            return None
        return verdict.decision.parameter if isinstance(verdict.decision, Rewrite) else parameter

    def reread(self, parse: Callable[[str], Parsed], parameter: str) -> Parsed:
        """Read what a filter put into a command's place as strictly as the command itself; garbage is its fault."""
        try:
            return parse(parameter)
        except CommandError:
            raise CommandError(answers.FILTER_FAULT) from None

    def turn_down(self, verdict: Verdict) -> None:
        """Tell the client that filters refused, and hang up if they want that."""
        if verdict.refusal is None:
            return
        if isinstance(verdict.decision, Disconnect):
            self.say_goodbye(verdict.refusal, "filter")
        else:
            self.refuse(verdict.refusal)

    def flush(self) -> None:
        """Send what was queued."""
        if self._output:
            if not self._lost:
                self.transport.write(b"".join(self._output))
            self._output.clear()

    async def push(self, status: str | bytes) -> None:
        """Queue a reply, as aiosmtpd's handlers do it."""
        self.reply(answer_of(status if isinstance(status, str) else status.decode()).reply)

    def say_goodbye(self, reply: Reply, reason: str) -> None:
        """Send a last reply and close."""
        self.reply(reply)
        self.flush()
        self.close(reason)

    def close(self, reason: str) -> None:
        """Close the connection once what was sent is out."""
        self.reason = self.reason or reason
        self.closing = True
        self.flush()
        self.deadline = self.loop.time() + _LINGER_SECONDS
        self.transport.close()

    def within_rate(self, kind: Kind, limit: int) -> bool:
        """Count what the client does, in a minute; False, and told, if that is too often. Local clients are free."""
        address = self.session.client_address
        if not limit or address == "local" or self.host.rates.take(kind, client_of(address), limit):
            return True
        self._emit(LimitHit(direction="in", limit="rate", session=self.session.id))
        return False

    async def call(self, hook: str, *arguments: object) -> Any:
        """Call a hook of the handler, MISSING if it has none."""
        found = self._handle_hooks.get(hook)
        return MISSING if found is None else await found(self, self.session, self.envelope, *arguments)

    async def handle_exception(self, error: Exception) -> str:
        """Give the reply to an unexpected exception: never permanent, never with details."""
        return str(answers.INTERNAL_FAULT)
