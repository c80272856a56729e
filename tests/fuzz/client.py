"""A client's session between doubles: a wire whose handshakes go well, a task, and a check of what was sent."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from paquebot_mta.config.actions import ClientTls
from paquebot_mta.config.service import OutboundLimits, OutboundTimeouts, Penalties
from paquebot_mta.deliver.dialogue import Dialogue
from paquebot_mta.deliver.faults import SessionFaultError
from paquebot_mta.deliver.greeting import Manner, greet
from paquebot_mta.deliver.host_route import HostRoute, RouteKey
from paquebot_mta.deliver.plan import Plan, Target
from paquebot_mta.deliver.reports import SessionReports
from paquebot_mta.deliver.session import Session
from paquebot_mta.deliver.settings import ClientSettings, Endpoint
from paquebot_mta.deliver.transport import Task
from paquebot_mta.deliver.wire import Wire
from paquebot_mta.mail.envelope import Envelope, Message, Notify
from paquebot_mta.mail.ids import Evpid, Msgid, SessionId
from paquebot_mta.route.hops import NextHop, Route
from paquebot_mta.telemetry.events import Event, LinkDisconnect, TxBegin, TxCommit, TxRollback
from tests.fuzz.material import has_bare_line_end
from tests.fuzz.transport import FakeTls, FakeTransport

CONTENT: Final = (b"From: a@origin.test\r\n\r\n", b".dot\r\n..two\r\nhello" * 3 + b"\r\n.\r\n")
_STUFFED: Final = (b"\r\n" + b"".join(CONTENT)).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"
_NEVER: Final = 1 << 30
_MSGID: Final = Msgid("0badcafe")
_SESSION: Final = SessionId("00000000deadbeef")
_SETTINGS: Final = ClientSettings(
    OutboundLimits(recipients_per_transaction=3, failures_per_session=4), OutboundTimeouts(), "out.origin.test"
)


class FuzzedWire(Wire):
    """Its handshakes go well, if nothing was said before them."""

    async def start_tls(self, context: ssl.SSLContext, name: str | None, timeout_seconds: float) -> None:
        if not self.usable:
            await super().start_tls(context, name, timeout_seconds)
        self.tls = ("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256)


def make_task(recipients: int) -> Task:
    """Make a task with dots to stuff, a DSN wish and an address that needs SMTPUTF8 at its end."""
    names = ("a@mx.test", '"b c"@mx.test', "c@mx.test", "d@mx.test", "e@mx.test", "ü@mx.test")[:recipients]
    envelopes = tuple(
        Envelope(Evpid(f"{_MSGID}{number:08x}"), name, name, "out", notify=Notify.SUCCESS | Notify.DELAY)
        for number, name in enumerate(names, 1)
    )
    size = sum(map(len, CONTENT))
    message = Message(_MSGID, "s@origin.test", 0.0, size, envelopes, body="8BITMIME", dsn_return="HDRS")
    return Task(message, envelopes, "s@origin.test", _content, _allowed)


async def _content() -> AsyncIterator[bytes]:
    for chunk in CONTENT:
        yield chunk


async def _allowed() -> bool:
    return True


class _Transport(FakeTransport):
    """Notes when the final dot goes out."""

    def __init__(self, stage: "Stage") -> None:
        super().__init__(stage.wire)
        self._stage = stage

    def write(self, data: bytes) -> None:
        super().write(data)
        if data.endswith(b"\r\n.\r\n"):
            self._stage.dot_at = min(self._stage.dot_at, self._stage.fed)


class Stage:
    """One connection to a next hop, and what became of it."""

    def __init__(self, *, lmtp: bool, tls: bool, login: bool) -> None:
        self.events: list[Event] = []
        self.fed = 0
        self.dot_at = _NEVER
        """How much the server had said when the first final dot was sent."""
        self.wire = FuzzedWire()
        self.transport = _Transport(self)
        self.wire.connection_made(self.transport)  # type: ignore[arg-type]  # enough of a transport
        route = Route("mx.test", (NextHop("mx.test", "192.0.2.7", 25, 10),), protocol="lmtp" if lmtp else "smtp")
        endpoint = Endpoint("out", credentials=("user", "secret") if login else None)
        clock = asyncio.get_running_loop().time
        self.plan = Plan(lambda: _SESSION, route, endpoint, _SETTINGS, _context, self.events.append, clock)
        state = HostRoute(RouteKey("out", "", "192.0.2.7", 25), "mx.test", Penalties(), lambda *_: None)
        self.target = Target(route.next_hops[0], "", state, ())
        self._tls = ClientTls(policy="Opportunistic" if tls else "None")
        reports = SessionReports(self.events.append, _SESSION, "out", clock)
        reports.connected(self.target.hop, *self.wire.addresses())
        self.reports, self.dialogue = reports, Dialogue(self.wire, reports, _SETTINGS.timeouts)

    async def open(self) -> Session:
        """Greet as ``open_session`` does once it is connected."""
        manner = Manner(
            "out.origin.test",
            self.plan.route.protocol,
            self._tls,
            implicit_tls=False,
            context=_context,
            server_name="mx.test",
            credentials=self.plan.endpoint.credentials,
        )
        offered = await greet(self.dialogue, manner)
        return Session(_SESSION, self.plan, self.target, self.dialogue, offered)

    def refused(self, fault: SessionFaultError) -> None:
        """End as ``open_session`` does if it fails; a connection never is a reason to bounce."""
        assert fault.reply.transient
        self.wire.abort()
        self.reports.disconnected("error")

    def check(self) -> None:
        """Make sure of all that holds whatever a server says."""
        assert sum(isinstance(each, LinkDisconnect) for each in self.events) == 1
        assert isinstance(self.events[-1], LinkDisconnect)
        begun = Counter(each.msgid for each in self.events if isinstance(each, TxBegin))
        assert begun == Counter(each.msgid for each in self.events if isinstance(each, TxCommit | TxRollback))
        sent = bytes(self.transport.written)
        assert not has_bare_line_end(sent)
        assert b"\0" not in sent
        if self.dot_at < _NEVER:
            assert _STUFFED in sent
        assert b"secret" not in repr(self.events).encode()


def _context() -> Any:
    return FakeTls()


def codes(stream: bytes) -> Sequence[bytes]:
    """Give the first digit of every line that a server said."""
    return [line[:1] for line in stream.split(b"\n")]
