"""A volume of one segment in memory that counts what is asked of it."""

import errno
import os
from collections.abc import Sequence
from mmap import mmap
from typing import Final

from paquebot_mta.spool.disk import RealDisk
from paquebot_mta.spool.format import HEADER_BYTES, MAX_PAYLOAD_BYTES, SegmentHeader, encode_header, encode_record
from paquebot_mta.spool.layout import segment_name
from tests.fuzz.material import Material

INCARNATION: Final = "00000000000000aa-fuzz"
SALT: Final = bytes(range(32))
HEADER: Final = SegmentHeader(1, INCARNATION, SALT, 1_800_000_000.0)
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


def make_segment(source: Material) -> tuple[bytes, int]:
    """Make a segment of records with valid checks and payloads as they come, then damage it; and count its records."""
    damage, at, value, number = source.byte(), source.word(), source.byte(), 0
    segment = bytearray(encode_header(HEADER))
    while source.left:
        kind, msgid, length = source.byte(), source.byte(), source.word() % 1_024
        segment += b"".join(encode_record(HEADER.seed, number, kind, msgid, source.take(length)))
        number += 1
    if damage & 1:
        place = at if damage & 2 else HEADER_BYTES + at
        segment[place % len(segment)] ^= value
    if damage & 4:
        del segment[len(segment) - at % len(segment) :]
    if damage & 8:
        segment += bytes(value * 16)
    return bytes(segment), number
