"""Rebuild the state of incarnations from their logs. Blocks; runs once for each group that is adopted together.

The order of the records decides, never a clock: within a log the place, between logs the generation. A final result
is final wherever it is found. Reading the same logs twice gives the same state, so an adopter may die at any moment.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from paquebot_mta.mail.ids import Evpid, Msgid, parse_evpid
from paquebot_mta.spool import records
from paquebot_mta.spool.disk import Disk
from paquebot_mta.spool.format import HEADER_BYTES, Kind, SegmentHeader
from paquebot_mta.spool.index import Entry
from paquebot_mta.spool.layout import Layout, parse_segment_name
from paquebot_mta.spool.quarantine import evidence_name, quarantine
from paquebot_mta.spool.records import Accepted, CompactState, States
from paquebot_mta.spool.scan import Damage, Record, read_header, scan
from paquebot_mta.spool.seal import NO_SEAL
from paquebot_mta.spool.sealer import Sealer
from paquebot_mta.spool.segment import Home, Segment
from paquebot_mta.spool.together import leave_unconfirmed, remembered

Order = bytes
"""Generation, segment id, place in the segment, so spelled that bytes compare as the numbers do."""

_ORDER: Final = struct.Struct(">QQQ")
_FIRST: Final = _ORDER.pack(0, 0, 0)
_FINAL: Final = b"\1"
_NO_STATES: Final[States] = {}
_SUFFIX_DIGITS: Final = 8


@dataclass(slots=True, eq=False)
class Found:
    """A copy of a message in a log.

    Attributes:
        suffixes: last 8 digits of the envelope ids, one after the other.
        void: it was moved, or nobody was told that it was accepted.
        together: it counts only with the others of its transaction.
        another: copy of the same message in the same incarnation.
    """

    msgid: Msgid
    segment: Segment
    order: Order
    entry: Entry
    created_at: float
    suffixes: str
    states: States
    origin: tuple[str, str] | None = None
    void: bool = False
    together: bool = False
    another: "Found | None" = None

    @property
    def evpids(self) -> Iterator[Evpid]:
        """Its envelopes."""
        for at in range(0, len(self.suffixes), _SUFFIX_DIGITS):
            yield Evpid(self.msgid + self.suffixes[at : at + _SUFFIX_DIGITS])


@dataclass(slots=True)
class Recovered:
    """What a group of incarnations held.

    Attributes:
        messages: live ones with their restored states, oldest first.
        generation: greatest one in use.
        segments: those that were not known before.
        late: of a directory that was read before: results about messages found then, and the segment they are in.
    """

    homes: Sequence[Home]
    messages: list[Found] = field(default_factory=list)
    generation: int = 0
    possible_duplicates: int = 0
    corrupt: int = 0
    torn: int = 0
    held: int = 0
    segments: list[Segment] = field(default_factory=list)
    late: list[tuple[Segment, records.Results]] = field(default_factory=list)

    @property
    def unread(self) -> bool:
        """Whether something could not be read."""
        return any(home.unread for home in self.homes) or any(segment.unread for segment in self.segments)

    def enter(self) -> None:
        """Let the directories know their new segments; on the event loop, if they are served already."""
        for segment in self.segments:
            segment.home.segments[segment.segment_id] = segment


class Replay:
    """Reads the logs of some incarnations that belong together: one, and whatever it adopted.

    Of segments that a directory knows already only messages are told that were appended since: the late records of a
    zombie, if it reads ``again``; else none.

    It is built for queues of a million: an envelope's newest state is its order, a byte that says whether it is final,
    and the state as it will be kept, all in one piece under the id as a number.
    """

    def __init__(
        self, disk: Disk, layout: Layout, sealer: Sealer, homes: Sequence[Home], *, again: bool = False
    ) -> None:
        """Read nothing yet; ``again``: the directories were read before."""
        self._disk = disk
        self._sealer = sealer
        self._again = again
        self._layout = layout
        self._result = Recovered(homes)
        self._found: dict[str, dict[str, Found]] = {home.incarnation: remembered(home) for home in homes}
        self._known: dict[int, bytes] = {}
        self._intents: dict[int, Order] = {}
        self._mentions: dict[Segment, set[tuple[str, str]]] = {}
        self._done: set[tuple[str, str]] = set()
        self._doubtful: set[str] = set()
        self._partly = not again and any(home.segments for home in homes)
        self._fresh = True
        """Whether what is read now was never read before."""

    def run(self) -> Recovered:
        """Read everything that can be read."""
        for home in self._result.homes:
            for name in self._names(home):
                segment_id = parse_segment_name(name)
                if segment_id is not None:
                    self._read_segment(home, segment_id, name)
        self._void_moved()
        self._restore()
        self._leave_unconfirmed()
        self._pin()
        if self._result.unread:  # it may hold the results of any of them
            self._result.possible_duplicates = sum(found.entry.live for found in self._result.messages)
        return self._result

    def _names(self, home: Home) -> Sequence[str]:
        try:
            return self._disk.names(home.path)
        except FileNotFoundError:
            return ()  # it was buried meanwhile
        except OSError:
            home.unlisted = not self._again  # what was read before is served all the same
            self._result.held += home.unlisted
            return ()

    def _read_segment(self, home: Home, segment_id: int, name: str) -> None:
        known = home.segments.get(segment_id)
        if known.unread if known is not None else home.own:
            return  # ``reread`` looks after it; or it is being written
        self._fresh = known is None
        segment = known or Segment(home, segment_id, sealed=True)
        try:
            self._read(segment, f"{home.path}/{name}")
        except FileNotFoundError:
            self._doubtful.add(home.incarnation)
            return  # its owner gave it back before it lost the directory
        except OSError:
            if known is not None and self._again:
                return  # nothing new can be read now; what was read before is served all the same
            segment.held = segment.unread = True  # one file that can't be read must not stop the others
            self._result.held += 1
        if known is None:
            self._result.segments.append(segment)

    def _read(self, segment: Segment, path: str) -> None:
        """Read what was not read before.

        Raises:
            OSError: it can't be read now, or not by our keys.
        """
        if segment.seal is NO_SEAL:  # a file without a header may have got one since
            self._read_file(segment, read_header(self._disk, path))
        elif not segment.held:
            self._read_records(segment)

    def _read_file(self, segment: Segment, header: SegmentHeader | None) -> None:
        home = segment.home
        if header is None:
            self._note_headless(segment)
        elif not header.readable or (header.incarnation, header.segment_id) != (home.incarnation, segment.segment_id):
            segment.held, segment.unread = True, False
            self._result.held += 1
        else:
            segment.kid, segment.created_at, segment.private = header.kid, header.created_at, header.private
            segment.seal = self._sealer.open(header)
            self._read_records(segment)

    def _note_headless(self, segment: Segment) -> None:
        """A crash while the file was made leaves it empty; anything else is damage."""
        fd = self._disk.open(segment.path, 0)
        try:
            size, data = self._disk.size(fd), self._disk.read(fd, 1024 * 1024, 0)
        finally:
            self._disk.close(fd)
        if size > HEADER_BYTES and data.count(0) != len(data):
            segment.held, segment.unread = True, False
            self._keep_evidence(segment, 0, data)

    def _read_records(self, segment: Segment) -> None:
        for item in scan(self._disk, segment.path, segment.seal, segment.end):
            if isinstance(item, Damage):
                if not self._again:
                    self._note_damage(segment, item)
            else:
                segment.end = item.end
                self._read_record(segment, item)

    def _note_damage(self, segment: Segment, damage: Damage) -> None:
        if damage.torn:
            self._result.torn += self._fresh
            return
        self._put_aside(segment, damage.start, damage.end)

    def _put_aside(self, segment: Segment, start: int, end: int) -> None:
        """Keep evidence as it stands in the segment: still sealed, if it was."""
        self._doubtful.add(segment.home.incarnation)
        fd = self._disk.open(segment.path, 0)
        try:
            data = self._disk.read(fd, min(end - start, 1024 * 1024), start)
        finally:
            self._disk.close(fd)
        self._keep_evidence(segment, start, data)

    def _keep_evidence(self, segment: Segment, start: int, data: bytes) -> None:
        if self._fresh or self._again:
            self._result.corrupt += 1
            quarantine(self._disk, self._layout, evidence_name(segment.path, start), data)

    def _read_record(self, segment: Segment, record: Record) -> None:
        try:
            match record.kind:
                case Kind.ACCEPT | Kind.MOVED:
                    self._read_accepted(segment, record, records.decode_accepted(record.plain()))
                case Kind.RESULT:
                    self._read_results(segment, record, records.decode_results(record.plain()))
                case Kind.CONFIRMED:
                    named = records.decode_confirmed(record.plain()).msgids
                    segment.home.confirmed.update(dict.fromkeys(named, segment))
                case Kind.INTENT:
                    self._read_intended(segment, record, records.decode_intended(record.plain()))
                case Kind.DONE:
                    home = records.decode_done(record.plain()).incarnation or segment.home.incarnation
                    self._done.add((home, f"{record.msgid:08x}"))
                    self._mention(segment, home, record.msgid)
                case Kind.ADOPT:
                    self._see(records.decode_adopted(record.plain()).generation)
                case _:
                    return  # BODY is read with its message; types of a later version are none of our business
        except (msgspec.DecodeError, ValueError, RecursionError):  # nested too deep, or an id that is none
            self._put_aside(segment, record.start, record.end)

    def _see(self, generation: int) -> None:
        self._result.generation = max(self._result.generation, generation)

    def _read_accepted(self, segment: Segment, record: Record, accepted: Accepted) -> None:
        _check_accepted(record, accepted)
        self._see(accepted.generation)
        message, start = accepted.message, record.start - accepted.body_bytes
        entry = Entry(segment, start, accepted.body_bytes, record.end - record.start, message.size, 0)
        # Whatever is said about a message is newer than its ACCEPT, wherever its (private) segment stands.
        moved = record.kind == Kind.MOVED
        order = _ORDER.pack(accepted.generation, segment.segment_id, record.seq) if moved else _FIRST
        suffixes = "".join(envelope.evpid[8:] for envelope in message.envelopes)
        states = accepted.states or _NO_STATES
        found = Found(message.msgid, segment, order, entry, message.created_at, suffixes, states)
        found.together = accepted.together
        if moved:
            found.origin = (accepted.origin or segment.home.incarnation, accepted.origin_msgid or message.msgid)
        copies = self._found[segment.home.incarnation]
        found.another = copies.get(message.msgid)
        copies[message.msgid] = found

    def _copies(self, incarnation: str, msgid: str) -> Iterator[Found]:
        found = self._found.get(incarnation, {}).get(msgid)
        while found is not None:
            yield found
            found = found.another

    def _all(self) -> Iterator[Found]:
        for incarnation, copies in self._found.items():
            for msgid in copies:
                yield from self._copies(incarnation, msgid)

    def _read_results(self, segment: Segment, record: Record, results: records.Results) -> None:
        self._see(results.generation)
        about = self._copies(results.incarnation or segment.home.incarnation, f"{record.msgid:08x}")
        if not any(about) if self._again else self._partly and self._fresh:
            self._result.late.append((segment, results))
        self._mention(segment, results.incarnation, record.msgid)
        order = _ORDER.pack(results.generation, segment.segment_id, record.seq)
        for result in results.results:
            evpid = int(result.evpid, 16)
            known = self._known.get(evpid, b"")
            if not known or (not _is_final(known) and (result.final is not None or order > known[: _ORDER.size])):
                self._known[evpid] = order + _spell(records.compact(result))
            if self._intents.get(evpid, order) < order:
                del self._intents[evpid]

    def _read_intended(self, segment: Segment, record: Record, intended: records.Intended) -> None:
        order = _ORDER.pack(intended.generation, segment.segment_id, record.seq)
        for evpid in (int(text, 16) for text in intended.evpids):
            if self._known.get(evpid, b"")[: _ORDER.size] < order:
                self._intents[evpid] = max(order, self._intents.get(evpid, order))

    def _mention(self, segment: Segment, incarnation: str, msgid: int) -> None:
        """Note that a segment speaks of a message: of most the place is known already, so that only it is kept."""
        key = (incarnation or segment.home.incarnation, f"{msgid:08x}")
        before = {found.segment for found in self._copies(*key)}
        segment.pin(before)
        if not before:
            self._mentions.setdefault(segment, set()).add(key)

    def _void_moved(self) -> None:
        """Of several copies the one that was moved last counts."""
        for found in self._all():
            if found.origin is not None:
                for left in self._copies(*found.origin):
                    if left is not found and left.order < found.order:
                        left.void = True
                        found.segment.pin([left.segment])
        for key in self._done:
            for found in self._copies(*key):
                found.void = found.void or found.origin is None

    def _leave_unconfirmed(self) -> None:
        """Of the messages of one transaction none counts before all do."""
        new = self._result.segments
        homes = {
            home: [*home.segments.values(), *(each for each in new if each.home is home)] for home in self._result.homes
        }
        held = {segment.home.incarnation for segments in homes.values() for segment in segments if segment.held}
        held |= {home.incarnation for home in homes if home.unlisted}
        before = len(self._result.messages)
        self._result.messages = leave_unconfirmed(homes, self._result.messages, self._doubtful | held)
        self._result.torn += before - len(self._result.messages)

    def _restore(self) -> None:
        new = set(self._result.segments)
        for found in self._all():
            if not found.void and (self._again or found.segment in new):
                self._restore_one(found)
        self._result.messages.sort(key=lambda found: found.created_at)

    def _restore_one(self, found: Found) -> None:
        states: States = dict(found.states)
        only = found.another is None and found.origin is None  # what is known of it makes room for what is kept of it
        live = 0
        for evpid in found.evpids:
            number, suffix = int(evpid, 16), evpid[8:]
            known = self._known.pop(number, None) if only else self._known.get(number)
            if known is not None and (_is_final(known) or known[: _ORDER.size] > found.order):
                states[suffix] = records.decode_state(known[_ORDER.size + 1 :])
            final = suffix in states and states[suffix].final
            live += not final
            self._result.possible_duplicates += not final and number in self._intents
        found.entry.live = live
        found.entry.packed = records.encode(states) if states else b""
        if live:
            self._result.messages.append(found)

    def _pin(self) -> None:
        """A segment with results goes after the messages that they are about."""
        for segment, mentioned in self._mentions.items():
            for key in mentioned:
                segment.pin(found.segment for found in self._copies(*key))


def _check_accepted(record: Record, accepted: Accepted) -> None:
    """Refuse what nobody writes, however right its check is: it would be read from where it is not.

    Raises:
        ValueError: the content would begin before the segment's records, or an id is another message's.
    """
    msgid = f"{record.msgid:08x}"
    if accepted.message.msgid != msgid or accepted.body_bytes > record.start - HEADER_BYTES:
        raise ValueError("not this message")
    for envelope in accepted.message.envelopes:
        if not envelope.evpid.startswith(msgid) or parse_evpid(envelope.evpid) != envelope.evpid:
            raise ValueError("not an envelope of this message")


def _spell(state: CompactState) -> bytes:
    return (_FINAL if state.final else b"\0") + records.encode(state)


def _is_final(known: bytes) -> bool:
    return known[_ORDER.size : _ORDER.size + 1] == _FINAL
