"""Records whose checks are right and whose payloads are not are put aside, and nothing is read by what they say."""

from collections.abc import Callable

import pytest

from paquebot_mta.mail.envelope import Envelope, EnvelopeState, Message, Result
from paquebot_mta.mail.ids import Evpid, Msgid
from paquebot_mta.spool import records
from paquebot_mta.spool.format import RECORD_MAGIC, Kind, encode_header, encode_record
from paquebot_mta.spool.layout import Layout
from paquebot_mta.spool.records import Accepted, Intended, Results
from paquebot_mta.spool.replay import Recovered, Replay
from paquebot_mta.spool.scan import scan
from paquebot_mta.spool.seal import Seal
from paquebot_mta.spool.sealer import Sealer
from paquebot_mta.spool.segment import Home
from tests.fuzz.volume import HEADER, INCARNATION, MemoryVolume


def _message(msgid: str = "00000001", evpid: str = "0000000100000001") -> Message:
    return Message(Msgid(msgid), "a@b.test", 0.0, 0, (Envelope(Evpid(evpid), "c@d.test", "c@d.test", "local"),))


def _recover(kind: Kind, payload: bytes) -> tuple[Recovered, MemoryVolume]:
    good = encode_record(HEADER.seed, 0, Kind.ACCEPT, 1, records.encode(Accepted(_message(), 0)))
    record = encode_record(HEADER.seed, 1, kind, 1, payload)
    volume, layout = MemoryVolume(encode_header(HEADER) + b"".join(good + record)), Layout("/spool")
    return Replay(volume, layout, Sealer(), (Home(INCARNATION, layout.home(INCARNATION), own=False),)).run(), volume


@pytest.mark.parametrize(
    "make",
    [
        lambda: records.encode(Accepted(_message(), 1 << 40)),
        lambda: records.encode(Accepted(_message(), -1)),
        lambda: records.encode(Accepted(_message(), 0, generation=-1)),
        lambda: records.encode(Accepted(_message("0000000x"), 0)),
        lambda: records.encode(Accepted(_message("00000002", "0000000200000001"), 0)),
        lambda: records.encode(Accepted(_message(evpid="00000001zzzzzzzz"), 0)),
        lambda: records.encode(Accepted(_message(evpid="00000001"), 0)),
        lambda: b"\x81\xa1x" + b"\x91" * 100_000,
    ],
)
def test_a_message_that_can_not_be_is_put_aside(make: Callable[[], bytes]) -> None:
    recovered, volume = _recover(Kind.ACCEPT, make())
    assert [found.msgid for found in recovered.messages] == ["00000001"]
    assert recovered.corrupt == len(volume.quarantined) == 1


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (Kind.RESULT, Results((Result(Evpid("no hex"), EnvelopeState(), "delivered"),))),
        (Kind.RESULT, Results((), generation=-1)),
        (Kind.INTENT, Intended((Evpid("no hex"),))),
    ],
)
def test_a_result_that_names_no_envelope_is_put_aside(kind: Kind, payload: Results | Intended) -> None:
    recovered, volume = _recover(kind, records.encode(payload))
    assert [found.msgid for found in recovered.messages] == ["00000001"]
    assert recovered.corrupt == len(volume.quarantined) == 1


def test_a_torn_content_full_of_magic_numbers_costs_few_reads() -> None:
    last = b"".join(encode_record(HEADER.seed, 0, Kind.DONE, 1, b""))
    for tail in (b"", last):
        volume = MemoryVolume(encode_header(HEADER) + RECORD_MAGIC * 400_000 + tail)
        assert len(list(scan(volume, "/pods/x/seg", Seal(HEADER.seed)))) == 1 + bool(tail)
        assert volume.reads < 20
