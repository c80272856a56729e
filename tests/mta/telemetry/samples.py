"""One of each event, both directions where there are two, with canary addresses, a canary IP and a canary password."""

from typing import Any, Final, get_args

from paquebot_mta.mail.ids import Evpid, Msgid, SessionId
from paquebot_mta.mail.outcome import Deferred, Delivered, Failed, Looped
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.events import (
    Attempt,
    BounceEvent,
    ConfigEvent,
    DeliveryAttempt,
    Direction,
    DnsLookup,
    Event,
    FilterReport,
    FilterResponse,
    LimitHit,
    LinkAuth,
    LinkConnect,
    LinkDisconnect,
    LinkGreeting,
    LinkIdentify,
    LinkTls,
    MxLookup,
    Notice,
    ProtocolClient,
    ProtocolServer,
    QueueEvent,
    Report,
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
)

SESSION: Final = SessionId("0123456789abcdef")
MSGID: Final = Msgid("1f2e3d4c")
EVPID: Final = Evpid("1f2e3d4c00000001")
CANARY: Final = "canary.bird@example.test"
CANARY_IP: Final = "192.0.2.77"
CANARY_IP6: Final = "2001:db8:1:2::77"
CANARY_PASSWORD: Final = "AGNhbmFyeQBzM2NyM3Q="


def link_reports(direction: Direction) -> tuple[Report, ...]:
    """Give the reports of a session, in order."""
    base: dict[str, Any] = {"direction": direction, "session": SESSION, "endpoint": "mx"}
    return (
        LinkConnect(
            **base, rdns="host-192-0-2-77.example.test", source=f"{CANARY_IP}:4000", destination="198.51.100.1:25"
        ),
        LinkGreeting(**base, hostname="mx.example.test"),
        LinkIdentify(**base, method="EHLO", identity=f"[{CANARY_IP}]"),
        LinkTls(**base, version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", bits=256),
        LinkAuth(**base, result="pass", username=CANARY, mechanism="PLAIN"),
        ProtocolClient(**base, command=f"AUTH PLAIN {CANARY_PASSWORD}"),
        ProtocolServer(**base, reply=f"550 5.1.1 <{CANARY}> from [{CANARY_IP6}] refused"),
        FilterReport(**base, kind="builtin", filter="spam", message=f"saw {CANARY}"),
        FilterResponse(**base, phase="connected", response="reject", parameter=f"550 go away {CANARY}"),
        Timeout(**base, phase="command"),
    )


def transaction_reports(direction: Direction) -> tuple[Report, ...]:
    """Give the reports of transactions, in order."""
    base: dict[str, Any] = {"direction": direction, "session": SESSION, "endpoint": "mx", "msgid": MSGID}
    return (
        TxBegin(**base),
        TxMail(**base, result="ok", address=CANARY),
        TxEnvelope(**base, evpid=EVPID),
        TxRcpt(**base, result="permfail", address=CANARY, reason="unknown_user"),
        TxData(**base, result="tempfail", reason="full"),
        TxCommit(**base, size=5_000, recipients=2),
        TxRollback(**base),
        TxReset(**base),
    )


def reports(direction: Direction) -> tuple[Report, ...]:
    """Give all 19 reports, disconnect last."""
    end = LinkDisconnect(direction=direction, session=SESSION, endpoint="mx", reason="quit", duration_seconds=1.5)
    return (*link_reports(direction), *transaction_reports(direction), end)


def delivery(outcome: Delivered | Deferred | Failed | Looped, **changes: object) -> DeliveryAttempt:
    """Make an attempt with an outcome."""
    fields: dict[str, Any] = {
        "evpid": EVPID, "session": SESSION, "reverse_path": CANARY, "recipient": "list@example.test",
        "destination": CANARY, "action": "out", "transport": "relay", "outcome": outcome, "source": "198.51.100.1",
        "relay": "203.0.113.5 (mx.example.org)", "delay_seconds": 125.0, "duration_seconds": 1.0, **changes,
    }  # fmt: skip
    return DeliveryAttempt(**fields)


REFUSED: Final = Failed(Reply(550, f"<{CANARY}>: canary.bird unknown, your IP {CANARY_IP}", "5.1.1"))


def others() -> tuple[Event, ...]:
    """Give the events that are no reports, each change of the queue too."""
    changes = get_args(QueueEvent.__annotations__["change"])
    return (
        delivery(Delivered(Reply(250, "ok", "2.0.0"))),
        delivery(Deferred(Reply(451, "later", "4.3.0")), next_attempt_at=1_800_000_000.0),
        delivery(REFUSED, user="canary.bird"),
        delivery(Looped(Reply(554, "loop", "5.4.6"))),
        delivery(Deferred(Reply(451, "later", "4.3.0")), final="expired"),
        *(QueueEvent(change=change, msgid=MSGID, evpid=EVPID, source="smtp", size=10) for change in changes),
        LimitHit(direction="in", limit="size"),
        TlsFailure(direction="out", session=SESSION, reason="cert_name"),
        Attempt(direction="in", outcome="fault", fault="queue"),
        DnsLookup(type="MX", result="ok", duration_seconds=0.01),
        MxLookup(result="nullmx"),
        BounceEvent(kind="failure", result="sent", evpids=(EVPID,), msgid="99999999"),
        ConfigEvent(change="loaded", generation=3, digest="ab" * 32),
        ConfigEvent(change="rejected", generation=3, digest="cd" * 32, reason=f"alias of {CANARY}"),
        Notice(level="warning", event="table.error", details={"cause": f"{CANARY} at {CANARY_IP}", "level": "x"}),
        Notice(level="error", event="never.heard-of", details={"cause": CANARY}),
    )
