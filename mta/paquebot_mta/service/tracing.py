"""Live events for ``paquebot trace``: JSON lines, each follower with a bounded queue of its own."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime

import msgspec

from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import Event, Report

WAITING_EVENTS = 10_000
"""A follower that falls behind by more loses its own events; nobody else waits for it."""


class Tracer:
    """Lets any number of followers see the events from now on."""

    def __init__(self, bus: Bus, clock: Callable[[], float]) -> None:
        """Nothing is subscribed until someone follows, so tracing costs nothing when it is off."""
        self._bus = bus
        self._clock = clock

    async def follow(self) -> AsyncGenerator[bytes, None]:
        """Give each event as a line of JSON, until the follower leaves."""
        waiting: asyncio.Queue[tuple[float, Event]] = asyncio.Queue(WAITING_EVENTS)

        def consume(event: Event) -> None:
            if not waiting.full():
                waiting.put_nowait((self._clock(), event))

        self._bus.subscribe(consume)
        try:
            while True:
                yield encode(*await waiting.get())
        finally:
            self._bus.unsubscribe(consume)


def encode(at: float, event: Event) -> bytes:
    """Spell an event as one JSON line; report events have the name of their protocol, others that of their type."""
    ts = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    name = f"smtp-{event.direction}.{event.name}" if isinstance(event, Report) else type(event).__name__
    fields = {field: getattr(event, field) for field in event.__struct_fields__}
    return msgspec.json.encode({"ts": ts, "event": name, **fields}) + b"\n"
