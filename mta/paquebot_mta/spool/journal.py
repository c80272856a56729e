"""The durable back end: a log of segments on a volume. See ``store`` for what it promises.

This module joins the parts and keeps the books on the event loop; everything that touches the volume runs in the
committer's thread or in a pool. Nothing here knows the bytes of a record.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from paquebot_mta.config.service import Queue
from paquebot_mta.mail.envelope import EnvelopeState, Message, Result, Stored
from paquebot_mta.mail.ids import Evpid, Msgid, msgid_of, new_msgid
from paquebot_mta.spool.committer import LostOwnershipError, Placed
from paquebot_mta.spool.disk import Disk
from paquebot_mta.spool.drafts import JournalDraft
from paquebot_mta.spool.format import Kind
from paquebot_mta.spool.index import Entry, by_message, count_down
from paquebot_mta.spool.keys import uses_of
from paquebot_mta.spool.locked import Lacking
from paquebot_mta.spool.options import NO_SPACE, fault
from paquebot_mta.spool.parts import JournalParts
from paquebot_mta.spool.quarantine import evidence_name, quarantine
from paquebot_mta.spool.reader import DamagedError, Stretch, accept_stretch, body_stretch, read_accepted, read_body
from paquebot_mta.spool.records import Confirmed, Intended, Results, States, encode, expand
from paquebot_mta.spool.seal import NO_SEAL
from paquebot_mta.spool.sealer import wanted_of
from paquebot_mta.spool.segment import NO_MESSAGE, Home, NewRecord, Segment
from paquebot_mta.spool.shared_check import SharedCheck
from paquebot_mta.spool.store import Draft, KeyUse, Lost, SpoolError, SpoolStats, Waiting
from paquebot_mta.telemetry.events import Notice

_WALK_AT_ONCE = 256
_T = TypeVar("_T")


class Journal:
    """See ``Spool``. Made by ``open_journal``; one per process and event loop."""

    def __init__(self, parts: JournalParts) -> None:
        """Take over parts that are already running."""
        self.background: list[asyncio.Task[None]] = []
        self._followed = False
        self._told = asyncio.Event()
        self._replaced = asyncio.Event()
        self.replace_parts(parts)

    @property
    def parts(self) -> JournalParts:
        """What it consists of now."""
        return self._parts

    def replace_parts(self, parts: JournalParts) -> None:
        """Go on as another incarnation: what was here is not ours any more."""
        self._parts = parts
        self._index = parts.index
        self._updating: dict[Msgid, int] = {}
        self._damaged: set[str] = set()
        self._ownership = SharedCheck(parts.ownership.check, parts.loop, parts.readers)
        self._replaced.set()

    def create(self, *, size_hint: int = 0) -> Draft:
        """See ``Spool``."""
        parts = self._parts
        parts.space.poll(parts.loop, parts.files)
        refusal = parts.circuit.refusal() or parts.space.refusal(size_hint)
        if refusal is not None:
            raise refusal
        return JournalDraft(parts.intake, self._new_msgid())

    def _new_msgid(self) -> Msgid:
        msgid = new_msgid(self._parts.randbits)
        while msgid in self._index or msgid in self._parts.intake.open_ids:
            msgid = new_msgid(self._parts.randbits)
        return msgid

    async def confirm(self, msgids: Sequence[Msgid]) -> None:
        """See ``Spool``."""
        places = [entry.segment for msgid in msgids if (entry := self._index.get(msgid)) is not None]

        def on_settled(placed: Placed | None) -> None:
            if placed is not None:
                placed.segment.pin(places)

        record = NewRecord(Kind.CONFIRMED, NO_MESSAGE, encode(Confirmed(tuple(msgids))))
        await self._parts.log.append([record], on_settled)

    async def load(self, msgid: Msgid) -> Stored | None:
        """See ``Spool``.

        Raises:
            SpoolError: it can't be read.
        """
        entry = self._index.get(msgid)
        if entry is None:
            return None
        cached = self._parts.cache.get(msgid)
        if cached is not None:
            return _stored(cached.message, entry)
        message = await self._read_message(msgid, entry)
        return _stored(message, entry) if msgid in self._index else None

    async def _read_message(self, msgid: Msgid, entry: Entry) -> Message:
        """Read envelopes; once more if they moved meanwhile."""
        stretch = accept_stretch(entry, int(msgid, 16))
        try:
            accepted = await self._read(partial(read_accepted, self._parts.disk, stretch))
        except SpoolError:
            if accept_stretch(entry, int(msgid, 16)) == stretch:
                raise
            return await self._read_message(msgid, entry)
        return accepted.message

    async def _read(self, read: Callable[[], _T]) -> _T:
        """Read in the pool, within the deadline; damage is kept and counted.

        Raises:
            SpoolError: it can't be read or is not what was written.
        """
        parts = self._parts
        try:
            async with asyncio.timeout(parts.options.wait_seconds):
                return await parts.loop.run_in_executor(parts.readers, read)
        except DamagedError as error:
            self._note_damage(error)
            raise fault(str(error)) from error
        except (OSError, TimeoutError) as error:
            raise fault(repr(error)) from error

    def _note_damage(self, error: DamagedError) -> None:
        parts, stretch = self._parts, error.stretch
        name = evidence_name(stretch.path, stretch.start)
        if name in self._damaged:
            return
        self._damaged.add(name)
        parts.counts.corrupt += 1
        parts.files.submit(quarantine, parts.disk, parts.layout, name, error.data)
        details: dict[str, str | int | float | bool] = {"msgid": f"{stretch.msgid:08x}", "copy": name}
        parts.notify(Notice(level="error", event="queue.corrupt", details=details))

    async def content(self, msgid: Msgid) -> AsyncIterator[bytes]:
        """See ``Spool``."""
        cached, entry = self._parts.cache.get(msgid), self._index.get(msgid)
        if cached is not None:
            for chunk in cached.chunks:
                yield chunk
            return
        if entry is None:
            raise fault(f"no message {msgid}")
        number, given, skipped = int(msgid, 16), 0, 0
        place = rest = body_stretch(entry, number)
        while rest.length:
            try:
                chunks, rest = await self._read(partial(read_body, self._parts.disk, rest))
            except SpoolError:
                if body_stretch(entry, number) == place:
                    raise
                place = rest = body_stretch(entry, number)  # it was copied forward meanwhile, chunk by chunk
                skipped = given
                continue
            for chunk in chunks[skipped:]:
                given += 1
                yield chunk
            skipped = max(0, skipped - len(chunks))

    def intend(self, evpids: Sequence[Evpid]) -> None:
        """See ``Spool``."""
        known = tuple(evpid for evpid in evpids if msgid_of(evpid) in self._index)
        if known:
            self._parts.in_flight.begin(known)
            number = int(msgid_of(known[0]), 16)
            payload = encode(Intended(known, generation=self._parts.counts.generation))
            self._parts.log.note([NewRecord(Kind.INTENT, number, payload)])

    async def owned(self) -> bool:
        """See ``Spool``. Without an answer: no. A batch that failed is part of the next one, so that is asked, too."""
        for _ in range(2):
            if self._parts.circuit.trouble:
                break
            try:
                return await self._parts.log.owned()
            except SpoolError as error:
                if error.reply == NO_SPACE:
                    return await self._owned_by_itself()
        return False

    async def _owned_by_itself(self) -> bool:
        """Look apart from the log, which can't be written now: a full volume must still be emptied."""
        parts = self._parts
        try:
            async with asyncio.timeout(parts.options.wait_seconds):
                ours = await self._ownership.ask()
        except (OSError, TimeoutError):
            return False
        if not ours:
            parts.circuit.observe(LostOwnershipError("the owner block names another incarnation"))
        return ours

    async def update(self, results: Sequence[Result]) -> None:
        """See ``Spool``. Results about messages that are gone are ignored."""
        groups = [(msgid, group) for msgid, group in by_message(results) if msgid in self._index]
        if not groups:
            return
        records = [NewRecord(Kind.RESULT, int(msgid, 16), self._spell(msgid, group)) for msgid, group in groups]
        updating = self._updating  # of these parts: others may take their place meanwhile
        for msgid, _ in groups:
            updating[msgid] = updating.get(msgid, 0) + 1
        in_flight = self._parts.in_flight
        ended = in_flight.end(result.evpid for result in results)

        def on_settled(placed: Placed | None) -> None:
            if placed is None:
                in_flight.begin(ended)
            count_down(updating, groups)
            if placed is not None:
                for msgid, group in groups:
                    self._apply(placed.segment, msgid, group)

        await self._parts.log.append(records, on_settled, essential=True)

    def _spell(self, msgid: Msgid, results: tuple[Result, ...]) -> bytes:
        entry = self._index.get(msgid)
        home = entry.segment.home if entry else None
        incarnation = home.incarnation if home is not None and not home.own else ""
        return encode(Results(results, incarnation, self._parts.counts.generation))

    def _apply(self, log_segment: Segment, msgid: Msgid, results: Sequence[Result]) -> None:
        entry = self._index.get(msgid)
        if entry is None:
            return
        if entry.segment is not log_segment:
            log_segment.pins.add(entry.segment)
        home = entry.segment.home
        if home.last_beat_at is not None and any(result.final == "delivered" for result in results):
            self._tell_first_delivery(home, home.last_beat_at)
        left = self._index.apply(msgid, results)
        if left is not None:
            self._parts.cache.drop(msgid)
            self._parts.janitor.consider(left)

    def _tell_first_delivery(self, home: Home, last_beat_at: float) -> None:
        home.last_beat_at = None
        seconds = round(self._parts.watcher.monotonic() - last_beat_at, 3)
        details: dict[str, str | int | float | bool] = {"root": home.incarnation, "seconds": seconds}
        self._parts.notify(Notice(level="info", event="queue.first-adopted-delivery", details=details))

    async def walk(self) -> AsyncIterator[Stored]:
        """See ``Spool``. A message that can't be read is left out; whoever asks for it by id learns why."""
        ids = self._index.ids()
        for at in range(0, len(ids), _WALK_AT_ONCE):
            for stored in (await self.load_many(ids[at : at + _WALK_AT_ONCE])).values():
                yield stored

    async def recovered(self) -> AsyncIterator[Waiting]:
        """See ``Spool``."""
        self._parts.arrived.clear()
        found, self._parts.found = self._parts.found, []
        found.reverse()
        while found:
            await asyncio.sleep(0)  # health is asked for while a long queue is entered
            for _ in range(min(len(found), _WALK_AT_ONCE)):
                message = found.pop()
                if message.msgid in self._index:
                    entry = message.entry
                    yield Waiting(message.msgid, message.created_at, entry.size, _live(message.evpids, entry.states))

    async def changes(self) -> AsyncIterator[Waiting | Lost]:
        """See ``Spool``."""
        self._followed = True
        try:
            while True:
                parts, self._replaced = self._parts, asyncio.Event()
                if parts.circuit.lost:
                    yield Lost()
                    self._told.set()
                    await self._replaced.wait()
                    continue
                await _first_of(parts.arrived, parts.circuit.taken_over)
                if not parts.circuit.lost:
                    async for waiting in self.recovered():
                        yield waiting
        finally:
            self._followed = False

    async def tell_lost(self, timeout_seconds: float) -> None:
        """Wait until whoever follows the changes has learned that everything is lost."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds if self._followed else 0):
                await self._told.wait()
        self._told.clear()

    def has(self, msgid: Msgid) -> bool:
        """See ``Spool``."""
        return msgid in self._index

    def trouble(self) -> str:
        """See ``Spool``."""
        return self._parts.circuit.trouble

    async def load_many(self, msgids: Sequence[Msgid]) -> dict[Msgid, Stored]:
        """See ``Spool``: one job for all, for a hop to a thread costs more than a read."""
        found = {msgid: entry for msgid in msgids if (entry := self._index.get(msgid)) is not None}
        messages = {msgid: cached.message for msgid in found if (cached := self._parts.cache.get(msgid)) is not None}
        stretches = {m: accept_stretch(entry, int(m, 16)) for m, entry in found.items() if m not in messages}
        if stretches:
            messages |= await self._read(partial(_read_some, self._parts.disk, stretches))
        loaded: dict[Msgid, Stored | None] = {}
        for msgid, entry in found.items():
            if msgid in messages:
                loaded[msgid] = _stored(messages[msgid], entry) if msgid in self._index else None
            else:  # damaged, unreadable or moved meanwhile: alone, with all that belongs to it
                with suppress(SpoolError):
                    loaded[msgid] = await self.load(msgid)
        return {msgid: stored for msgid, stored in loaded.items() if stored is not None}

    def stats(self) -> SpoolStats:
        """See ``Spool``."""
        parts, index = self._parts, self._index
        return SpoolStats(
            messages=len(index),
            envelopes=index.envelopes,
            bytes=index.content_bytes,
            possible_duplicates=parts.counts.possible_duplicates,
            corrupt=parts.counts.corrupt,
            syncs=parts.committer.syncs,
            commits=parts.committer.commits,
            free_bytes=parts.space.free_bytes,
            locked=_locked(parts).total(),
        )

    async def reconfigure(self, queue: Queue) -> None:
        """See ``BackEnd``."""
        parts, wanted = self._parts, wanted_of(queue)
        await parts.loop.run_in_executor(parts.files, parts.sealer.replace, wanted)
        missing = {kid: number for kid, number in _in_use(parts).items() if kid and not parts.sealer.ring.find(kid)}
        for kid, number in sorted(missing.items()):
            details: dict[str, str | int | float | bool] = {"keys": str(kid), "segments": number}
            parts.notify(Notice(level="error", event="queue.key-removed", details=details))

    def key_uses(self) -> Sequence[KeyUse]:
        """See ``BackEnd``."""
        parts = self._parts
        return uses_of(parts.sealer.ring, parts.clock(), _in_use(parts), _locked(parts))

    def busy(self, msgid: Msgid) -> bool:
        """Whether results of this message are on their way to the log."""
        return msgid in self._updating

    async def close(self) -> None:
        """See ``Spool``."""
        for task in self.background:
            task.cancel()
        await asyncio.gather(*self.background, return_exceptions=True)
        await self._parts.close()


async def _first_of(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()


def _in_use(parts: JournalParts) -> Lacking:
    """Segments by key."""
    return Lacking(
        segment.kid for home in tuple(parts.homes) for segment in tuple(home.segments.values()) if not segment.unread
    )


def _locked(parts: JournalParts) -> Lacking:
    """Segments that wait for a key: nobody's, and such as came to us before we knew."""
    waiting = sum(parts.watcher.adopter.locked.roots.values(), Lacking())
    unread = [each for home in tuple(parts.homes) for each in tuple(home.segments.values()) if each.unread and each.kid]
    waiting.update(segment.kid for segment in unread if segment.seal is NO_SEAL)
    return waiting


def _read_some(disk: Disk, stretches: Mapping[Msgid, Stretch]) -> dict[Msgid, Message]:
    """Read what can be read."""
    messages = {}
    for msgid, stretch in stretches.items():
        with suppress(OSError, DamagedError):
            messages[msgid] = read_accepted(disk, stretch).message
    return messages


def _stored(message: Message, entry: Entry) -> Stored:
    return Stored(message, _live((envelope.evpid for envelope in message.envelopes), entry.states))


def _live(evpids: Iterable[Evpid], states: States) -> dict[Evpid, EnvelopeState]:
    known = ((evpid, states.get(evpid[8:])) for evpid in evpids)
    return {evpid: expand(state) for evpid, state in known if state is None or not state.final}
