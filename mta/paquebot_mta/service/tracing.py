"""Live events for ``paquebot trace``: JSON lines, each follower with a bounded queue of its own."""

import asyncio
from collections.abc import AsyncIterator

import msgspec

from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import Event, Report

WAITING_EVENTS = 10_000
"""A follower that falls behind by more loses its own events; nobody else waits for it."""


class Tracer:
    """Lets any number of followers see the events from now on."""

    def __init__(self, bus: Bus) -> None:
        """Nothing is subscribed until someone follows, so tracing costs nothing when it is off."""
        self._bus = bus

    async def follow(self) -> AsyncIterator[bytes]:
        """Give each event as a line of JSON, until the follower leaves."""
        waiting: asyncio.Queue[Event] = asyncio.Queue(WAITING_EVENTS)

        def consume(event: Event) -> None:
            if not waiting.full():
                waiting.put_nowait(event)

        self._bus.subscribe(consume)
        try:
            while True:
                yield encode(await waiting.get())
        finally:
            self._bus.unsubscribe(consume)


def encode(event: Event) -> bytes:
    """Spell an event as one JSON line; report events have the name of their protocol, others that of their type."""
    name = f"smtp-{event.direction}.{event.name}" if isinstance(event, Report) else type(event).__name__
    fields = {field: getattr(event, field) for field in event.__struct_fields__}
    return msgspec.json.encode({"event": name, **fields}) + b"\n"
