"""Our session behind the constructor of ``aiosmtpd.smtp.SMTP``, so that aiosmtpd's own tests can run against it.

What the constructor's arguments ask for becomes a listener's policy; the handler's hooks are called behind those of our
receiver, with aiosmtpd's signatures, and what they return is answered.
"""

import asyncio
import inspect
import random
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Final
from unittest.mock import Mock

from aiosmtpd.smtp import MISSING, AuthResult, LoginPassword, login_always_fail

from paquebot_mta.accept.answers import answer_of
from paquebot_mta.accept.host import Sweepable
from paquebot_mta.accept.listener import hooks_of
from paquebot_mta.accept.policy import ListenerPolicy
from paquebot_mta.accept.rates import RateCounter
from paquebot_mta.accept.receiver import Receiver
from paquebot_mta.accept.session import MtaSession
from paquebot_mta.config.listeners import Listener, ServerAuth, ServerTls
from paquebot_mta.config.service import Limits
from paquebot_mta.expand.results import Accepted, Facts, Target
from paquebot_mta.mail.address import Address
from paquebot_mta.mail.envelope import Message
from paquebot_mta.mail.ids import Msgid, new_msgid
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.events import Event

_SWEEP_SECONDS: Final = 0.1
_SIZE: Final = 33_554_432
_RANDOM: Final = random.Random(1)


class _Draft:
    """Content in memory, the trace field left out: aiosmtpd's handlers see what the client sent."""

    def __init__(self) -> None:
        self.msgid: Msgid = new_msgid(_RANDOM.getrandbits)
        self.chunks: list[bytes] = []

    @property
    def size(self) -> int:
        return sum(map(len, self.chunks))

    @property
    def content(self) -> bytes:
        return b"".join(self.chunks[1:])

    def write(self, chunk: bytes) -> None:
        self.chunks.append(chunk)

    async def drain(self) -> None:
        return

    async def commit(self, message: Message, *, together: bool = False) -> None:
        return

    def abort(self) -> None:
        return


class _Spool:
    def create(self, *, size_hint: int = 0) -> _Draft:
        return _Draft()


class _Anyone:
    """Every recipient is a local one."""

    async def expand(self, facts: Facts, reverse_path: Address | None, recipient: Address) -> Accepted:
        return Accepted((Target(str(recipient), "local", "user"),), "rule")


class _Hooks:
    """The receiver's hooks, each followed by the handler's."""

    def __init__(self, handler: object, *, decode: bool) -> None:
        self._handler = handler
        self._decode = decode
        self._receiver = Receiver(
            _Spool(),  # type: ignore[arg-type]  # the accepting half of it
            lambda event: None,
            lambda message: None,
            time.time,
            _RANDOM.getrandbits,
        )
        self.handle_DATA_BEGIN = self._receiver.handle_DATA_BEGIN

    def all(self) -> dict[str, Any]:
        found = {name: self._any(hook) for name, hook in hooks_of(self._handler).items() if name != "exception"}
        return {
            **found,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA_BEGIN": self.handle_DATA_BEGIN,
            "DATA": self._data,
        }

    def _any(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        async def run(*arguments: Any) -> Any:
            result = hook(*arguments)
            return await result if inspect.isawaitable(result) else result

        return run

    async def _ask(self, name: str, *arguments: Any) -> Any:
        hook = getattr(self._handler, f"handle_{name}", None)
        return "250 OK" if hook is None else await hook(*arguments)

    async def _mail(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> Any:
        answer = answer_of(await self._receiver.handle_MAIL(server, session, envelope, address, options))
        if not answer.reply.positive:
            return answer
        envelope.mail_options.extend(server.options)
        return await self._ask("MAIL", server, session, envelope, address, server.options)

    async def _rcpt(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> Any:
        answer = answer_of(await self._receiver.handle_RCPT(server, session, envelope, address, options))
        known = list(envelope.rcpt_tos)
        try:
            status = await self._ask("RCPT", server, session, envelope, address, options)
        finally:
            envelope.rcpt_tos[:] = known  # aiosmtpd's handlers add the recipient themselves
        return status if answer.reply.positive else answer

    async def _data(self, server: Any, session: Any, envelope: Any) -> Any:
        content = envelope.draft.content
        envelope.original_content = content
        envelope.content = content.decode("utf-8", "surrogateescape") if self._decode else content
        return await self._ask("DATA", server, session, envelope)


class _Host:
    """The server around one session."""

    def __init__(self, handler: Any, policy: ListenerPolicy, check: Any, *, decode: bool) -> None:
        self.handler, self._policy, self.authenticator = handler, policy, check
        self.hooks = _Hooks(handler, decode=decode).all()
        self.draining = self.stressed = False
        self.rates = RateCounter(time.monotonic)
        self.clock: Callable[[], float] = time.time
        self.randbits = _RANDOM.getrandbits
        self.lookup_name = None

    def emit(self, event: Event) -> None:
        return

    def policy_of(self, listener: str) -> ListenerPolicy:
        return self._policy

    def admit(self, session: Sweepable, client_address: str) -> Reply | None:
        return None

    def leave(self, session: Sweepable, client_address: str) -> None:
        return


class _Writer:
    """A transport under the name that aiosmtpd's tests look at."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport

    def close(self) -> None:
        self.transport.close()

    def get_extra_info(self, name: str) -> Any:
        """Answer as a transport does, for a mock of one, too."""
        value = self.transport.get_extra_info(name)
        return None if isinstance(value, Mock) else value

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)


class CompatSession(MtaSession):
    """``MtaSession`` as ``aiosmtpd.controller`` makes it."""

    line_length_limit = 65_535
    options: tuple[str, ...] = ()
    _writer: Any = None

    def __init__(
        self,
        handler: Any,
        *,
        data_size_limit: int | None = _SIZE,
        enable_SMTPUTF8: bool = False,  # noqa: N803 - aiosmtpd's spelling
        decode_data: bool = False,
        hostname: str | None = None,
        ident: str = "ESMTP Paquebot",
        tls_context: ssl.SSLContext | None = None,
        require_starttls: bool = False,
        timeout: float = 300,
        auth_required: bool = False,
        auth_require_tls: bool = True,
        auth_callback: Callable[[str, bytes, bytes], Any] = login_always_fail,
        authenticator: Callable[..., AuthResult] | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        **others: object,
    ) -> None:
        self._needs_tls = auth_require_tls
        self._callback, self._authenticator = auth_callback, authenticator
        self._mechanism = ""
        listener = Listener(
            name="test",
            tls=ServerTls(mode="StartTLS" if tls_context else "Off", required=bool(tls_context) and require_starttls),
            auth=ServerAuth(mode="Required" if auth_required else "Optional"),
        )
        limits = Limits(message_bytes=data_size_limit or _SIZE, command_timeout_seconds=int(timeout), errors=100)
        name = hostname or socket.getfqdn()
        offered = ("8BITMIME", f"SIZE {limits.message_bytes}", *(("SMTPUTF8",) if enable_SMTPUTF8 else ()))
        secure = (*offered, "AUTH PLAIN LOGIN", "HELP")
        plain = (*offered, *(("STARTTLS",) if tls_context else ()), "HELP") if auth_require_tls else secure
        banner = Reply(220, f"{name} {ident}")
        policy = ListenerPolicy(listener, name, limits, _Anyone(), banner, plain, secure, tls_context)
        host: Any = _Host(handler, policy, self, decode=decode_data)
        with _running(loop):
            super().__init__(host, policy)

    async def authenticate(self, policy: ListenerPolicy, login: bytes, password: bytes) -> AuthResult:
        """Ask what the constructor was given."""
        data = LoginPassword(login, password)
        if self._authenticator is not None:
            return self._authenticator(self, self.session, self.envelope, self._mechanism, data)
        good = bool(self._callback(self._mechanism, login, password))
        return AuthResult(success=good, handled=False, auth_data=data if good else None)

    async def _check(self, mechanism: str, login: bytes, password: bytes) -> None:
        self._mechanism = mechanism
        await super()._check(mechanism, login, password)

    @property
    def takes_auth(self) -> bool:
        """Without TLS, too, if the constructor was told so."""
        return super().takes_auth or not self._needs_tls

    @property
    def _handler_coroutine(self) -> Any:  # type: ignore[override]
        return self._task

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, watched as a listener would do it."""
        self._writer = _Writer(transport)
        super().connection_made(self._writer)
        self._watcher = self.loop.create_task(self._watch())

    async def _start_tls(self, context: ssl.SSLContext) -> None:
        self.transport = self._writer.transport
        await super()._start_tls(context)

    async def smtp_MAIL(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's spelling
        """Keep the options as aiosmtpd's handlers take them: words in upper case."""
        self.options = tuple(arg.partition(">")[2].upper().split())
        await super().smtp_MAIL(arg)

    async def _watch(self) -> None:
        """Look after the deadlines, and end with the controller, which knows tasks only."""
        try:
            while not self.finished:
                await asyncio.sleep(_SWEEP_SECONDS)
                if self.deadline <= self.loop.time():
                    self.expire(self.loop.time())
        except asyncio.CancelledError:
            self.abandon()
            raise

    async def handle_exception(self, error: Exception) -> str:
        """Let the handler see it; the reply is ours."""
        hook = getattr(self.event_handler, "handle_exception", None)
        if hook is not None:
            await hook(error)
        return await super().handle_exception(error)

    async def _run(self, command: Any) -> None:
        """Find methods as aiosmtpd does: a subclass may have its own."""
        method = getattr(self, f"smtp_{command.verb}", MISSING)
        if method is MISSING:
            await super()._run(command)
        else:
            await method(command.argument)


class _running:  # noqa: N801 - a context manager
    """Have a loop that doesn't run yet taken for the running one: some tests make sessions before."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._known = asyncio._get_running_loop()
        self._loop = self._known or loop or asyncio.new_event_loop()
        self._made = self._loop is not self._known and self._loop is not loop

    def __enter__(self) -> None:
        asyncio._set_running_loop(self._loop)

    def __exit__(self, *_: object) -> None:
        asyncio._set_running_loop(self._known)
        if self._made:
            self._loop.close()
