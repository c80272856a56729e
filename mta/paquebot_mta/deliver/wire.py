"""The connection to a next hop: command lines out, replies in, a deadline on every wait. Knows no SMTP state."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final, cast

from paquebot_mta.deliver.faults import CLOSED, SessionFaultError, TlsFaultError
from paquebot_mta.mail.replies import ReplyError, ReplyReader
from paquebot_mta.mail.reply import Reply

_TIMEOUT: Final = Reply(451, "Connection timed out", "4.4.2")
_INJECTED: Final = Reply(451, "Next hop sent bytes between its reply to STARTTLS and the handshake", "4.7.5")
_TICK_SECONDS: Final = 0.001
"""What is nearer counts as over: uvloop's timers are that coarse, and one so near could not tell its time."""
_FORBIDDEN: Final = frozenset(b"\r\n\0")


class Wire(asyncio.Protocol):
    """One connection. Lines are gathered with ``put_line`` and go out together with ``flush``.

    Used by one coroutine at a time. Deadlines are floats watched by one timer, so a wait costs no timer of its own.
    """

    def __init__(self) -> None:
        """Start unconnected."""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._replies = ReplyReader()
        self._out: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._writable = True
        self._fault: SessionFaultError | None = None
        self.on_event: Callable[[], None] | None = None
        """Called when bytes come in or the connection is lost, while nobody waits for a reply."""
        self.tls: tuple[str, str, int] | None = None
        """Version, cipher and bits once TLS is on."""

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._note_tls()

    def data_received(self, data: bytes) -> None:
        """Take what the server says; too much of it ends the session."""
        try:
            self._replies.feed(data)
        except ReplyError as error:
            self._fail(_protocol_fault(error))
            self.abort()
        else:
            self._wake()

    def eof_received(self) -> None:
        """Nothing will come any more: the transport closes itself."""
        self._fail(SessionFaultError("eof", CLOSED))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits; forget the timer."""
        self._fail(SessionFaultError("eof", CLOSED))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pause_writing(self) -> None:
        """The peer reads slower than we write."""
        self._writable = False

    def resume_writing(self) -> None:
        """There is room again."""
        self._writable = True
        self._wake()

    # What the session calls.

    @property
    def usable(self) -> bool:
        """Open, and the server said nothing that it was not asked for."""
        return self._fault is None and self._replies.idle and self._transport is not None

    def addresses(self) -> tuple[str, str]:
        """Our address and the peer's, as socket names; empty where there is none."""
        if self._transport is None:
            return "", ""
        return _host(self._transport.get_extra_info("sockname")), _host(self._transport.get_extra_info("peername"))

    def put_line(self, line: bytes) -> None:
        """Add a command line to the flight.

        Raises:
            ValueError: the line holds CR, LF or NUL: someone tries to smuggle a command in.
        """
        if not _FORBIDDEN.isdisjoint(line):
            raise ValueError("CR, LF or NUL in a command line")
        self._out.append(line + b"\r\n")

    def put_content(self, data: bytes) -> None:
        """Add content that is stuffed already."""
        self._out.append(data)

    def flush(self) -> None:
        """Send what was gathered."""
        data, self._out = b"".join(self._out), []
        if self._transport is not None and self._fault is None and data:
            self._transport.write(data)

    async def drain(self, timeout_seconds: float) -> None:
        """Wait until little enough waits to be sent.

        Raises:
            SessionFaultError: the deadline passed or the connection is gone.
        """
        while not self._writable:
            await self._wait(timeout_seconds)
        if self._fault is not None:
            raise self._fault

    async def reply(self, timeout_seconds: float) -> Reply:
        """Read the next reply.

        Raises:
            SessionFaultError: none came in time, the connection is gone, or it is no reply.
        """
        deadline = self._loop.time() + timeout_seconds
        while (found := self._next_reply()) is None:
            await self._wait(deadline - self._loop.time())
        return found

    async def start_tls(self, context: ssl.SSLContext, name: str | None, timeout_seconds: float) -> None:
        """Turn TLS on; the server answered STARTTLS with 220.

        Raises:
            SessionFaultError: bytes came after the 220: they were injected by someone on the path (CVE-2011-0411).
            TlsFaultError: the handshake failed; the connection is gone.
        """
        if not self.usable or self._transport is None:
            fault = self._fault or SessionFaultError("protocol", _INJECTED)
            self.abort()
            raise fault
        self._writable = True
        upgrade = self._loop.start_tls(
            self._transport, self, context, server_hostname=name, ssl_handshake_timeout=timeout_seconds
        )
        try:
            upgraded = await upgrade
        except (OSError, ValueError) as error:
            self.abort()
            raise TlsFaultError(_spell(error)) from error
        self._transport = upgraded
        self._note_tls()

    def close(self) -> None:
        """Close after what was written is sent."""
        self._fail(SessionFaultError("shutdown", CLOSED))
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever was not sent is dropped."""
        self._fail(SessionFaultError("shutdown", CLOSED))
        if self._transport is not None:
            self._transport.abort()

    # Waiting.

    def _next_reply(self) -> Reply | None:
        """Take a reply that has come in; what came before the connection was lost still counts."""
        try:
            found = self._replies.next_reply()
        except ReplyError as error:
            self._fail(_protocol_fault(error))
            self.abort()
            raise _protocol_fault(error) from error
        if found is None and self._fault is not None:
            raise self._fault
        return found

    async def _wait(self, timeout_seconds: float) -> None:
        """Wait until something happens."""
        if self._fault is not None:
            raise self._fault
        self._waiter = self._loop.create_future()
        self._deadline = self._loop.time() + timeout_seconds
        if self._timer is None or self._timer.when() > self._deadline:
            self._watch()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _watch(self) -> None:
        """Set the timer to the deadline."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._tick)

    def _tick(self) -> None:
        """Look whether the deadline has passed, or was moved meanwhile."""
        self._timer = None
        if self._waiter is None:
            return
        if self._loop.time() + _TICK_SECONDS < self._deadline:
            self._watch()
        else:
            self._fail(SessionFaultError("timeout", _TIMEOUT))
            self.abort()

    def _wake(self) -> None:
        if self._waiter is None:
            if self.on_event is not None:
                self.on_event()
        elif not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, fault: SessionFaultError) -> None:
        """Keep the first fault and tell whoever waits."""
        if self._fault is None:
            self._fault = fault
        self._writable = True
        self._wake()

    def _note_tls(self) -> None:
        tls = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        if tls is not None:
            name, _, bits = tls.cipher() or ("unknown", "", 0)
            self.tls = (tls.version() or "unknown", name, bits)


def _protocol_fault(error: ReplyError) -> SessionFaultError:
    return SessionFaultError("protocol", Reply(451, f"Next hop does not speak SMTP: {error}", "4.5.0"))


def _spell(error: BaseException) -> str:
    """Say in a few words why a handshake failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or "unknown").lower().replace("_", " ")
    return "connection closed" if isinstance(error, ConnectionError) else type(error).__name__


def _host(address: object) -> str:
    """Spell a socket name as reports do."""
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = str(address[0]), int(address[1])
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"unix:{address}" if isinstance(address, str) and address else ""
