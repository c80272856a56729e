"""A segment that no key opens yet is held by whoever reads it, and served when the key has come."""

from dataclasses import dataclass

from paquebot_mta.mail.envelope import Envelope, Message
from paquebot_mta.mail.ids import Evpid, Msgid
from paquebot_mta.spool.format import HEADER_BYTES, Kind, encode_header
from paquebot_mta.spool.layout import Layout
from paquebot_mta.spool.packed import message_records
from paquebot_mta.spool.reader import body_stretch, whole_body
from paquebot_mta.spool.records import Accepted
from paquebot_mta.spool.replay import Replay
from paquebot_mta.spool.reread import is_readable, read_anew, shadows_of, take_in
from paquebot_mta.spool.sealer import Sealer
from paquebot_mta.spool.segment import Home
from tests.fuzz.volume import HEADER, INCARNATION, SEALER, MemoryVolume

CONTENT = b"content " * 100
LAYOUT = Layout("/spool")


@dataclass
class Scene:
    """A sealed segment of one message, damaged as a test likes."""

    volume: MemoryVolume
    home: Home


def scene(*, flip_at: int | None = None, packed_badly: bool = False) -> Scene:
    envelope = Envelope(Evpid("0000000100000001"), "c@d.test", "c@d.test", "local")
    message = Message(Msgid("00000001"), "a@b.test", 0.0, len(CONTENT), (envelope,))
    header, seal = SEALER.seal(HEADER)
    segment = bytearray(encode_header(header))
    for seq, record in enumerate(message_records(SEALER, 1, [CONTENT], Kind.ACCEPT, Accepted(message, 0))):
        flags = 3 if packed_badly and record.kind == Kind.ACCEPT else record.packing
        segment += b"".join(seal.encode(len(segment), seq, record.kind, 1, record.payload, flags))
    if flip_at is not None:
        segment[HEADER_BYTES + flip_at] ^= 1
    return Scene(MemoryVolume(bytes(segment)), Home(INCARNATION, LAYOUT.home(INCARNATION), own=False))


def test_it_is_held_until_the_key_comes() -> None:
    at = scene()
    first = Replay(at.volume, LAYOUT, Sealer(), (at.home,)).run()
    first.enter()
    assert (first.messages, first.held, first.corrupt) == ([], 1, 0)
    (segment,) = at.home.segments.values()
    assert (at.home.unread, segment.held, segment.kid) == (True, True, 1)
    assert not is_readable(at.volume, Sealer(), [at.home])
    assert is_readable(at.volume, SEALER, [at.home])
    again = read_anew(at.volume, LAYOUT, SEALER, shadows_of([at.home]))
    assert again is not None
    take_in([at.home], again)
    (found,) = again.messages
    assert b"".join(whole_body(at.volume, body_stretch(found.entry, 1))) == CONTENT
    assert (at.home.unread, segment.held) == (False, False)
    assert at.volume.quarantined == {}


def test_what_is_put_aside_is_still_sealed() -> None:
    """A record that opens, but says what can't be: its evidence must not be the opened payload."""
    at = scene(packed_badly=True)
    recovered = Replay(at.volume, LAYOUT, SEALER, (at.home,)).run()
    assert (recovered.messages, recovered.corrupt) == ([], 1)
    (evidence,) = at.volume.quarantined.values()
    assert b"d.test" not in evidence
    assert evidence in at.volume.segment


def test_damage_is_put_aside_as_it_is() -> None:
    at = scene(flip_at=60)
    recovered = Replay(at.volume, LAYOUT, SEALER, (at.home,)).run()
    assert recovered.corrupt == 1
    (evidence,) = at.volume.quarantined.values()
    assert b"content" not in evidence
