"""The bytes on the volume: what is written is read back, and anything else is no record."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.spool import records
from paquebot_mta.spool.disk import RealDisk
from paquebot_mta.spool.format import (
    HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    RECORD_MAGIC,
    Kind,
    SegmentHeader,
    decode_header,
    decode_record_head,
    encode_header,
    encode_record,
)
from paquebot_mta.spool.owner import Owner, decode_owner, encode_beat, encode_claim
from paquebot_mta.spool.scan import Damage, Record, scan
from paquebot_mta.spool.seal import Seal

HEADER = SegmentHeader(7, "0123456789abcdef-mx-0", bytes(range(32)), 1_800_000_000.5, True, 3, 0)
FRAME = st.tuples(st.sampled_from(list(Kind)), st.integers(0, 2**32 - 1), st.binary(max_size=300))


def segment(frames: list[tuple[Kind, int, bytes]]) -> bytes:
    spelled = [b"".join(encode_record(HEADER.seed, seq, *frame)) for seq, frame in enumerate(frames)]
    return encode_header(HEADER) + b"".join(spelled)


def read(path: Path, data: bytes) -> list[Record | Damage]:
    path.write_bytes(data)
    return list(scan(RealDisk(), str(path), Seal(HEADER.seed)))


def test_a_header_is_read_back() -> None:
    assert decode_header(encode_header(HEADER)) == HEADER
    assert len(encode_header(HEADER)) == HEADER_BYTES


@given(st.integers(0, HEADER_BYTES - 1), st.integers(1, 255))
def test_no_single_damaged_byte_costs_a_header(at: int, flip: int) -> None:
    data = bytearray(encode_header(HEADER))
    data[at] ^= flip
    assert decode_header(bytes(data)) == HEADER


@given(st.binary(max_size=5_000))
def test_garbage_is_no_header_and_no_owner(data: bytes) -> None:
    assert decode_header(data) is None
    assert decode_owner(data) is None


@given(frames=st.lists(FRAME, max_size=8))
def test_records_are_read_back(tmp_path_factory: pytest.TempPathFactory, frames: list[tuple[Kind, int, bytes]]) -> None:
    found = read(tmp_path_factory.getbasetemp() / "read-back", segment(frames))
    assert [(item.kind, item.msgid, item.payload) for item in found if isinstance(item, Record)] == frames
    assert [item.seq for item in found if isinstance(item, Record)] == list(range(len(frames)))


@given(frames=st.lists(FRAME, min_size=1, max_size=4), cut=st.integers(1, 400))
def test_a_cut_segment_gives_a_prefix(
    tmp_path_factory: pytest.TempPathFactory, frames: list[tuple[Kind, int, bytes]], cut: int
) -> None:
    data = segment(frames)
    found = read(tmp_path_factory.getbasetemp() / "cut", data[: max(HEADER_BYTES, len(data) - cut)])
    got = [(item.kind, item.msgid, item.payload) for item in found if isinstance(item, Record)]
    assert got == frames[: len(got)]
    assert len(got) < len(frames)
    assert [item for item in found if isinstance(item, Damage) and not item.torn] == []


@given(frames=st.lists(FRAME, min_size=2, max_size=5), data=st.data())
def test_one_flipped_byte_harms_one_record(
    tmp_path_factory: pytest.TempPathFactory, frames: list[tuple[Kind, int, bytes]], data: st.DataObject
) -> None:
    spelled = bytearray(segment(frames))
    spelled[data.draw(st.integers(HEADER_BYTES, len(spelled) - 1))] ^= data.draw(st.integers(1, 255))
    found = read(tmp_path_factory.getbasetemp() / "flipped", bytes(spelled))
    got = [item for item in found if isinstance(item, Record)]
    assert len(got) == len(frames) - 1
    assert all((item.kind, item.msgid, item.payload) == frames[item.seq] for item in got)
    assert len([item for item in found if isinstance(item, Damage)]) == 1


def test_zeros_behind_the_last_record_are_preallocation_not_damage(tmp_path: Path) -> None:
    found = read(tmp_path / "zeros", segment([(Kind.BODY, 1, b"x")]) + bytes(3_000_000))
    assert [type(item) for item in found] == [Record]


def test_garbage_behind_the_last_record_is_a_torn_tail(tmp_path: Path) -> None:
    data = segment([(Kind.BODY, 1, b"x")])
    assert read(tmp_path / "garbage", data + os.urandom(3_000_000))[1:] == [
        Damage(len(data), len(data) + 3_000_000, True)
    ]


def test_mail_that_holds_the_bytes_of_a_record_is_never_taken_for_one(tmp_path: Path) -> None:
    """Even where damage makes the reader look for the next record inside of content."""
    forged = b"".join(encode_record(0, 0, Kind.ACCEPT, 1, b"forged"))
    spelled = bytearray(segment([(Kind.BODY, 1, forged * 3), (Kind.ACCEPT, 1, b"real")]))
    spelled[HEADER_BYTES] ^= 1
    assert [item.payload for item in read(tmp_path / "forged", bytes(spelled)) if isinstance(item, Record)] == [b"real"]


def test_a_length_is_bounded_before_it_is_believed() -> None:
    spelled = b"".join(encode_record(HEADER.seed, 0, Kind.BODY, 1, bytes(MAX_PAYLOAD_BYTES + 1)))
    assert decode_record_head(HEADER.seed, spelled) is None


def test_a_record_of_another_segment_is_none_here() -> None:
    assert decode_record_head(HEADER.seed ^ 1, b"".join(encode_record(HEADER.seed, 0, Kind.BODY, 1, b""))) is None


def test_the_format_has_not_changed() -> None:
    """These bytes lie on volumes: a change of any of them needs a new version."""
    assert [(kind.name, int(kind)) for kind in Kind] == [
        ("BODY", 1), ("ACCEPT", 2), ("INTENT", 3), ("RESULT", 4), ("DONE", 5), ("ADOPT", 6), ("CLOCK", 7), ("MOVED", 8),
        ("GOODBYE", 9), ("CONFIRMED", 10),
    ]  # fmt: skip
    header, payload, check = encode_record(0x1234, 5, Kind.BODY, 0xAABBCCDD, b"hello")
    assert header[:22] == RECORD_MAGIC + struct.pack(">IBBQI", 5, 1, 0, 5, 0xAABBCCDD)
    assert (header[22:].hex(), payload, check.hex()) == ("dfcb9bb7", b"hello", "65ecb456" + "00" * 12)
    assert encode_header(HEADER)[:8] == b"\x89PAQSEG\n"


@given(st.text("0123456789abcdef-", min_size=1, max_size=64), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_an_owner_block_is_read_back(name: str, epoch: int, beat: int) -> None:
    owner = Owner(name, epoch, True, beat)
    assert decode_owner(encode_claim(owner) + encode_beat(beat, goodbye=True).ljust(2048, b"\0")) == owner


DECODERS: tuple[Callable[[bytes], object], ...] = (
    records.decode_accepted, records.decode_results, records.decode_intended, records.decode_adopted,
    records.decode_confirmed,
)  # fmt: skip


@given(st.binary(max_size=200))
def test_payloads_from_a_damaged_volume_are_refused_or_typed(data: bytes) -> None:
    for decode in DECODERS:
        try:
            decode(data)
        except ValueError:
            continue
