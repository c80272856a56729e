"""One outbound session's report events, each in its place: a transaction ends exactly once, and nothing secret is told.

With PIPELINING commands travel together; they are reported one by one, each with its reply, so that a session reads
the same whether the next hop pipelines or not.
"""

from collections.abc import Callable
from typing import Literal

from paquebot_mta.deliver.hops import NextHop
from paquebot_mta.mail.ids import Evpid, Msgid, SessionId
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.bus import Emit
from paquebot_mta.telemetry.events import (
    LinkAuth,
    LinkConnect,
    LinkDisconnect,
    LinkGreeting,
    LinkIdentify,
    LinkTls,
    ProtocolClient,
    ProtocolServer,
    Timeout,
    TlsFailure,
    TxBegin,
    TxCommit,
    TxData,
    TxEnvelope,
    TxMail,
    TxRcpt,
    TxReset,
    TxRollback,
    Verdict,
)

MASK = "********"
Reason = Literal["quit", "eof", "timeout", "tls", "filter", "limit", "error", "shutdown"]
TlsReason = Literal["cert_expired", "cert_name", "cert_untrusted", "no_cipher", "protocol", "timeout", "eof", "other"]


class SessionReports:
    """Emits the events of one session."""

    def __init__(self, emit: Emit, session: SessionId, endpoint: str, monotonic: Callable[[], float]) -> None:
        """Keep what all events have."""
        self._emit = emit
        self._session = session
        self._endpoint = endpoint
        self._monotonic = monotonic
        self._began_at = monotonic()
        self._open: Msgid | None = None
        self._connected = False

    def connected(self, hop: NextHop, source: str, destination: str) -> None:
        """link-connect. The name is what led to the address; nobody asked for its reverse name."""
        self._connected = True
        self._emit(
            LinkConnect(
                direction="out",
                session=self._session,
                endpoint=self._endpoint,
                rdns=hop.name or "<unknown>",
                source=source,
                destination=destination,
                family="unix" if not hop.port else "inet6" if ":" in hop.address else "inet4",
            )
        )

    def greeted(self, hostname: str) -> None:
        """link-greeting."""
        delay = self._monotonic() - self._began_at
        self._emit(
            LinkGreeting(
                direction="out",
                session=self._session,
                endpoint=self._endpoint,
                hostname=hostname,
                delay_seconds=delay,
            )
        )

    def identified(self, method: Literal["HELO", "EHLO", "LHLO"], identity: str) -> None:
        """link-identify."""
        self._emit(
            LinkIdentify(
                direction="out", session=self._session, endpoint=self._endpoint, method=method, identity=identity
            )
        )

    def tls(self, version: str, cipher: str, bits: int) -> None:
        """link-tls."""
        self._emit(
            LinkTls(
                direction="out",
                session=self._session,
                endpoint=self._endpoint,
                version=version,
                cipher=cipher,
                bits=bits,
            )
        )

    def tls_failed(self, reason: TlsReason) -> None:
        """A handshake failed."""
        self._emit(TlsFailure(direction="out", session=self._session, reason=reason))

    def authenticated(self, result: Literal["pass", "fail", "error"], username: str, mechanism: str) -> None:
        """link-auth."""
        self._emit(
            LinkAuth(
                direction="out",
                session=self._session,
                endpoint=self._endpoint,
                result=result,
                username=username,
                mechanism=mechanism,
            )
        )

    def client(self, command: str) -> None:
        """protocol-client; the caller masks secrets."""
        self._emit(ProtocolClient(direction="out", session=self._session, endpoint=self._endpoint, command=command))

    def server(self, reply: Reply) -> None:
        """protocol-server, one for each line."""
        for line in reply_lines(reply):
            self._emit(ProtocolServer(direction="out", session=self._session, endpoint=self._endpoint, reply=line))

    def timeout(self, phase: str) -> None:
        """A deadline passed."""
        self._emit(Timeout(direction="out", session=self._session, endpoint=self._endpoint, phase=phase))

    def disconnected(self, reason: Reason) -> None:
        """link-disconnect, once, if there was a link; an open transaction is rolled back before."""
        self.rolled_back()
        if self._connected:
            self._connected = False
            duration = self._monotonic() - self._began_at
            self._emit(
                LinkDisconnect(
                    direction="out",
                    session=self._session,
                    endpoint=self._endpoint,
                    reason=reason,
                    duration_seconds=duration,
                )
            )

    def began(self, msgid: Msgid, address: str) -> None:
        """tx-begin and tx-mail, when MAIL was accepted."""
        self._open = msgid
        self._emit(TxBegin(direction="out", session=self._session, endpoint=self._endpoint, msgid=msgid))
        self._emit(
            TxMail(
                direction="out",
                session=self._session,
                endpoint=self._endpoint,
                msgid=msgid,
                result="ok",
                address=address,
            )
        )

    def envelope(self, evpid: Evpid) -> None:
        """tx-envelope, when RCPT is sent; none if there is no transaction."""
        if self._open is not None:
            self._emit(
                TxEnvelope(
                    direction="out", session=self._session, endpoint=self._endpoint, msgid=self._open, evpid=evpid
                )
            )

    def recipient(self, reply: Reply, address: str) -> None:
        """tx-rcpt."""
        if self._open is not None:
            self._emit(
                TxRcpt(
                    direction="out",
                    session=self._session,
                    endpoint=self._endpoint,
                    msgid=self._open,
                    result=_verdict(reply),
                    address=address,
                )
            )

    def data(self, reply: Reply) -> None:
        """tx-data."""
        if self._open is not None:
            self._emit(
                TxData(
                    direction="out",
                    session=self._session,
                    endpoint=self._endpoint,
                    msgid=self._open,
                    result=_verdict(reply),
                )
            )

    def committed(self, size: int, recipients: int) -> None:
        """tx-commit and tx-reset."""
        if (msgid := self._open) is not None:
            self._emit(
                TxCommit(
                    direction="out",
                    session=self._session,
                    endpoint=self._endpoint,
                    msgid=msgid,
                    size=size,
                    recipients=recipients,
                )
            )
            self._reset(msgid)

    def rolled_back(self) -> None:
        """tx-rollback and tx-reset, if a transaction is open."""
        if (msgid := self._open) is not None:
            self._emit(TxRollback(direction="out", session=self._session, endpoint=self._endpoint, msgid=msgid))
            self._reset(msgid)

    def _reset(self, msgid: Msgid) -> None:
        self._open = None
        self._emit(TxReset(direction="out", session=self._session, endpoint=self._endpoint, msgid=msgid))


def reply_lines(reply: Reply) -> list[str]:
    """Spell a reply as its lines."""
    head = f"{reply.status} " if reply.status else ""
    if "\n" not in reply.text:
        return [f"{reply.code} {head}{reply.text}"]
    *lines, last = reply.text.split("\n")
    return [*(f"{reply.code}-{head}{line}" for line in lines), f"{reply.code} {head}{last}"]


def _verdict(reply: Reply) -> Verdict:
    if reply.positive:
        return "ok"
    return "permfail" if reply.permanent else "tempfail"
