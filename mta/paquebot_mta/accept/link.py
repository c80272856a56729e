"""The life of a connection: admission, name, TLS from the first byte, banner; timeouts, goodbye, and the last event."""

import asyncio
import socket
from contextlib import suppress
from typing import Any, Final, Literal, cast, get_args

from paquebot_mta.accept import answers
from paquebot_mta.accept.policy import spell_banner
from paquebot_mta.accept.proxied import read_ends
from paquebot_mta.accept.screening import Screening
from paquebot_mta.accept.tls import TlsSession
from paquebot_mta.filter.chain import GO_ON
from paquebot_mta.mail.proxy import ProxyError
from paquebot_mta.mail.reply import Reply
from paquebot_mta.table.lookup import TableError
from paquebot_mta.telemetry.events import (
    Attempt,
    LimitHit,
    LinkConnect,
    LinkDisconnect,
    LinkGreeting,
    Notice,
    Timeout,
)

NAME_TIMEOUT_SECONDS: Final = 2.0
"""How long the client's reverse name may delay the banner."""

_LIMITS: Final[dict[Reply, Literal["session", "per_ip", "rate"]]] = {
    answers.TOO_MANY_SESSIONS: "session",
    answers.TOO_MANY_FROM_YOU: "per_ip",
    answers.TOO_MANY_FROM_NETWORK: "per_ip",
    answers.TOO_OFTEN: "rate",
    answers.TOO_MANY_FAILURES: "rate",
}
Reason = Literal["quit", "eof", "timeout", "tls", "filter", "limit", "error", "shutdown"]
_REASONS: Final = frozenset(get_args(Reason))


class LinkSession(TlsSession):
    """From connect to disconnect."""

    def arrive(self) -> None:
        """Count the session in and greet it, at once if nothing has to be asked first."""
        if self.transport.get_extra_info("ssl_object") is not None:
            self.secured()
            self._greet_now()
            return
        refusal = self.host.admit(self, self.session.client_address)
        if refusal is not None:
            self._connected()
            self._refuse(refusal)
            self.say_goodbye(refusal, "limit")
        elif self._wants_name() or self.policy.hostnames is not None:
            self.work(self._open())
        else:
            self._connected()
            self._greet_now()

    def _greet_now(self) -> None:
        """Greet at once, or once filters were asked."""
        if self.policy.screen is not None:
            self._work_at_once(self._screen_and_greet())
            return
        self._greet()
        self.settle()

    async def _screen_and_greet(self) -> None:
        try:
            await self._receive()
        except Exception as error:  # as in a command: a fault of ours ends the session with 421
            await self.fail(error)
        finally:
            self.settle()

    async def _receive(self) -> None:
        """Greet a client that waited for it and that filters let in: the filters in force now."""
        verdict, screen = GO_ON, (self.host.policy_of(self._endpoint) or self.policy).screen
        if screen is not None:
            self.screening = Screening(screen, self.session, self._endpoint, self.hostname)
            verdict = await self.screening.ask("connect", self.screening.client)
        if len(self._input):
            self._refuse_early_talker()
        elif verdict.refusal is not None:
            fault: Literal["filter", ""] = "filter" if verdict.failed else ""
            self._emit(Attempt(direction="in", outcome="fault" if fault else "policy_rejected", fault=fault))
            # Without a banner there is no session that could go on: 421 if it is for now (RFC 5321, 3.1).
            self.say_goodbye(answers.FILTERS_DOWN if verdict.failed else verdict.refusal, "filter")
        elif not self.closing:
            self._greet()

    async def open_accepted(self, connection: socket.socket) -> None:
        """Begin on an accepted socket: behind the header of a proxy, or with TLS from the first byte, or both.

        A transport would read the client's hello before TLS could. ``arrive`` follows when all that is done.

        Raises:
            OSError: the connection broke.
        """
        ends = await self._ends_of(connection)
        if ends is None:
            connection.close()
            return
        self.begin(*ends)
        if self.policy.listener.tls.mode == "Implicit":
            await self._open_secure(connection)
        else:
            await self.loop.connect_accepted_socket(lambda: self, connection)

    async def _ends_of(self, connection: socket.socket) -> tuple[Any, Any] | None:
        """Find out who is there; None if that can't be believed, and the connection is to be dropped."""
        if not self.policy.proxies:
            return connection.getpeername(), connection.getsockname()
        try:
            return await read_ends(connection, self.policy.proxies, self.policy.limits.handshake_timeout_seconds)
        except ProxyError as error:
            details: dict[str, str | int | float | bool] = {"listener": self._endpoint, "error": str(error)}
            self._emit(Notice(level="warning", event="smtp-in.proxy", details=details))
            return None

    async def _open_secure(self, connection: socket.socket) -> None:
        """Shake hands before anything is said (RFC 8314, 3.3)."""
        refusal = self.host.admit(self, self.session.client_address)
        if refusal is None and not self.within_rate("handshake", self.policy.limits.rates.handshakes_per_minute):
            refusal = answers.TOO_OFTEN
        if refusal is None:
            await self._look_up_name()
            await self._take_hostname()
            self._connected()
            await self.shake_hands(connection)
        else:
            self._connected()
            self._refuse(refusal)
            with suppress(OSError):
                connection.send(refusal.encode())  # in the clear, as a handshake is what we can't afford
            connection.close()
            self.reason = "limit"
            self.finish()

    def _wants_name(self) -> bool:
        address = self.session.client_address
        if address == "local" or address == "::1" or address.startswith("127."):
            self.session.client_name, self.session.fcrdns = "localhost", "pass"
            return False
        return self.host.lookup_name is not None

    async def _take_hostname(self) -> None:
        """Call ourselves as the table says for the address the client came to; without an answer, as usual."""
        if self.policy.hostnames is None:
            return
        try:
            name = await self.policy.hostnames.lookup("addrname", self.session.local_address)
        except TableError as error:
            details: dict[str, str | int | float | bool] = {"session": self.session.id, "error": str(error)}
            self._emit(Notice(level="warning", event="smtp-in.hostname", details=details))
        else:
            self.hostname = name or self.hostname

    async def _open(self) -> None:
        try:
            await self._look_up_name()
            await self._take_hostname()
            self._connected()
            await self._receive()
        except Exception as error:  # as in a command: a fault of ours ends the session with 421
            await self.fail(error)
        finally:
            self.settle()

    async def _look_up_name(self) -> None:
        if self._wants_name() and self.host.lookup_name is not None:
            with suppress(Exception):  # a name is never worth a session
                looked_up = self.host.lookup_name(self.session.client_address)
                self.session.client_name, self.session.fcrdns = await asyncio.wait_for(looked_up, NAME_TIMEOUT_SECONDS)

    def _connected(self) -> None:
        session = self.session
        self._emit(
            LinkConnect(
                direction="in",
                session=session.id,
                endpoint=self._endpoint,
                rdns=session.client_name,
                fcrdns=session.fcrdns,
                source=session.source,
                destination=session.destination,
                family=session.family,
            )
        )

    def _greet(self) -> None:
        self.greeted = True
        policy = self.policy
        self.reply(policy.banner if self.hostname == policy.hostname else spell_banner(self.hostname, policy.listener))
        self._emit(
            LinkGreeting(
                direction="in",
                session=self.session.id,
                endpoint=self._endpoint,
                hostname=self.hostname,
                delay_seconds=self.loop.time() - self.started_at,
            )
        )

    def _refuse(self, refusal: Reply) -> None:
        """Tell why: too many in all is our own shortage, anything else is a decision."""
        limit = _LIMITS.get(refusal)
        if limit is not None:
            self._emit(LimitHit(direction="in", limit=limit, session=self.session.id))
        if limit == "session":
            self._emit(Attempt(direction="in", outcome="fault", fault="overload"))
        else:
            self._emit(Attempt(direction="in", outcome="policy_rejected"))

    def _refuse_early_talker(self) -> None:
        """A client must wait for the banner (RFC 5321, 4.3.1)."""
        self._emit(Attempt(direction="in", outcome="policy_rejected"))
        self.say_goodbye(answers.OUT_OF_SYNC, "error")

    def expire(self, now: float) -> None:
        """End a session whose deadline passed; one that was closed but can't get rid of its replies is cut off."""
        if self.closing:
            self.abandon()
            return
        phase = "data" if self._content is not None else "session" if now >= self.session_end else "command"
        self._emit(Timeout(direction="in", session=self.session.id, endpoint=self._endpoint, phase=phase))
        self.say_goodbye(answers.TIMED_OUT, "timeout")
        if self._task is not None:
            self._task.cancel()

    def wind_down(self) -> None:
        """Say goodbye now if nothing is going on; else ``settle`` does it when the transaction is over."""
        if self.greeted and self.idle and not self.closing:
            self.say_goodbye(answers.SHUTTING_DOWN, "shutdown")

    def abandon(self) -> None:
        """End now; a commit that runs is waited for by nobody but itself."""
        self.reason = self.reason or "shutdown"
        self.closing = True
        if self._task is not None and not self.committing:
            self._task.cancel()
        if self.transport is not None:
            self.transport.abort()

    async def fail(self, error: Exception) -> None:
        """Answer a fault of ours: 451 and the end of the session, no details to the client."""
        details: dict[str, str | int | float | bool] = {"session": self.session.id, "error": type(error).__name__}
        self._emit(Notice(level="error", event="smtp-in.fault", details=details))
        self.end_transaction(Attempt(direction="in", outcome="fault", fault="bug"))
        self.reply(answers.answer_of(await self.handle_exception(error)).reply)
        self.close("error")

    def finish(self) -> None:
        """Tell that the session is over: the open transaction first, link-disconnect last."""
        if self.finished:
            return
        self.finished = True
        self.end_transaction(Attempt(direction="in", outcome="client_aborted"))
        reason = self.reason if self.reason in _REASONS else "eof"
        self._emit(
            LinkDisconnect(
                direction="in",
                session=self.session.id,
                endpoint=self._endpoint,
                reason=cast(Reason, reason),
                duration_seconds=self.loop.time() - self.started_at,
            )
        )
        if self.screening is not None:
            self.screening.end()
        self.host.leave(self, self.session.client_address)

    def end_transaction(self, attempt: Attempt) -> None:
        """Roll back what is open, and say how it ended."""
        raise NotImplementedError
