"""The listeners: sockets bound, sessions counted and swept, policy replaced while they run, drained at the end."""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from paquebot_mta.accept import answers
from paquebot_mta.accept.credentials import PasswordChecker
from paquebot_mta.accept.crowd import Crowd
from paquebot_mta.accept.host import Authenticator, Hook, LookupName, Sweepable
from paquebot_mta.accept.policy import AcceptPolicy, ListenerPolicy
from paquebot_mta.accept.rates import RateCounter, client_of
from paquebot_mta.accept.receiver import Receiver
from paquebot_mta.accept.session import MtaSession
from paquebot_mta.accept.sockets import UNIX, Server, bind, serve
from paquebot_mta.accept.state import spell_endpoint
from paquebot_mta.accept.stress import Stress
from paquebot_mta.config.listeners import Listener
from paquebot_mta.config.rates import Rates
from paquebot_mta.mail.envelope import Message
from paquebot_mta.mail.ids import RandomBits
from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool.store import Spool
from paquebot_mta.telemetry.bus import Emit

_SWEEP_SECONDS: Final = 1.0
Bind = Callable[[str, int], socket.socket]
"""Makes a bound socket for an address and a port, or raises OSError."""


class Acceptor:
    """Accepts mail on all listeners of a policy into a spool."""

    def __init__(  # noqa: PLR0913 - each is a stage or a source that tests replace
        self,
        *,
        policy: AcceptPolicy,
        spool: Spool,
        emit: Emit,
        on_accepted: Callable[[Message], None],
        clock: Callable[[], float],
        randbits: RandomBits,
        lookup_name: LookupName | None = None,
        authenticator: Authenticator | None = None,
        memory: Callable[[], float] | None = None,
        bind: Bind = bind,
    ) -> None:
        """Take the stages; nothing is bound before ``start``.

        Args:
            policy: what to listen on and how, see ``build_policy``.
            spool: where accepted messages go.
            emit: takes every event.
            on_accepted: told of each durable message, on the event loop.
            clock: seconds since 1970.
            randbits: for ids and delays.
            lookup_name: reverse name of a client and whether it is verified, None asks nobody.
            authenticator: instead of the password check against the credentials tables.
            memory: part of the memory limit that is used, 0 to 1; None measures the container.
            bind: makes a bound socket for an address and a port; workers share those in the file system.
        """
        self.emit, self.clock, self.randbits, self.lookup_name = emit, clock, randbits, lookup_name
        self.handler: Any = Receiver(spool, emit, on_accepted, clock, randbits)
        self.hooks = hooks_of(self.handler)
        self._passwords = PasswordChecker(randbits)
        self.authenticator: Authenticator = authenticator or self._passwords
        self.draining = self.stressed = False
        self.rates = RateCounter(time.monotonic)
        self._paused = False
        self._policy = policy
        self._bound: dict[str, socket.socket] = {}
        self._servers: dict[str, Server] = {}
        self._addresses: dict[str, str] = {}
        self._crowd = Crowd()
        self._bind_socket = bind
        self._stress = Stress(emit, memory)
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()

    async def start(self) -> None:
        """Bind and listen.

        Raises:
            OSError: an address can't be bound; the message names the listener. Nothing stays bound.
        """
        loop = asyncio.get_running_loop()
        try:
            for policy in self._policy.listeners.values():
                self._bind(policy.listener)
                await self._listen(policy.listener)
        except OSError:
            await self.close()
            raise
        self._sweep(loop, loop.time())

    def _bind(self, listener: Listener) -> None:
        try:
            bound = self._bind_socket(listener.address, listener.port)
        except OSError as error:
            where = f"listener {listener.name}: {listener.address}:{listener.port}"
            raise OSError(error.errno, f"{where}: {error.strerror}") from error
        self._bound[listener.name] = bound
        self._addresses[listener.name] = _spell(bound.getsockname())

    async def _listen(self, listener: Listener) -> None:
        """Take connections from a listener's socket, by a descriptor of its own: the socket outlives each server."""

        def begin() -> MtaSession:
            return MtaSession(self, self._policy.listeners[listener.name])

        if self.draining:
            return
        bound = self._bound[listener.name].dup()
        self._servers[listener.name] = await serve(begin, bound, by_hand=_is_by_hand(listener))

    def addresses(self) -> dict[str, str]:
        """What is bound, by listener: ``192.0.2.1:25``, ``[::]:25`` or ``unix:/path``."""
        return dict(self._addresses)

    async def replace_policy(self, policy: AcceptPolicy) -> None:
        """Use another policy: for new sessions at once, for others from their next transaction or handshake on.

        Addresses and ports stay as they were bound; a listener that is new or gone needs a new process. Where a proxy
        or TLS comes first now, or no more, clients that connect meanwhile wait in the socket's backlog.
        """
        before = self._policy.listeners
        kept = {name: policy.listeners.get(name, before[name]) for name in self._servers}
        turned = [name for name in kept if _is_by_hand(kept[name].listener) != _is_by_hand(before[name].listener)]
        for name in turned:
            await self._servers[name].stop()
        self._policy = AcceptPolicy(policy.limits, kept)
        for name in turned:
            await self._listen(kept[name].listener)
        if self.draining:
            self.stop_listening()

    def pause(self, paused: bool) -> None:
        """Refuse new sessions (421), or take them again; sessions that are open go on."""
        self._paused = paused

    def policy_of(self, listener: str) -> ListenerPolicy | None:
        """The policy of a listener now."""
        return self._policy.listeners.get(listener)

    @property
    def sessions(self) -> int:
        """Sessions that are open."""
        return len(self._crowd)

    def admit(self, session: Sweepable, client_address: str) -> Reply | None:
        """Count a session in, or say why not."""
        limits = self._policy.limits
        if self.draining or self._paused:
            refusal: Reply | None = answers.SHUTTING_DOWN if self.draining else answers.PAUSED
        else:
            refusal = self._crowd.refusal(limits, client_address) or self._too_often(limits.rates, client_address)
        # A refused session is kept until its connection is closed, so that one which never reads is cut off, too.
        self._crowd.add(session, client_address)
        return refusal

    def _too_often(self, rates: Rates, client_address: str) -> Reply | None:
        if client_address == "local":
            return None
        client = client_of(client_address)
        if self.rates.reached("auth-failure", client, rates.auth_failures_per_minute):
            return answers.TOO_MANY_FAILURES
        taken = self.rates.take("session", client, rates.sessions_per_minute)
        return None if taken else answers.TOO_OFTEN

    def leave(self, session: Sweepable, client_address: str) -> None:
        """Count a session out."""
        self._crowd.remove(session, client_address)
        if not self._crowd:
            self._empty.set()

    def _sweep(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        """End what is over time, and look whether there is stress; one timer for all sessions."""
        now, limits = loop.time(), self._policy.limits
        began = self._stress.judge(lag_seconds=now - due, sessions=len(self._crowd), limits=limits)
        self.stressed = self._stress.active
        for session in self._crowd:
            if began:
                session.hurry(now + limits.stress_timeout_seconds)
            if session.deadline <= now:
                session.expire(now)
        shortest = min(limits.command_timeout_seconds, limits.data_timeout_seconds, limits.session_timeout_seconds)
        due = loop.time() + min(_SWEEP_SECONDS, max(shortest / 4, 0.02))
        self._sweeper = loop.call_at(due, self._sweep, loop, due)

    def stop_listening(self) -> None:
        """Take no new connections."""
        for server in self._servers.values():
            server.close()
        for bound in self._bound.values():
            bound.close()

    async def drain(self, grace_seconds: float) -> None:
        """Stop listening, say goodbye to idle sessions, and give open transactions that long to finish."""
        self.draining = True
        self.stop_listening()
        for session in self._crowd:
            session.wind_down()
        await self._wait_empty(grace_seconds)
        await self.close()

    async def _wait_empty(self, seconds: float) -> None:
        self._empty.clear()
        if self._crowd:
            try:
                await asyncio.wait_for(self._empty.wait(), seconds)
            except TimeoutError:
                return

    async def close(self) -> None:
        """End everything now; commits that run are waited for."""
        self.draining = True
        self.stop_listening()
        for session in self._crowd:
            session.abandon()
        await self._wait_empty(_SWEEP_SECONDS)
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._passwords.close()


def hooks_of(handler: object) -> dict[str, Hook]:
    """Find the hooks of a handler, by name without ``handle_``."""
    names = (name for name in dir(handler) if name.startswith("handle_"))
    return {name.removeprefix("handle_"): getattr(handler, name) for name in names}


def _is_by_hand(listener: Listener) -> bool:
    """Whether something comes before the session that a transport must not read."""
    return listener.tls.mode == "Implicit" or listener.proxy_protocol is not None


def _spell(name: Any) -> str:
    return spell_endpoint(name[0], name[1]) if isinstance(name, tuple) else f"{UNIX}{name}"
