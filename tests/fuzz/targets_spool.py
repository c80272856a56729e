"""The log of the spool: records that lie, damage anywhere, and bytes that never were a segment."""

from collections.abc import Sequence
from contextlib import suppress

from paquebot_mta.spool.format import MAX_PAYLOAD_BYTES
from paquebot_mta.spool.layout import Layout, segment_name
from paquebot_mta.spool.reader import DamagedError, accept_stretch, body_stretch, read_accepted, whole_body
from paquebot_mta.spool.replay import Found, Recovered, Replay
from paquebot_mta.spool.scan import Damage, Record, scan
from paquebot_mta.spool.seal import Seal
from paquebot_mta.spool.segment import Home
from tests.fuzz.material import Material
from tests.fuzz.volume import HEADER, INCARNATION, SEALER, Made, MemoryVolume, make_segment


def fuzz_scan(data: bytes) -> None:
    """Records and damage follow one another without a gap, in a number of reads that the file's size bounds."""
    source = Material(data)
    raw = source.byte() & 1
    segment, seal, number = Made(source.rest(), Seal(HEADER.seed), 0) if raw else make_segment(source)
    volume = MemoryVolume(segment)
    items = list(scan(volume, "/pods/x/seg", seal))
    _check_items(items, len(segment))
    assert sum(isinstance(each, Record) for each in items) <= number
    assert volume.reads <= 16 + 4 * len(items)


def _check_items(items: Sequence[Record | Damage], size: int) -> None:
    position = items[0].start if items else 0
    for each in items:
        assert position == each.start < each.end <= size
        assert not isinstance(each, Damage) or not each.torn or each is items[-1]
        position = each.end


def fuzz_replay(data: bytes) -> None:
    """A start takes each record, or puts it aside; what it gives out can be read, or is known as damaged."""
    source = Material(data)
    raw = source.byte() & 1
    segment = source.rest() if raw else make_segment(source).data
    first, again = _replay(segment), _replay(segment)
    assert [found.msgid for found in first.messages] == [found.msgid for found in again.messages]
    assert (first.corrupt, first.torn, first.generation) == (again.corrupt, again.torn, again.generation)


def _replay(segment: bytes) -> Recovered:
    volume, layout = MemoryVolume(segment), Layout("/spool")
    home = Home(INCARNATION, layout.home(INCARNATION), own=False)
    recovered = Replay(volume, layout, SEALER, (home,)).run()
    assert all(name.startswith(layout.at("corrupt", INCARNATION)) for name in volume.quarantined)
    assert all(segment_name(1) in name for name in volume.quarantined)
    for found in recovered.messages:
        _check_found(volume, found, len(segment))
    return recovered


def _check_found(volume: MemoryVolume, found: Found, size: int) -> None:
    entry, number = found.entry, int(found.msgid, 16)
    assert 0 <= entry.start <= entry.start + entry.bytes <= size
    assert 0 < entry.live <= len(list(found.evpids))
    assert isinstance(entry.states, dict)
    with suppress(DamagedError):
        accepted = read_accepted(volume, accept_stretch(entry, number))
        assert accepted.message.msgid == found.msgid
        assert [each.evpid for each in accepted.message.envelopes] == list(found.evpids)
    with suppress(DamagedError):
        chunks = list(whole_body(volume, body_stretch(entry, number)))
        assert all(len(chunk) <= MAX_PAYLOAD_BYTES for chunk in chunks)
