"""Packed records: smaller or left alone, and nothing that says it is packed uses more memory than it may."""

import gzip
import random
import resource
import struct
import tracemalloc

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.spool.format import BODY_BYTES, MAX_PAYLOAD_BYTES, Kind
from paquebot_mta.spool.packing import Compression, Packer, Packing, unpack

WAYS: list[Compression] = ["Zstd", "Gzip"]
PACKINGS = [Packing.ZSTD, Packing.GZIP]


def pressed(packing: Packing, data: bytes) -> bytes:
    return zstd.compress(data) if packing == Packing.ZSTD else gzip.compress(data)


def claim(size: int, data: bytes) -> bytes:
    return struct.pack(">I", size) + data


@pytest.mark.parametrize("way", WAYS)
@given(
    payload=st.one_of(st.binary(max_size=2_000), st.binary(max_size=20).map(lambda part: (part * 4_000)[:BODY_BYTES]))
)
def test_what_is_packed_comes_back(way: Compression, payload: bytes) -> None:
    packed, packing = Packer(way).pack(Kind.BODY, payload)
    assert unpack(Kind.BODY, packing, packed) == payload
    assert len(packed) < len(payload) or (packed, packing) == (payload, Packing.PLAIN)


@pytest.mark.parametrize("way", WAYS)
def test_only_what_gets_smaller_is_packed(way: Compression) -> None:
    packer = Packer(way)
    assert packer.pack(Kind.BODY, b"x" * 10_000)[1] != Packing.PLAIN
    for payload in (b"", b"x" * 100, random.Random(1).randbytes(BODY_BYTES)):
        assert packer.pack(Kind.BODY, payload) == (payload, Packing.PLAIN)
    assert packer.pack(Kind.RESULT, b"x" * 10_000) == (b"x" * 10_000, Packing.PLAIN)


def test_without_compression_nothing_is_packed() -> None:
    assert Packer("None").pack(Kind.BODY, bytes(BODY_BYTES)) == (bytes(BODY_BYTES), Packing.PLAIN)


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_size_that_lies_is_refused(packing: Packing) -> None:
    data = pressed(packing, b"hello")
    assert unpack(Kind.BODY, packing, claim(5, data)) == b"hello"
    for size in (0, 4, 6, BODY_BYTES, BODY_BYTES + 1, 2**32 - 1):
        with pytest.raises(ValueError, match="packed record"):
            unpack(Kind.BODY, packing, claim(size, data))


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("kind", [Kind.BODY, Kind.ACCEPT])
def test_a_bomb_is_given_up_at_its_bound(packing: Packing, kind: Kind) -> None:
    bomb = pressed(packing, bytes(200 * 1024 * 1024 if packing == Packing.ZSTD else 40 * 1024 * 1024))
    most = BODY_BYTES if kind == Kind.BODY else MAX_PAYLOAD_BYTES
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    with pytest.raises(ValueError, match="packed record"):
        unpack(kind, packing, claim(most, bomb))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * most + 1_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # KiB


@pytest.mark.parametrize("packing", PACKINGS)
def test_what_follows_or_is_cut_off_is_refused(packing: Packing) -> None:
    data = pressed(packing, b"hello" * 100)
    for changed in (data + b"x", data + data, data[:-1], data[:5], b""):
        with pytest.raises(ValueError, match="packed record"):
            unpack(Kind.BODY, packing, claim(500, changed))


@given(flags=st.integers(0, 255), payload=st.binary(max_size=200))
def test_anything_else_is_refused_or_bounded(flags: int, payload: bytes) -> None:
    try:
        assert len(unpack(Kind.BODY, flags, payload)) <= max(BODY_BYTES, len(payload))
    except ValueError:
        return


def test_a_window_that_wants_much_memory_is_refused() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    compressor = zstd.ZstdCompressor(options=options)
    data = compressor.compress(bytes(1_000)) + compressor.flush()
    with pytest.raises(ValueError, match="packed record"):
        unpack(Kind.BODY, Packing.ZSTD, claim(1_000, data))
