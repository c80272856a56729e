"""The last record of a file: torn if it never came to the volume whole, damaged if it did and is wrong all the same."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from paquebot_mta.spool.format import HEADER_BYTES, Kind, encode_header
from paquebot_mta.spool.scan import Damage, scan
from paquebot_mta.spool.seal import Seal
from paquebot_mta.telemetry.events import Notice
from tests.fuzz.volume import HEADER, SEALER, MemoryVolume
from tests.mta.spool.support import journal, segments, store, until


@pytest.mark.parametrize("size", [100, 400_000])
@pytest.mark.parametrize("crash", [True, False])
async def test_damage_of_a_files_last_record_is_put_aside_and_counted(tmp_path: Path, size: int, crash: bool) -> None:
    notices: list[Notice] = []
    async with journal(tmp_path, crash=crash) as spool:
        await store(spool, b"x" * size)
    damaged = max(segments(tmp_path), key=lambda path: path.stat().st_size)
    damaged.write_bytes(damaged.read_bytes().replace(b"sender@", b"sende\0@"))
    async with journal(tmp_path, notice=notices.append) as after:
        assert (after.stats().messages, after.stats().corrupt) == (0, 1)
        await until(lambda: not damaged.exists(), "nothing of it is live")
    (kept,) = (tmp_path / "v1/corrupt").iterdir()
    assert b"sende\0@" in kept.read_bytes()
    assert [notice.details["corrupt"] for notice in notices if notice.event == "queue.opened"] == [1]


def tail(spoil: bytes, *, sealed: bool = False, padding: int = 0) -> Sequence[Damage]:
    """Write a record, then another one of 2,000 bytes that is spoilt: ``spoil`` tells what stays of each byte."""
    header, seal = SEALER.seal(HEADER) if sealed else (HEADER, Seal(HEADER.seed))
    data = encode_header(header) + b"".join(seal.encode(HEADER_BYTES, 0, Kind.BODY, 1, b"x" * padding, 0))
    last = b"".join(seal.encode(len(data), 1, Kind.ACCEPT, 1, b"y" * 2_000, 0))
    spoilt = bytes(byte & mask for byte, mask in zip(last, spoil.ljust(len(last), b"\xff"), strict=False))
    found = scan(MemoryVolume(data + spoilt), "/pods/x/seg", seal)
    return [item for item in found if isinstance(item, Damage)]


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("padding", range(0, 1_100, 37))
def test_a_sector_that_was_never_written_makes_a_torn_tail(sealed: bool, padding: int) -> None:
    start = HEADER_BYTES + 42 + padding
    for sector in range(-start % 512, 2_000, 512):
        for damage in tail(b"\xff" * sector + bytes(512), sealed=sealed, padding=padding):
            assert damage.torn, sector


@pytest.mark.parametrize("sealed", [False, True])
def test_a_wrong_byte_makes_none(sealed: bool) -> None:
    for at in [*range(26), *range(26, 2_026, 97), 2_026, 2_027]:
        for damage in tail(b"\xff" * at + b"\0", sealed=sealed):
            assert not damage.torn, at


def test_what_was_not_begun_makes_a_torn_tail() -> None:
    (damage,) = tail(b"\x55" * 26)
    assert damage.torn
