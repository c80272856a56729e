"""Copy-forward: the few live messages of an old segment move to the present one, so that their segment can go.

Order: append copy and states as MOVED, synced; only then the old segment counts as left. Dying in between leaves two
copies, of which the moved one counts.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Final

import msgspec

from paquebot_mta.mail.envelope import Message
from paquebot_mta.mail.ids import Evpid, Msgid, parse_msgid
from paquebot_mta.spool.committer import Placed
from paquebot_mta.spool.disk import Disk
from paquebot_mta.spool.format import Kind
from paquebot_mta.spool.index import Entry, Index
from paquebot_mta.spool.log import Log
from paquebot_mta.spool.options import JournalOptions
from paquebot_mta.spool.packed import OversizedError, lengths_of, message_records
from paquebot_mta.spool.reader import DamagedError, accept_stretch, body_stretch, read_accepted, whole_body
from paquebot_mta.spool.records import Accepted
from paquebot_mta.spool.scan import Record, scan
from paquebot_mta.spool.sealer import Sealer
from paquebot_mta.spool.segment import Home, NewRecord, Segment

_MESSAGE_KINDS: Final = (Kind.ACCEPT, Kind.MOVED)
_MOVED_AT_ONCE: Final = 32
"""They share a sync."""
_PRESENT_PART: Final = 4
"""The present segment is left for a new one when it is larger than this part of what is not worth the trouble."""


class Compactor:
    """Empties segments."""

    def __init__(
        self, disk: Disk, sealer: Sealer, log: Log, index: Index, pool: Executor, options: JournalOptions
    ) -> None:
        """``generation`` follows the journal's."""
        self._disk = disk
        self._sealer = sealer
        self._log = log
        self._index = index
        self._pool = pool
        self._options = options
        self.generation = 0

    async def begin_anew(self, homes: Sequence[Home], now: float) -> None:
        """Go on in a new segment if the present one makes the volume hold too much, or is old and of a key that was
        replaced: it can be emptied then.

        Raises:
            SpoolError: it goes on where it is.
        """
        segments = _readable(homes)
        present = [segment for segment in segments if not segment.sealed and segment.home.own]
        is_too_much = self._surplus(segments) > 0
        if any((is_too_much and self._is_worth_it(each)) or self._is_outdated(each, now) for each in present):
            await self._log.begin_anew()

    def _is_worth_it(self, segment: Segment) -> bool:
        return segment.end > self._options.compact_floor_bytes / _PRESENT_PART and self._is_thin(segment)

    def _is_outdated(self, segment: Segment, now: float) -> bool:
        is_old = now - segment.created_at > self._options.compact_age_seconds
        return is_old and self._sealer.replaces(segment.kid, now)

    def candidate(self, homes: Sequence[Home], now: float) -> Segment | None:
        """Find the first of ``candidates``."""
        return next(iter(self.candidates(homes, now)), None)

    def candidates(self, homes: Sequence[Home], now: float) -> Sequence[Segment]:
        """Find segments, written to their ends, that are to be emptied.

        Old ones of which little is live or whose key is not the one for new ones; and while the volume holds several
        times what is live, the oldest ones, whatever their age: those behind them may hold nothing but results about
        them, of each attempt one.
        """
        segments = _readable(homes)
        closed = [segment for segment in segments if segment.sealed]
        chosen = {each: None for each in closed if each.live_bytes > 0 and self._is_spent(each, now)}
        surplus, pinned = self._surplus(segments), set[Segment]().union(*(each.pins for each in segments))
        for segment in sorted(closed, key=lambda each: each.created_at):
            if surplus <= 0:
                break
            if segment.live_bytes == 0 or segment in pinned or self._is_thin(segment):
                surplus -= segment.end - segment.live_bytes
                chosen |= {segment: None} if segment.live_bytes else {}
        return tuple(chosen)

    def _is_spent(self, segment: Segment, now: float) -> bool:
        options = self._options
        share = 1.0 if self._sealer.replaces(segment.kid, now) else options.compact_live_share
        return now - segment.created_at > options.compact_age_seconds and segment.live_bytes < share * segment.end

    def _is_thin(self, segment: Segment) -> bool:
        return segment.live_bytes * self._options.compact_volume_factor < segment.end

    def _surplus(self, segments: Sequence[Segment]) -> float:
        """Bytes beyond a few times what is live, and a little that is not worth the trouble.

        What is copied was at least doubled by dead bytes since the last time: so no more than half as much again is
        ever written as without.
        """
        options = self._options
        live, held = sum(segment.live_bytes for segment in segments), sum(segment.end for segment in segments)
        return held - options.compact_volume_factor * live - options.compact_floor_bytes

    async def empty(self, segment: Segment, busy: Callable[[Msgid], bool]) -> None:
        """Move what is live; messages that are being updated right now stay for the next time.

        Raises:
            SpoolError: the rest stays where it is.
            OSError: the segment can't be read.
        """
        loop = asyncio.get_running_loop()
        msgids = await loop.run_in_executor(self._pool, _msgids, self._disk, segment)
        live = [msgid for msgid in msgids if (entry := self._index.get(msgid)) and entry.segment is segment]
        at_once = 1 if segment.private else _MOVED_AT_ONCE
        for at in range(0, len(live), at_once):
            await asyncio.gather(*(self._move_from(segment, msgid, busy) for msgid in live[at : at + at_once]))

    async def _move_from(self, segment: Segment, msgid: Msgid, busy: Callable[[Msgid], bool]) -> None:
        entry = self._index.get(msgid)
        if entry is not None and entry.segment is segment and not busy(msgid):
            await self.move(msgid, entry, busy)

    async def move(self, msgid: Msgid, entry: Entry, busy: Callable[[Msgid], bool]) -> None:
        """Copy one message of the index forward.

        Raises:
            SpoolError: it stays where it is.
        """
        try:
            accepted, chunks = await self._read(msgid, entry)
        except (DamagedError, OSError):
            return  # whoever reads it next learns of it; nothing is lost by leaving it there

        def on_settled(placed: Placed | None) -> None:
            if placed is not None and self._index.get(msgid) is entry:
                placed.segment.pin([self._index.move(entry, placed.segment, placed.start, *lengths_of(records))])

        origin = entry.segment.home.incarnation
        moved = Accepted(accepted.message, 0, origin, msgid, self.generation, entry.states)
        try:
            records = await self._pack(msgid, chunks, moved)
        except OversizedError:
            return  # of a version that accepted more than it could copy: it stays where it is
        if self._index.get(msgid) is entry and not busy(msgid):
            await self._log.append(records, on_settled)

    async def move_as(self, msgid: Msgid, entry: Entry, new_msgid: Msgid) -> None:
        """Take in a message, not in the index yet, under another id: its own is in use.

        Raises:
            SpoolError, DamagedError, OSError: it stays where it is, for the next start.
        """
        accepted, chunks = await self._read(msgid, entry)
        message = _renamed(accepted.message, new_msgid)

        def on_settled(placed: Placed | None) -> None:
            if placed is None:
                return
            placed.segment.pin([entry.segment])
            entry.segment, entry.start = placed.segment, placed.start
            entry.body_bytes, entry.accept_bytes = lengths_of(records)
            self._index.add(new_msgid, entry)

        origin = entry.segment.home.incarnation
        moved = Accepted(message, 0, origin, msgid, self.generation, entry.states)
        records = await self._pack(new_msgid, chunks, moved)
        await self._log.append(records, on_settled)

    async def _read(self, msgid: Msgid, entry: Entry) -> tuple[Accepted, list[bytes]]:
        number = int(parse_msgid(msgid), 16)
        loop = asyncio.get_running_loop()
        accepted = await loop.run_in_executor(self._pool, read_accepted, self._disk, accept_stretch(entry, number))
        stretch = body_stretch(entry, number)
        return accepted, await loop.run_in_executor(self._pool, lambda: list(whole_body(self._disk, stretch)))

    async def _pack(self, msgid: Msgid, chunks: Sequence[bytes], moved: Accepted) -> list[NewRecord]:
        loop, number = asyncio.get_running_loop(), int(msgid, 16)
        return await loop.run_in_executor(self._pool, message_records, self._sealer, number, chunks, Kind.MOVED, moved)


def _readable(homes: Sequence[Home]) -> list[Segment]:
    return [segment for home in homes for segment in home.segments.values() if not segment.held]


def _renamed(message: Message, msgid: Msgid) -> Message:
    envelopes = tuple(
        msgspec.structs.replace(envelope, evpid=Evpid(msgid + envelope.evpid[8:])) for envelope in message.envelopes
    )
    return msgspec.structs.replace(message, msgid=msgid, envelopes=envelopes)


def _msgids(disk: Disk, segment: Segment) -> list[Msgid]:
    """Messages in a segment, dead ones too."""
    found = scan(disk, segment.path, segment.seal)
    return [Msgid(f"{item.msgid:08x}") for item in found if isinstance(item, Record) and item.kind in _MESSAGE_KINDS]
