"""STARTTLS (RFC 3207) and TLS from the first byte (RFC 8314), on the running loop's own implementation."""

import socket
import ssl
from typing import Final, Literal

from paquebot_mta.accept import answers
from paquebot_mta.accept.core import SessionCore
from paquebot_mta.telemetry.events import LinkTls, TlsFailure

Failure = Literal["cert_expired", "cert_name", "cert_untrusted", "no_cipher", "protocol", "timeout", "eof", "other"]

_SHUTDOWN_SECONDS: Final = 5.0
_EXPIRED: Final = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_REASONS: Final[tuple[tuple[str, Failure], ...]] = (
    ("NO_SHARED_CIPHER", "no_cipher"),
    ("CERTIFICATE_EXPIRED", "cert_expired"),
    ("CERTIFICATE", "cert_untrusted"),
    ("UNKNOWN_CA", "cert_untrusted"),
    ("EOF", "eof"),
    ("", "protocol"),
)


class TlsSession(SessionCore):
    """Turns the connection into an encrypted one."""

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's spelling
        """Start TLS; all that the client said before is forgotten (RFC 3207, 4.2)."""
        context = self._context()
        if self.session.tls_version or context is None or self.policy.listener.tls.mode != "StartTLS":
            self.refuse(answers.NOT_SUPPORTED)
        elif arg:
            self.refuse(answers.SYNTAX)
        elif self.envelope.draft is not None:
            self.refuse(answers.NOT_NOW)
        elif not self.within_rate("handshake", self.policy.limits.rates.handshakes_per_minute):
            self.refuse(answers.TOO_FAST_TLS)
        elif await self.screen("starttls") is not None:
            await self._begin_tls(context)

    async def _begin_tls(self, context: ssl.SSLContext) -> None:
        """Say so; what came in the clear while filters were asked must not be taken for encrypted (RFC 3207, 6)."""
        if len(self._input):
            self.say_goodbye(answers.OUT_OF_SYNC, "error")
            return
        self.reply(answers.START_TLS)
        self.flush()
        await self._start_tls(context)

    async def _start_tls(self, context: ssl.SSLContext) -> None:
        """Shake hands; a failure ends the session without a reply: there is nobody who could read it."""
        try:
            self.transport = await self.loop.start_tls(
                self.transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=self.policy.limits.handshake_timeout_seconds,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
        except (ssl.SSLError, OSError) as error:
            self._handshake_failed(error)
            self.transport.abort()
            return
        self.secured()
        await self.call("STARTTLS")

    async def shake_hands(self, connection: socket.socket) -> None:
        """Shake hands on an accepted socket; ``connection_made`` is called when that went well."""
        context = self._context()
        try:
            if context is None:
                raise ConnectionError("no certificate any more")
            await self.loop.connect_accepted_socket(
                lambda: self,
                connection,
                ssl=context,
                ssl_handshake_timeout=self.policy.limits.handshake_timeout_seconds,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
        except (ssl.SSLError, OSError) as error:
            self._handshake_failed(error)
            connection.close()
            self.finish()

    def _context(self) -> ssl.SSLContext | None:
        """The newest one: certificates change while sessions run."""
        return (self.host.policy_of(self._endpoint) or self.policy).tls

    def _handshake_failed(self, error: Exception) -> None:
        self._emit(TlsFailure(direction="in", session=self.session.id, reason=classify(error)))
        self.reason = self.reason or "tls"
        self.closing = self._lost = True

    def secured(self) -> None:
        """Note what TLS agreed on, and forget who the client said it was."""
        session, connection = self.session, self.transport.get_extra_info("ssl_object")
        name, version, bits = connection.cipher()
        session.ssl = {"ssl_object": connection}
        session.tls_version, session.tls_cipher, session.tls_bits = connection.version() or version, name, bits
        session.tls_verified = bool(connection.getpeercert())
        session.host_name, session.method, session.extended_smtp = None, "", False
        if self.screening is not None:
            self.screening.know(session)
        self._emit(
            LinkTls(
                direction="in",
                session=session.id,
                endpoint=self._endpoint,
                version=session.tls_version,
                cipher=name,
                bits=bits,
            )
        )


def classify(error: Exception) -> Failure:
    """Name the reason of a failed handshake for metrics."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "cert_expired" if error.verify_code == _EXPIRED else "cert_untrusted"
    if isinstance(error, ssl.SSLError):
        text = (error.reason or "EOF").upper()
        return next(failure for part, failure in _REASONS if part in text)
    if isinstance(error, ConnectionAbortedError | TimeoutError):
        return "timeout"
    return "eof" if isinstance(error, ConnectionError) else "other"
