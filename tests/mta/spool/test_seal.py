"""Sealed records: only what was written, where it was written, by who has the key."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from paquebot_mta.config.key_ring import RingKey
from paquebot_mta.spool.disk import RealDisk
from paquebot_mta.spool.format import (
    HEADER_BYTES,
    RECORD_HEADER_BYTES,
    Kind,
    SegmentHeader,
    decode_header,
    encode_header,
)
from paquebot_mta.spool.keys import KeyRing, MissingKeyError, stretch
from paquebot_mta.spool.scan import Damage, Record, scan
from paquebot_mta.spool.seal import MAX_RECORDS, Seal, make_seal, open_seal

VECTORS: Final = Path(__file__).parents[2] / "vectors" / "aes-gcm" / "aes_gcm_test.json"
NOW: Final = 1_800_000_000.0
HEADER: Final = SegmentHeader(7, "0123456789abcdef-mx-0", bytes(range(32)), NOW)
FRAMES: Final = [
    (Kind.BODY, 1, b"first"),
    (Kind.ACCEPT, 1, b"second"),
    (Kind.BODY, 2, b"third"),
    (Kind.ACCEPT, 2, b"4"),
]


def ring(*kids: int, fill: int = 1) -> KeyRing:
    entries = [
        RingKey(
            id=kid,
            created_at=datetime(2026, 11, kid, tzinfo=UTC),
            key=bytes((fill + kid + at) % 256 for at in range(32)),
        )
        for kid in kids
    ]
    return stretch(entries, "volume", KeyRing())


SEALED, SEAL = make_seal(HEADER, ring(1), NOW)


def spell(seal: Seal, frames: Sequence[tuple[Kind, int, bytes]]) -> list[bytes]:
    position, spelled = HEADER_BYTES, []
    for seq, (kind, msgid, payload) in enumerate(frames):
        spelled.append(b"".join(seal.encode(position, seq, kind, msgid, payload, 0)))
        position += len(spelled[-1])
    return spelled


def read(tmp: Path, records: bytes, seal: Seal = SEAL) -> list[Record | Damage]:
    path = tmp / f"segment-{os.urandom(4).hex()}"
    path.write_bytes(encode_header(SEALED) + records)
    return list(scan(RealDisk(), str(path), seal))


def payloads(items: Sequence[Record | Damage]) -> list[bytes]:
    return [item.payload for item in items if isinstance(item, Record)]


@given(
    frames=st.lists(
        st.tuples(st.sampled_from(list(Kind)), st.integers(0, 2**32 - 1), st.binary(max_size=300)), max_size=6
    )
)
def test_what_is_sealed_is_opened(
    tmp_path_factory: pytest.TempPathFactory, frames: list[tuple[Kind, int, bytes]]
) -> None:
    items = read(tmp_path_factory.mktemp("s"), b"".join(spell(SEAL, frames)))
    assert [(item.kind, item.msgid, item.payload) for item in items if isinstance(item, Record)] == frames
    assert not any(isinstance(item, Damage) for item in items)


@given(at=st.integers(0, sum(map(len, spell(SEAL, FRAMES))) - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_harms_its_record_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int
) -> None:
    spelled = spell(SEAL, FRAMES)
    data = bytearray(b"".join(spelled))
    data[at] ^= 1 << bit
    hit = next(n for n in range(len(spelled)) if at < sum(map(len, spelled[: n + 1])))
    expected = [payload for n, (_, _, payload) in enumerate(FRAMES) if n != hit]
    assert payloads(read(tmp_path_factory.mktemp("s"), bytes(data))) == expected


@given(order=st.permutations(range(4)))
def test_records_open_at_their_place_only(tmp_path_factory: pytest.TempPathFactory, order: list[int]) -> None:
    spelled = spell(SEAL, FRAMES)
    starts = [sum(map(len, spelled[:n])) for n in range(4)]
    moved = [sum(len(spelled[m]) for m in order[:n]) for n in range(4)]
    kept = [FRAMES[record][2] for n, record in enumerate(order) if moved[n] == starts[record]]
    assert payloads(read(tmp_path_factory.mktemp("s"), b"".join(spelled[n] for n in order))) == kept


def test_a_record_written_twice_counts_once(tmp_path: Path) -> None:
    spelled = spell(SEAL, FRAMES)
    assert payloads(read(tmp_path, b"".join(spelled) + spelled[0])) == [payload for _, _, payload in FRAMES]


@pytest.mark.parametrize(
    "other",
    [
        replace(HEADER, segment_id=8),
        replace(HEADER, incarnation="0123456789abcdef-mx-1"),
        replace(HEADER, salt=bytes(32)),
        replace(HEADER, created_at=NOW + 1),
        replace(HEADER, private=True),
    ],
)
def test_a_record_of_another_segment_is_none_here(tmp_path: Path, other: SegmentHeader) -> None:
    """Even with its header made to fit: the key is another."""
    _, seal = make_seal(other, ring(1), NOW)
    forged = Seal(SEAL.seed)
    forged._aead, forged.kid = seal._aead, 1
    assert payloads(read(tmp_path, spell(forged, FRAMES)[0])) == []


def test_the_head_of_a_record_is_sealed_too(tmp_path: Path) -> None:
    """With a CRC made to fit, which anybody can: type, number, message and length can't be changed."""
    record = spell(SEAL, FRAMES)[0]
    for kind, msgid, seq in ((Kind.ACCEPT, 1, 0), (Kind.BODY, 2, 0), (Kind.BODY, 1, 1)):
        head = SEAL.encode(HEADER_BYTES, seq, kind, msgid, b"first", 0)[0]
        assert payloads(read(tmp_path, head + record[RECORD_HEADER_BYTES:])) == []
    assert payloads(read(tmp_path, record)) == [b"first"]


def test_a_header_that_was_changed_opens_nothing() -> None:
    for changed in (
        replace(SEALED, segment_id=8),
        replace(SEALED, compression=1),
        replace(SEALED, key_check=bytes(16)),
    ):
        with pytest.raises(MissingKeyError):
            open_seal(changed, ring(1))
    assert open_seal(SEALED, ring(1)).kid == 1


def test_a_wrong_key_is_told_from_damage() -> None:
    for wrong in (KeyRing(), ring(2), ring(1, fill=2)):
        with pytest.raises(MissingKeyError) as caught:
            open_seal(SEALED, wrong)
        assert caught.value.kid == 1


def test_a_sealed_header_is_read_back_in_spite_of_any_damaged_byte() -> None:
    spelled = encode_header(SEALED)
    assert SEALED.readable
    assert len(spelled) == HEADER_BYTES
    for at in range(0, HEADER_BYTES, 3):
        damaged = bytearray(spelled)
        damaged[at] ^= 0x55
        assert decode_header(bytes(damaged)) == SEALED


def test_a_later_version_or_checksum_is_not_readable() -> None:
    for later in (
        replace(SEALED, version=3),
        replace(SEALED, checksum=3),
        replace(SEALED, kid=0),
        replace(HEADER, kid=1),
    ):
        assert not later.readable


def test_equal_payloads_are_never_sealed_alike() -> None:
    seen = {b"".join(SEAL.encode(HEADER_BYTES, seq, Kind.BODY, 1, bytes(64), 0)[1:]) for seq in range(100)}
    seen |= {
        make_seal(replace(HEADER, salt=bytes([n]) * 32), ring(1), NOW)[1].encode(0, 0, 1, 1, bytes(64), 0)[1]
        for n in range(9)
    }
    assert len(seen) == 109


def test_a_segment_never_runs_out_of_nonces() -> None:
    with pytest.raises(OSError, match="too many"):
        SEAL.encode(HEADER_BYTES, MAX_RECORDS, Kind.BODY, 1, b"", 0)


def test_the_sealed_format_has_not_changed() -> None:
    """These bytes lie on volumes: a change of any of them needs a new version."""
    assert SEALED.key_check.hex() == "5784be4c669a58632a414ac62e49cc75"
    assert (
        b"".join(SEAL.encode(HEADER_BYTES, 5, Kind.BODY, 0xAABBCCDD, b"hello", 1)).hex()
        == "b550711e0000000501010000000000000005aabbccdd33266cc705e6e2713c0d32464ca8ade37341de8581b0cbad84"
    )


def test_a_passphrase_is_stretched_as_ever() -> None:
    phrase = RingKey(id=3, created_at=datetime(2026, 11, 1, tzinfo=UTC), passphrase="correct horse battery staple")
    first = stretch([phrase], "volume", KeyRing())
    assert first.keys[0].secret.hex() == "44e890f9027edcc5fcd9572a5b04650ce67cd70a130d258c09584be4c187394d"
    assert stretch([phrase], "volume", first).keys[0] is first.keys[0]


def test_wycheproof_s_vectors_hold() -> None:
    """All with 256-bit keys and the tags that we use; those of nonces that the library refuses are refused."""
    groups = json.loads(VECTORS.read_text())["testGroups"]
    tests = [test for group in groups if (group["keySize"], group["tagSize"]) == (256, 128) for test in group["tests"]]
    assert len(tests) > 100
    for test in tests:
        key, nonce, aad, plain, sealed, tag = (bytes.fromhex(test[n]) for n in ("key", "iv", "aad", "msg", "ct", "tag"))
        if test["result"] == "valid" and 8 <= len(nonce) <= 128:
            assert AESGCM(key).encrypt(nonce, plain, aad) == sealed + tag
            assert AESGCM(key).decrypt(nonce, sealed + tag, aad) == plain
        elif test["result"] == "invalid":
            with pytest.raises((InvalidTag, ValueError)):
                AESGCM(key).decrypt(nonce, sealed + tag, aad)
