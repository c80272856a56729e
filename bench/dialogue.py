"""The events of one 4 KiB message, as a worker emits them: the session that brings it, and the one that takes it on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from paquebot_mta.mail.ids import Evpid, Msgid, SessionId
from paquebot_mta.mail.outcome import Delivered
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry import events as ev

MSGID = Msgid("1f2e3d4c")
EVPID = Evpid("1f2e3d4c00000001")
SENDER, RECIPIENT = "sender@example.org", "recipient@example.net"
QUEUED = "250 2.0.0 1f2e3d4c Message accepted for delivery"
BANNER = "220 mx.example.net ESMTP"
OFFERED = (
    "mx.example.net",
    "PIPELINING",
    "SIZE 36700160",
    "8BITMIME",
    "SMTPUTF8",
    "ENHANCEDSTATUSCODES",
    "DSN",
    "HELP",
)


def opening(base: dict[str, Any], port: int) -> Iterator[ev.Event]:
    """Give what a connection costs until MAIL; ``base`` has what reports have."""
    yield ev.LinkConnect(
        **base, rdns="localhost", fcrdns="pass", source=f"127.0.0.1:{port}", destination="127.0.0.1:25"
    )
    yield ev.LinkGreeting(**base, hostname="mx.example.net", delay_seconds=0.001)
    yield ev.ProtocolServer(**base, reply=BANNER)
    yield ev.ProtocolClient(**base, command="EHLO client.example.org")
    yield ev.LinkIdentify(**base, method="EHLO", identity="client.example.org")
    for keyword in OFFERED[:-1]:
        yield ev.ProtocolServer(**base, reply=f"250-{keyword}")
    yield ev.ProtocolServer(**base, reply=f"250 {OFFERED[-1]}")


def transaction(base: dict[str, Any]) -> Iterator[ev.Event]:
    """Give the steps of one transaction, until its commit."""
    about = {**base, "msgid": MSGID}
    yield ev.ProtocolClient(**base, command=f"MAIL FROM:<{SENDER}>")
    yield ev.TxBegin(**about)
    yield ev.TxMail(**about, result="ok", address=SENDER)
    yield ev.ProtocolServer(**base, reply="250 2.1.0 Ok")
    yield ev.ProtocolClient(**base, command=f"RCPT TO:<{RECIPIENT}>")
    yield ev.TxEnvelope(**about, evpid=EVPID)
    yield ev.TxRcpt(**about, result="ok", address=RECIPIENT)
    yield ev.ProtocolServer(**base, reply="250 2.1.5 Destination address valid: Recipient ok")
    yield ev.ProtocolClient(**base, command="DATA")
    yield ev.TxData(**about, result="ok")
    yield ev.ProtocolServer(**base, reply="354 Enter mail, end with a line containing only a dot")
    yield ev.ProtocolClient(**base, command=".")
    yield ev.TxCommit(**about, size=4_500, recipients=1)
    yield ev.TxReset(**about)
    yield ev.ProtocolServer(**base, reply=QUEUED)


def closing(base: dict[str, Any]) -> Iterator[ev.Event]:
    """Give the end of a session."""
    yield ev.ProtocolClient(**base, command="QUIT")
    yield ev.ProtocolServer(**base, reply="221 2.0.0 Bye")
    yield ev.LinkDisconnect(**base, reason="quit", duration_seconds=0.02)


def accepted(session: SessionId) -> Iterator[ev.Event]:
    """Give what one message costs on a connection that is there already."""
    base: dict[str, Any] = {"direction": "in", "session": session, "endpoint": "mx"}
    yield from transaction(base)
    yield ev.QueueEvent(change="committed", msgid=MSGID, source="smtp", envelopes=1, size=4_500)
    yield ev.Attempt(direction="in", outcome="accepted")


def delivered(session: SessionId, queued_as: str) -> Iterator[ev.Event]:
    """Give what the next hop's session, already open, costs for one message; each has its own reply there."""
    yield from transaction({"direction": "out", "session": session, "endpoint": "relay"})
    yield ev.DeliveryAttempt(
        evpid=EVPID,
        session=session,
        reverse_path=SENDER,
        recipient=RECIPIENT,
        destination=RECIPIENT,
        action="relay",
        transport="relay",
        outcome=Delivered(Reply(250, f"Ok: queued as {queued_as}", "2.0.0")),
        source="127.0.0.1",
        relay="127.0.0.1 (sink.example.net)",
        delay_seconds=0.0123,
        duration_seconds=0.004,
    )
    yield ev.QueueEvent(change="delivered", msgid=MSGID, evpid=EVPID)
