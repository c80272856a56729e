"""Read a segment from its start to its last valid record; find the next one behind damage.

Sizes on disk are never believed: a length is used only after its header's CRC was right, and it is bounded. Reads are
windowed, so a segment of any size costs about 1 MiB of memory and its largest record.
"""

import os
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

from paquebot_mta.spool.disk import Disk
from paquebot_mta.spool.format import (
    CHECK_BYTES,
    HEADER_BYTES,
    RECORD_HEADER_BYTES,
    RECORD_MAGIC,
    RecordHead,
    SegmentHeader,
    decode_header,
    decode_record_head,
)
from paquebot_mta.spool.packing import unpack
from paquebot_mta.spool.seal import Seal

_WINDOW_BYTES: Final = 1024 * 1024
_SECTOR_BYTES: Final = 512
"""What a volume writes whole or not at all."""
_PADDING_BYTES: Final = 12
"""Zeros that end a record that isn't sealed."""


class Record(NamedTuple):
    """A valid record and where it is; ``end`` is the position behind it; ``payload`` is opened, but still packed."""

    kind: int
    flags: int
    seq: int
    msgid: int
    start: int
    end: int
    payload: bytes

    def plain(self) -> bytes:
        """What was written.

        Raises:
            ValueError: nobody packed it like that.
        """
        return unpack(self.kind, self.flags, self.payload)


class Damage(NamedTuple):
    """Bytes that are no record. ``torn``: what was being written as its writer died, so nobody was told of it.

    That is so if nothing valid follows, and a part of what was begun never came to the volume, or nothing was begun. A
    last record that is all there and still wrong is none of these: it may have been acknowledged.
    """

    start: int
    end: int
    torn: bool


class Window:
    """A file through a sliding buffer."""

    def __init__(self, disk: Disk, fd: int) -> None:
        """Start without a buffer; the size is taken once."""
        self._disk = disk
        self._fd = fd
        self._start = 0
        self._data = b""
        self.size = disk.size(fd)

    def get(self, start: int, length: int) -> bytes:
        """Read at a position; shorter at the end of the file."""
        inside = start - self._start
        if inside < 0 or inside + length > len(self._data):
            self._fill(start, max(length, _WINDOW_BYTES))
            inside = 0
        return self._data[inside : inside + length]

    def _fill(self, start: int, length: int) -> None:
        parts, position = [], start
        while position < start + length:
            part = self._disk.read(self._fd, start + length - position, position)
            if not part:
                break
            parts.append(part)
            position += len(part)
        self._start, self._data = start, b"".join(parts)

    def find(self, needle: bytes, start: int) -> int:
        """Position of the next occurrence, -1 if there is none.

        What was read is searched first: content that is full of needles must not cost a read for each of them.
        """
        while start < self.size:
            inside = start - self._start
            if not 0 <= inside <= len(self._data) - len(needle):
                self._fill(start, _WINDOW_BYTES)
                inside = 0
            if (found := self._data.find(needle, inside)) >= 0:
                return self._start + found
            if len(self._data) < len(needle):
                return -1
            start = self._start + len(self._data) - len(needle) + 1
        return -1

    def blank(self, start: int) -> bool:
        """Whether only zeros follow: the rest of a preallocation."""
        while start < self.size and (block := self.get(start, _WINDOW_BYTES)):
            if block.count(0) != len(block):
                return False
            start += len(block)
        return True


def read_header(disk: Disk, path: str) -> SegmentHeader | None:
    """Read a segment's header; None if both copies are damaged.

    Raises:
        OSError: the file can't be read.
    """
    fd = disk.open(path, os.O_RDONLY)
    try:
        return decode_header(disk.read(fd, HEADER_BYTES, 0))
    finally:
        disk.close(fd)


def scan(disk: Disk, path: str, seal: Seal, start: int = HEADER_BYTES) -> Iterator[Record | Damage]:
    """Yield every record and every damaged stretch from a record's place on, in order.

    Raises:
        OSError: the file can't be read.
    """
    fd = disk.open(path, os.O_RDONLY)
    try:
        yield from _scan(Window(disk, fd), seal, start)
    finally:
        disk.close(fd)


def _scan(window: Window, seal: Seal, position: int) -> Iterator[Record | Damage]:
    while position < window.size:
        record = record_at(window, seal, position)
        if record is not None:
            yield record
            position = record.end
            continue
        following = _resync(window, seal, position)
        if following is None:
            if not window.blank(position):
                yield Damage(position, window.size, torn=_is_torn(window, seal, position))
            return
        yield Damage(position, following, torn=False)
        position = following


def _is_torn(window: Window, seal: Seal, position: int) -> bool:
    """Whether what begins behind the last valid record was never written to its end."""
    fields = window.get(position, RECORD_HEADER_BYTES)
    head = decode_record_head(seal.seed, fields)
    if head is None:
        is_cut = len(fields) < RECORD_HEADER_BYTES
        return is_cut or not _was_head(seal, fields) or _lacks_sector(fields, position)
    length = RECORD_HEADER_BYTES + head.length + CHECK_BYTES
    if position + length > window.size:
        return True
    data = window.get(position, length)
    return not any(data[-CHECK_BYTES:]) or _lacks_sector(data[:-_PADDING_BYTES], position)


def _was_head(seal: Seal, fields: bytes) -> bool:
    """Whether this is a record's header of which at most a few bytes in one place are wrong."""
    magic = len(RECORD_MAGIC)
    return fields[:magic] == RECORD_MAGIC or decode_record_head(seal.seed, RECORD_MAGIC + fields[magic:]) is not None


def _lacks_sector(data: bytes, position: int) -> bool:
    """Whether a sector of what stands at a position was never written: it still reads as zeros."""
    sectors = range(-position % _SECTOR_BYTES, len(data), _SECTOR_BYTES)
    return any(not any(data[at : at + _SECTOR_BYTES]) for at in sectors)


def _resync(window: Window, seal: Seal, position: int) -> int | None:
    """Find the next valid record behind a position."""
    found = position
    while (found := window.find(RECORD_MAGIC, found + 1)) >= 0:
        if record_at(window, seal, found) is not None:
            return found
    return None


def record_at(window: Window, seal: Seal, position: int) -> Record | None:
    """Read and verify the record at a position; None if there is none."""
    head = decode_record_head(seal.seed, window.get(position, RECORD_HEADER_BYTES))
    if head is None or position + RECORD_HEADER_BYTES + head.length + CHECK_BYTES > window.size:
        return None
    data = window.get(position, RECORD_HEADER_BYTES + head.length + CHECK_BYTES)
    return _verified(head, data, seal, position)


def _verified(head: RecordHead, data: bytes, seal: Seal, position: int) -> Record | None:
    payload = seal.open(head, position, data[:RECORD_HEADER_BYTES], data[RECORD_HEADER_BYTES:])
    if payload is None:
        return None
    return Record(head.kind, head.flags, head.seq, head.msgid, position, position + len(data), payload)


def split_records(data: bytes, seal: Seal, position: int, most: int = sys.maxsize) -> list[Record]:
    """Read the whole records at the beginning of a stretch read in one go, at most so many.

    Raises:
        ValueError: it does not begin with valid records only.
    """
    at, records = 0, list[Record]()
    while len(records) < most and at + RECORD_HEADER_BYTES <= len(data):
        head = decode_record_head(seal.seed, data[at : at + RECORD_HEADER_BYTES])
        end = at + RECORD_HEADER_BYTES + head.length + CHECK_BYTES if head else 0
        if end > len(data):
            break
        record = _verified(head, data[at:end], seal, position + at) if head else None
        if record is None:
            raise ValueError(f"damaged record at {position + at}")
        records.append(record)
        at = end
    return records
