"""A volume of one segment in memory that counts what is asked of it."""

import errno
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from mmap import mmap
from typing import Final, NamedTuple

from paquebot_mta.config.key_ring import RingKey
from paquebot_mta.spool.disk import RealDisk
from paquebot_mta.spool.format import HEADER_BYTES, MAX_PAYLOAD_BYTES, SegmentHeader, encode_header
from paquebot_mta.spool.layout import segment_name
from paquebot_mta.spool.seal import Seal
from paquebot_mta.spool.sealer import Sealer, Wanted
from tests.fuzz.material import Material

INCARNATION: Final = "00000000000000aa-fuzz"
SALT: Final = bytes(range(32))
HEADER: Final = SegmentHeader(1, INCARNATION, SALT, 1_800_000_000.0)
KEY: Final = RingKey(id=1, created_at=datetime(2026, 11, 1, tzinfo=UTC), key=bytes(range(32)))
SEALER: Final = Sealer(Wanted((KEY,), "Zstd"))
SEALER.bind("volume")
_WINDOW_BYTES: Final = 1 << 20


class MemoryVolume(RealDisk):
    """Holds ``/pods/<incarnation>/seg-…1.q``; what is put into quarantine is kept beside it."""

    def __init__(self, segment: bytes) -> None:
        self.segment = segment
        self.quarantined: dict[str, bytes] = {}
        self.reads = 0
        self._names: dict[int, str] = {}

    def open(self, path: str, flags: int) -> int:
        fd = len(self._names) + 3
        self._names[fd] = path
        if flags & os.O_CREAT:
            self.quarantined[path] = b""
        return fd

    def close(self, fd: int) -> None:
        assert self._names[fd]

    def read(self, fd: int, length: int, offset: int) -> bytes:
        self.reads += 1
        assert length <= MAX_PAYLOAD_BYTES + _WINDOW_BYTES, "reads what a size on the volume says"
        if offset < 0:
            raise OSError(errno.EINVAL, "negative offset")
        return self.segment[offset : offset + length]

    def write(self, fd: int, data: bytes | memoryview | mmap, offset: int) -> int:
        self.quarantined[self._names[fd]] += bytes(data)
        return len(data)

    def sync(self, fd: int) -> None:
        pass

    def size(self, fd: int) -> int:
        return len(self.segment)

    def names(self, path: str) -> Sequence[str]:
        return [segment_name(1)]


class Made(NamedTuple):
    """A segment, what opens it, and how many records it was made of."""

    data: bytes
    seal: Seal
    records: int


def make_segment(source: Material) -> Made:
    """Make a segment of records with valid checks and payloads as they come, sealed or not; then damage it."""
    damage, at, value, number = source.byte(), source.word(), source.byte(), 0
    header, seal = SEALER.seal(HEADER) if damage & 16 else (HEADER, Seal(HEADER.seed))
    segment = bytearray(encode_header(header))
    while source.left:
        kind, msgid, length = source.byte(), source.byte(), source.word()
        payload, flags = source.take(length % 1_024), length >> 13
        segment += b"".join(seal.encode(len(segment), number, kind, msgid, payload, flags))
        number += 1
    if damage & 1:
        place = at if damage & 2 else HEADER_BYTES + at
        segment[place % len(segment)] ^= value
    if damage & 4:
        del segment[len(segment) - at % len(segment) :]
    if damage & 8:
        segment += bytes(value * 16)
    return Made(bytes(segment), seal, number)
