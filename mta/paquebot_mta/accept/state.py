"""What a session and a transaction know of themselves: aiosmtpd's Session and Envelope, and ours on top."""

import asyncio
from typing import Any, Literal

from aiosmtpd.smtp import Envelope as BaseEnvelope
from aiosmtpd.smtp import Session as BaseSession

from paquebot_mta.accept.filtered import ContentScreen
from paquebot_mta.accept.intake import Intake
from paquebot_mta.accept.parts import Part
from paquebot_mta.expand.results import Facts
from paquebot_mta.mail.commands import Mail, Recipient
from paquebot_mta.mail.envelope import Envelope
from paquebot_mta.mail.ids import Evpid, Msgid, SessionId
from paquebot_mta.resolver.reverse import UNKNOWN_NAME
from paquebot_mta.spool.store import Draft


class SessionState(BaseSession):
    """One connection.

    Attributes:
        id: of all its events.
        client_address: ``192.0.2.1``, ``2001:db8::1`` or ``local``.
        client_name, fcrdns: reverse name as whoever owns the address chose it, and whether it leads back there.
        source, destination: both ends as reports spell them.
        local_address: where the client came to, as ``client_address`` is spelled; empty for a unix socket.
        family: of the connection.
        method: HELO, EHLO or LHLO once it was accepted, else empty.
        user: authenticated name, empty if none.
        user_id: of a program on this machine whose user the kernel named, else None.
        tls_version, tls_cipher, tls_bits, tls_verified: empty and zero without TLS.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, session_id: SessionId) -> None:
        """Start unidentified."""
        super().__init__(loop)
        self.id = session_id
        self.client_address = "local"
        self.client_name = UNKNOWN_NAME
        self.fcrdns: Literal["pass", "fail", "error"] = "error"
        self.source = self.destination = self.local_address = ""
        self.family: Literal["inet4", "inet6", "unix"] = "unix"
        self.method = ""
        self.user = ""
        self.user_id: int | None = None
        self.tls_version = self.tls_cipher = ""
        self.tls_bits = 0
        self.tls_verified = False
        self.messages = 0

    def locate(self, peer: Any, local: Any) -> None:
        """Note both ends of the connection, as sockets name them."""
        self.peer = peer
        if not isinstance(self.peer, tuple):
            self.source = self.destination = f"unix:{local or ''}"
            return
        self.client_address = self.peer[0].partition("%")[0].removeprefix("::ffff:")
        self.family = "inet6" if ":" in self.client_address else "inet4"
        self.source = spell_endpoint(self.client_address, self.peer[1])
        self.local_address = local[0].partition("%")[0].removeprefix("::ffff:")
        self.destination = spell_endpoint(self.local_address, local[1])

    @property
    def protocol(self) -> str:
        """The keyword of Received's "with" (RFC 3848), without UTF8."""
        base = "LMTP" if self.method == "LHLO" else "ESMTP" if self.method == "EHLO" else "SMTP"
        return base + ("S" if self.tls_version else "") + ("A" if self.user else "")

    @property
    def verified_name(self) -> str:
        """The reverse name if it leads back to the client: nothing may be granted by another one."""
        return self.client_name if self.fcrdns == "pass" else UNKNOWN_NAME

    def facts(self, tag: str) -> Facts:
        """What rules may know."""
        return Facts(
            self.client_address,
            self.verified_name,
            self.host_name or "",
            tag,
            self.user,
            bool(self.tls_version),
            self.family == "unix",
        )


class TransactionState(BaseEnvelope):
    """One transaction, or none while ``draft`` is None.

    Attributes:
        draft: the message on its way in.
        mail, recipient: MAIL, and the RCPT that is being answered.
        parts: recipients and their messages, by hosted domain that has filters, all others under the empty name.
        receivers: the part of each accepted recipient, in order.
        part: of the RCPT that is being answered; fresh: one envelope for each destination of it.
        evpids: all that were drawn.
        accepted, rejected: recipients so far.
        intake: the content, once it flows. filtered: where it waits for filters, if it does.
    """

    def __init__(self) -> None:
        """Start without a transaction."""
        super().__init__()
        self.draft: Draft | None = None
        self.mail = Mail(None)
        self.recipient: Recipient | None = None
        self.parts: dict[str, Part] = {}
        self.part: Part | None = None
        self.receivers: list[Part] = []
        self.fresh: tuple[Envelope, ...] = ()
        self.evpids: set[Evpid] = set()
        self.accepted = self.rejected = 0
        self.intake: Intake | None = None
        self.filtered: ContentScreen | None = None

    @property
    def msgid(self) -> Msgid:
        """The draft's id."""
        return self.draft.msgid if self.draft is not None else Msgid("")

    def discard(self) -> None:
        """Forget the drafts; harmless after a commit."""
        if self.draft is not None:
            self.draft.abort()
        for part in self.parts.values():
            part.draft.abort()
        self.release()

    def release(self) -> None:
        """Forget what waited for filters."""
        if self.filtered is not None:
            self.filtered.close()


def spell_endpoint(address: str, port: int) -> str:
    """Spell one end as reports do: ``192.0.2.1:25`` or ``[2001:db8::1]:25``."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
