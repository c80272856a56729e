"""The controls of one worker: what its control socket and admin port can ask."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import convert

from paquebot_mta.admin.controls import (
    EnvelopeDetail,
    FilterEntry,
    HostEntry,
    KeyEntry,
    Part,
    QueueEntry,
    RouteEntry,
    Status,
)
from paquebot_mta.config.service import MtaConfig
from paquebot_mta.dispatch.dispatcher import Dispatcher
from paquebot_mta.dispatch.groups import is_local
from paquebot_mta.expand.actions import resolve_action
from paquebot_mta.mail.envelope import Envelope, EnvelopeState, Result, Stored
from paquebot_mta.mail.ids import Evpid, msgid_of, parse_evpid, parse_msgid
from paquebot_mta.schedule.backoff import expires_at
from paquebot_mta.service.selection import Selection, parse_selection, selected
from paquebot_mta.service.tracing import Tracer
from paquebot_mta.spool.store import KeyUse, Spool
from paquebot_mta.telemetry.bus import Emit
from paquebot_mta.telemetry.events import QueueEvent


@dataclass(frozen=True)
class Parts:
    """The parts of a running worker that controls act on; ``metrics`` is slow: it is called in a thread."""

    spool: Spool
    dispatcher: Dispatcher
    config: Callable[[], MtaConfig]
    metrics: Callable[[], bytes]
    routes: Callable[[], list[RouteEntry]]
    hosts: Callable[[], list[HostEntry]]
    filters: Callable[[], list[FilterEntry]]
    key_uses: Callable[[], Sequence[KeyUse]]
    enable_routes: Callable[[str], int]
    stats: Callable[[], dict[str, float]]
    pause_accept: Callable[[bool], None]
    status: Callable[[tuple[Part, ...]], Status]
    emit: Emit


class WorkerControls:
    """Implements ``admin.controls.Controls`` over the parts of a running worker."""

    def __init__(self, parts: Parts, tracer: Tracer) -> None:
        """Start with nothing paused."""
        self._parts, self._tracer = parts, tracer
        self._spool, self._dispatcher, self._config, self._emit = (
            parts.spool,
            parts.dispatcher,
            parts.config,
            parts.emit,
        )
        self._accept_paused = False

    def status(self) -> Status:
        """Say how it is."""
        smtp: tuple[Part, ...] = ("smtp",) if self._accept_paused else ()
        return self._parts.status((*smtp, *self._dispatcher.holds.paused()))

    async def metrics(self) -> bytes:
        """Metrics in Prometheus' text format."""
        return await asyncio.to_thread(self._parts.metrics)

    async def queue(self, target: str = "all") -> AsyncIterator[QueueEntry]:
        """Stream envelopes, oldest message first."""
        wanted = parse_selection(target)
        async for stored in selected(self._spool, wanted):
            for envelope in stored.message.envelopes:
                state = stored.states.get(envelope.evpid)
                if state is not None and wanted.has(envelope.evpid):
                    yield self._entry(stored, envelope, state)

    async def message(self, msgid: str) -> AsyncIterator[bytes]:
        """Stream a message's content."""
        found = parse_msgid(msgid[:8])
        if await self._spool.load(found) is None:
            raise LookupError(f"no message {found} in the queue")
        async for chunk in self._spool.content(found):
            yield chunk

    async def envelope(self, evpid: str) -> EnvelopeDetail:
        """Describe an envelope."""
        found = parse_evpid(evpid)
        stored = await self._spool.load(msgid_of(found))
        if stored is None or found not in stored.states:
            raise LookupError(f"no envelope {found} in the queue")
        state = self._dispatcher.schedule.state(found) or "pending"
        return EnvelopeDetail(evpid=found, message=stored.message, state=stored.states[found], schedule=state)

    def routes(self) -> list[RouteEntry]:
        """List the routes that are known."""
        return self._parts.routes()

    def filters(self) -> list[FilterEntry]:
        """List the filters."""
        return self._parts.filters()

    def hosts(self) -> list[HostEntry]:
        """List the addresses of next hops that are known."""
        return self._parts.hosts()

    def key_uses(self) -> list[KeyEntry]:
        """List the keys of the queue."""
        return [convert(use, KeyEntry, from_attributes=True) for use in self._parts.key_uses()]

    def enable_routes(self, target: str) -> int:
        """Let routes be used at once; says how many rested."""
        return self._parts.enable_routes(target)

    def stats(self) -> dict[str, float]:
        """Counts by dotted name."""
        counts = self._dispatcher.schedule.counts()
        named = {f"scheduler.envelope.{state}": float(number) for state, number in counts.items()}
        return self._parts.stats() | named | {"scheduler.envelope.hold": float(self._dispatcher.holds.waiting())}

    async def schedule(self, target: str) -> int:
        """Try envelopes at once."""
        if (wanted := parse_selection(target)).is_all:
            return await self._dispatcher.flush(self._dispatcher.schedule.pending())
        return await self._dispatcher.flush([evpid async for evpid, _ in self._states(wanted)])

    async def remove(self, target: str) -> int:
        """Remove envelopes that are not in flight, without a bounce."""
        schedule = self._dispatcher.schedule
        idle = [
            (evpid, state)
            async for evpid, state in self._states(parse_selection(target))
            if schedule.state(evpid) in ("pending", "suspended") or self._dispatcher.holds.forget(evpid)
        ]
        for evpid, _ in idle:
            self._dispatcher.forget(evpid)
        await self._store(Result(evpid, state, "removed") for evpid, state in idle)
        for evpid, _ in idle:
            self._emit(QueueEvent(change="removed", msgid=msgid_of(evpid), evpid=evpid))
        return len(idle)

    async def suspend(self, target: str) -> int:
        """Hold envelopes back."""
        return await self._mark(target, self._dispatcher.suspend, suspended=True)

    async def resume(self, target: str) -> int:
        """Let suspended envelopes go on."""
        number = await self._mark(target, self._dispatcher.schedule.resume, suspended=False)
        self._dispatcher.wake()
        return number

    def pause_part(self, part: Part) -> None:
        """Stop accepting or delivering until resumed."""
        if part == "smtp":
            self._accept_paused = True
            self._parts.pause_accept(True)
        else:
            self._dispatcher.pause(part)

    def resume_part(self, part: Part) -> None:
        """Go on with it."""
        if part == "smtp":
            self._accept_paused = False
            self._parts.pause_accept(False)
        else:
            self._dispatcher.resume(part)

    def trace(self) -> AsyncIterator[bytes]:
        """Stream events as JSON lines from now on."""
        return self._tracer.follow()

    async def _states(self, wanted: Selection) -> AsyncIterator[tuple[Evpid, EnvelopeState]]:
        """Walk the states of the envelopes that are meant."""
        async for stored in selected(self._spool, wanted):
            for evpid, state in stored.states.items():
                if wanted.has(evpid):
                    yield evpid, state

    async def _mark(self, target: str, change: Callable[[Evpid], bool], *, suspended: bool) -> int:
        """Change the schedule and remember it durably."""
        name: Literal["suspended", "resumed"] = "suspended" if suspended else "resumed"
        changed = [(evpid, state) async for evpid, state in self._states(parse_selection(target)) if change(evpid)]
        await self._store(Result(evpid, _with_suspended(state, suspended)) for evpid, state in changed)
        for evpid, _ in changed:
            self._emit(QueueEvent(change=name, msgid=msgid_of(evpid), evpid=evpid))
        return len(changed)

    async def _store(self, results: Iterable[Result]) -> None:
        """Store results, if there are any."""
        if stored := list(results):
            await self._spool.update(stored)

    def _entry(self, stored: Stored, envelope: Envelope, state: EnvelopeState) -> QueueEntry:
        """One line of the queue."""
        message, config, schedule = stored.message, self._config(), self._dispatcher.schedule
        action = resolve_action(config, envelope.action)
        local = is_local(action)
        held = envelope.evpid in self._dispatcher.holds
        flags = {
            "bounce": message.kind == "bounce",
            "auth": bool(message.user),
            "suspend": state.suspended,
            "hold": held,
        }
        return QueueEntry(
            evpid=envelope.evpid,
            family=_family(message.client_address),
            transport="bounce" if message.kind == "bounce" else "mda" if local else "mta",
            flags=tuple(name for name, given in flags.items() if given),
            sender=message.reverse_path,
            recipient=envelope.recipient,
            destination=envelope.destination,
            created_at=message.created_at,
            expires_at=expires_at(message.created_at, envelope.ttl_seconds or config.service.queue.ttl_seconds),
            last_attempt_at=state.last_attempt_at,
            attempts=state.attempts,
            state="pending" if held else schedule.state(envelope.evpid) or "pending",
            due_at=schedule.due_at(envelope.evpid) or state.due_at,
            error=str(state.last_reply) if state.last_reply else "",
            size=message.size,
        )


def _with_suspended(state: EnvelopeState, suspended: bool) -> EnvelopeState:
    """The same state, held or not."""
    return EnvelopeState(
        state.attempts, state.due_at, state.last_attempt_at, state.last_reply, state.warned_at, suspended=suspended
    )


def _family(client_address: str) -> str:
    """Where a message came from, as ``show queue`` says it."""
    if client_address == "local":
        return "local"
    return "inet6" if ":" in client_address else "inet4"
