"""What is kept in memory of every queued message: where it lies and how far it has come, some 500 bytes each.

Used on the event loop only. Messages and contents are read from the log when they are needed.
"""

import builtins
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from paquebot_mta.mail.envelope import Result
from paquebot_mta.mail.ids import Evpid, Msgid, msgid_of
from paquebot_mta.spool import records
from paquebot_mta.spool.records import States
from paquebot_mta.spool.segment import Segment

RESULTS_AT_ONCE: Final = 500
"""In a record: with the longest words of servers a few megabytes."""


class Entry(Struct, eq=False, gc=False):
    """A live message; nothing in it leads back to it, so the collector need not look at a million of them.

    Attributes:
        segment, start: where its first record is; BODY records of ``body_bytes``, then ACCEPT or MOVED of
            ``accept_bytes``.
        size: of the content.
        live: envelopes that are not final.
        packed: states of the envelopes that are not fresh, MessagePack; empty if all are fresh, as at first.
    """

    segment: Segment
    start: int
    body_bytes: int
    accept_bytes: int
    size: int
    live: int
    packed: builtins.bytes = b""

    @property
    def bytes(self) -> int:
        """All its records in the log."""
        return self.body_bytes + self.accept_bytes

    @property
    def states(self) -> States:
        """The states of the envelopes that are not fresh."""
        return records.decode_states(self.packed) if self.packed else {}


class Index:
    """All live messages, oldest first, and the counts of their segments."""

    def __init__(self) -> None:
        """Start empty."""
        self._entries: dict[Msgid, Entry] = {}
        self.envelopes = 0
        self.content_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, msgid: object) -> bool:
        return msgid in self._entries

    def get(self, msgid: Msgid) -> Entry | None:
        """Find a message."""
        return self._entries.get(msgid)

    def ids(self) -> list[Msgid]:
        """All ids now, oldest first."""
        return list(self._entries)

    def add(self, msgid: Msgid, entry: Entry) -> None:
        """Take a message in."""
        self._entries[msgid] = entry
        self.envelopes += entry.live
        self.content_bytes += entry.size
        _count(entry, 1)

    def apply(self, msgid: Msgid, results: Sequence[Result]) -> Segment | None:
        """Note results. Returns the segment of a message that ended by them."""
        entry = self._entries.get(msgid)
        if entry is None:
            return None
        before = entry.live
        if _single_final(entry, results):
            entry.live = 0
        else:
            _merge(entry, results)
        self.envelopes -= before - entry.live
        return self.forget(msgid) if entry.live <= 0 else None

    def forget(self, msgid: Msgid) -> Segment | None:
        """Drop a message. Returns its segment."""
        entry = self._entries.pop(msgid, None)
        if entry is None:
            return None
        self.envelopes -= entry.live
        self.content_bytes -= entry.size
        _count(entry, -1)
        return entry.segment

    def move(self, entry: Entry, segment: Segment, start: int, body_bytes: int, accept_bytes: int) -> Segment:
        """Note that a message was copied forward. Returns the segment it left."""
        left = entry.segment
        _count(entry, -1)
        entry.segment, entry.start = segment, start
        entry.body_bytes, entry.accept_bytes = body_bytes, accept_bytes
        _count(entry, 1)
        return left


def _count(entry: Entry, sign: int) -> None:
    entry.segment.live += sign
    entry.segment.live_bytes += sign * entry.bytes


def _single_final(entry: Entry, results: Sequence[Result]) -> bool:
    """The common case: a fresh message of one envelope ends at its first attempt."""
    return entry.live == 1 and not entry.packed and results[-1].final is not None


def _merge(entry: Entry, results: Sequence[Result]) -> None:
    states = entry.states
    for result in results:
        key = result.evpid[8:]
        known = states.get(key)
        if known is None or not known.final:
            states[key] = records.compact(result)
            entry.live -= result.final is not None
    entry.packed = records.encode(states)


def by_message(results: Sequence[Result]) -> Iterator[tuple[Msgid, tuple[Result, ...]]]:
    """Group results, order kept, so that each group fits into a record: a message may have several groups."""
    groups: dict[Msgid, list[Result]] = {}
    for result in results:
        groups.setdefault(msgid_of(Evpid(result.evpid)), []).append(result)
    for msgid, group in groups.items():
        for at in range(0, len(group), RESULTS_AT_ONCE):
            yield msgid, tuple(group[at : at + RESULTS_AT_ONCE])


def count_down(updating: dict[Msgid, int], groups: Sequence[tuple[Msgid, Sequence[Result]]]) -> None:
    """Take groups of results from what is under way."""
    for msgid, _ in groups:
        updating[msgid] -= 1
        if not updating[msgid]:
            del updating[msgid]
