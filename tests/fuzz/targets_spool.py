"""The log of the spool: records that lie, damage anywhere, and bytes that never were a segment."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from paquebot_mta.config.key_ring import KEY_BYTES, MAX_KEYS, key_ring_fault, parse_key_ring
from paquebot_mta.spool.format import BODY_BYTES, MAX_PAYLOAD_BYTES, Kind
from paquebot_mta.spool.layout import Layout, segment_name
from paquebot_mta.spool.packing import unpack
from paquebot_mta.spool.reader import DamagedError, accept_stretch, body_stretch, read_accepted, whole_body
from paquebot_mta.spool.replay import Found, Recovered, Replay
from paquebot_mta.spool.scan import Damage, Record, scan
from paquebot_mta.spool.seal import Seal
from paquebot_mta.spool.segment import Home
from tests.fuzz.material import Material
from tests.fuzz.volume import HEADER, INCARNATION, SEALER, Made, MemoryVolume, make_segment

_LONGEST_REFUSAL: Final = 200


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


def fuzz_packed(data: bytes) -> None:
    """A packed payload comes back, or is refused, in memory that its kind bounds."""
    source = Material(data)
    kind, flags, size = source.byte(), source.byte(), source.word()
    payload = source.rest()
    for each in (payload, size.to_bytes(4, "big") + payload):
        with suppress(ValueError):
            plain = unpack(kind, flags, each)
            assert len(plain) <= max(len(each), BODY_BYTES if kind == Kind.BODY else MAX_PAYLOAD_BYTES)


def fuzz_key_ring(data: bytes) -> None:
    """A key ring is taken whole and usable, or refused in words that hold nothing of it."""
    text = data.decode("utf-8", "replace")
    refusal = key_ring_fault(text)
    assert len(refusal) < _LONGEST_REFUSAL
    assert refusal.isascii()
    if refusal:
        return
    ring = parse_key_ring(text)
    assert 1 <= len({entry.id for entry in ring}) == len(ring) <= MAX_KEYS
    assert all(bool(entry.passphrase) != (len(entry.key) == KEY_BYTES) for entry in ring)
    assert all(entry.created_at.timestamp() for entry in ring)
