"""What the relay tests share: tasks, routes to scripted servers, a pool, and the events it emitted."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec

from paquebot_mta.config.actions import ClientTls
from paquebot_mta.config.service import OutboundLimits, OutboundTimeouts
from paquebot_mta.deliver.pool import Network, RelayPool, describe_routes
from paquebot_mta.deliver.settings import ClientSettings, Endpoint, RouteInfo
from paquebot_mta.deliver.transport import Receipt, Task
from paquebot_mta.mail.envelope import Envelope, Message
from paquebot_mta.mail.ids import Evpid, Msgid
from paquebot_mta.mail.outcome import Outcome
from paquebot_mta.route.hops import NextHop, Route
from paquebot_mta.telemetry.events import Event, Notice, Report
from tests.support.fake_mx import FakeMx

CONTENT = b"From: a@origin.test\r\nSubject: hi\r\n\r\nhello\r\n.dot\r\n"
SENDER = "sender@origin.test"


async def allowed() -> bool:
    """Permit the final dot."""
    return True


async def denied() -> bool:
    """Say that the queue is no longer ours."""
    return False


def make_task(
    *recipients: str,
    content: bytes | Sequence[bytes] = CONTENT,
    reverse_path: str = SENDER,
    envelopes: tuple[Envelope, ...] = (),
    **fields: object,
) -> Task:
    """Make a task for these recipients; ``fields`` are the message's."""
    chunks = [content] if isinstance(content, bytes) else list(content)
    msgid = Msgid("0badcafe")
    made = envelopes or tuple(
        Envelope(Evpid(f"{msgid}{number:08x}"), each, each, "out")
        for number, each in enumerate(recipients or ("rcpt@mx.test",), 1)
    )
    message = Message(msgid, reverse_path, 0.0, sum(map(len, chunks)), made)
    message = msgspec.structs.replace(message, **fields)

    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return Task(message, made, reverse_path, stream, allowed)


def route_to(
    *servers: FakeMx | int | NextHop, policy: str = "Opportunistic", key: str = "mx.test", **fields: object
) -> Route:
    """Make a route to these servers (or ports of loopback), in that order of preference."""
    hops = tuple(
        each if isinstance(each, NextHop) else _hop(each if isinstance(each, int) else each.port, number)
        for number, each in enumerate(servers)
    )
    route = Route(key, hops, tls=msgspec.convert({"policy": policy}, ClientTls))
    return msgspec.structs.replace(route, **fields)


def _hop(port: int, preference: int) -> NextHop:
    return NextHop("mx.test", "127.0.0.1", port, preference)


TIMEOUTS = OutboundTimeouts(connect=5, banner=5, command=5, mail=5, recipient=5, data=5, block=5, final_dot=5)


def impatient(**seconds: float) -> OutboundTimeouts:
    """Make deadlines that are short for the named phases."""
    return msgspec.structs.replace(TIMEOUTS, **seconds)


@dataclass
class Clock:
    """A monotonic clock that can be put forward."""

    ahead_seconds: float = 0.0

    def __call__(self) -> float:
        """Give seconds."""
        return time.monotonic() + self.ahead_seconds

    def advance(self, seconds: float) -> None:
        """Let time go by at once."""
        self.ahead_seconds += seconds


@dataclass
class Rig:
    """A pool and what it emitted."""

    pool: RelayPool
    endpoint: Endpoint
    network: Network
    events: list[Event] = field(default_factory=list)
    clock: Clock = field(default_factory=lambda: Clock())

    async def deliver(self, route: Route, task: Task) -> Receipt:
        """Deliver over the rig's endpoint."""
        return await self.pool.deliver(route, self.endpoint, task)

    async def outcome(self, route: Route, task: Task) -> Outcome:
        """Deliver a task with one recipient and give what became of it."""
        (outcome,) = (await self.deliver(route, task)).outcomes.values()
        return outcome

    def routes(self) -> list[RouteInfo]:
        """Give all routes that are known."""
        return describe_routes(self.network, self.pool.waiting())

    def notices(self) -> list[str]:
        """Give the names of the notices."""
        return [each.event for each in self.events if isinstance(each, Notice)]

    def reports(self, *names: str) -> list[str]:
        """Give report events as lines ``name|field|field``; only those named, if any are."""
        found = [each for each in self.events if isinstance(each, Report)]
        return ["|".join((each.name, *each.fields())) for each in found if not names or each.name in names]


@asynccontextmanager
async def relay_rig(
    *,
    limits: OutboundLimits | None = None,
    timeouts: OutboundTimeouts = TIMEOUTS,
    endpoint: Endpoint | None = None,
    network: Network | None = None,
    **settings: object,
) -> AsyncIterator[Rig]:
    """Make a pool and close it in the end; ``settings`` are further ones of the client."""
    events: list[Event] = []
    clock = Clock()
    network = network or Network(events.append, clock)
    made = ClientSettings(limits or OutboundLimits(), timeouts, "out.origin.test")
    made = msgspec.structs.replace(made, **settings)
    pool = RelayPool(settings=made, network=network, randbits=random.Random(1).getrandbits)
    try:
        yield Rig(pool, endpoint or Endpoint("out"), network, events, clock)
    finally:
        await pool.close(0.05)
