"""Reading messages back from segments, each record verified before any of it is given out. All of it blocks."""

import os
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from paquebot_mta.spool.disk import Disk
from paquebot_mta.spool.format import BODY_BYTES, OVERHEAD_BYTES, Kind
from paquebot_mta.spool.index import Entry
from paquebot_mta.spool.records import Accepted, decode_accepted
from paquebot_mta.spool.scan import Record, split_records
from paquebot_mta.spool.seal import Seal

_RECORDS_AT_ONCE: Final = 4
_WINDOW_BYTES: Final = _RECORDS_AT_ONCE * (BODY_BYTES + OVERHEAD_BYTES)


class Stretch(Struct, frozen=True):
    """Some bytes of a segment that hold whole records of one message."""

    path: str
    seal: Seal
    start: int
    length: int
    msgid: int


class Part(NamedTuple):
    """Some chunks of content, and where the next ones are; ``rest`` of length 0 is the end."""

    chunks: list[bytes]
    rest: Stretch


class DamagedError(Exception):
    """A stretch does not hold what was written there; ``data`` is what it holds."""

    def __init__(self, stretch: Stretch, data: bytes) -> None:
        """Keep the evidence."""
        super().__init__(f"damaged record in {stretch.path} at {stretch.start}")
        self.stretch = stretch
        self.data = data


def body_stretch(entry: Entry, msgid: int) -> Stretch:
    """Where a message's content is."""
    segment = entry.segment
    return Stretch(segment.path, segment.seal, entry.start, entry.body_bytes, msgid)


def accept_stretch(entry: Entry, msgid: int) -> Stretch:
    """Where a message's envelopes are."""
    segment = entry.segment
    return Stretch(segment.path, segment.seal, entry.start + entry.body_bytes, entry.accept_bytes, msgid)


def read_body(disk: Disk, stretch: Stretch) -> Part:
    """Read the next content of a stretch, chunks of at most 64 KiB.

    Chunks stay the same when their message is copied to another place, whatever bytes they take there.

    Raises:
        DamagedError: it is not what was written.
        OSError: it can't be read.
    """
    window = Stretch(stretch.path, stretch.seal, stretch.start, min(stretch.length, _WINDOW_BYTES), stretch.msgid)
    data = _read(disk, window)
    records = _records(window, data, (Kind.BODY,), _RECORDS_AT_ONCE)
    end = records[-1].end
    rest = Stretch(stretch.path, stretch.seal, end, stretch.start + stretch.length - end, stretch.msgid)
    return Part([_plain(window, record, data) for record in records], rest)


def whole_body(disk: Disk, stretch: Stretch) -> Iterator[bytes]:
    """Read all content of a stretch, chunk by chunk.

    Raises:
        DamagedError: it is not what was written.
        OSError: it can't be read.
    """
    while stretch.length:
        chunks, stretch = read_body(disk, stretch)
        yield from chunks


def read_accepted(disk: Disk, stretch: Stretch) -> Accepted:
    """Read a message's envelopes.

    Raises:
        DamagedError: they are not what was written.
        OSError: they can't be read.
    """
    data = _read(disk, stretch)
    record = _records(stretch, data, (Kind.ACCEPT, Kind.MOVED), 1)[0]
    if record.end - record.start != stretch.length:
        raise DamagedError(stretch, data)
    try:
        return decode_accepted(_plain(stretch, record, data))
    except msgspec.DecodeError as error:
        raise DamagedError(stretch, data) from error


def _records(stretch: Stretch, data: bytes, kinds: Sequence[Kind], most: int) -> list[Record]:
    """At least one."""
    try:
        records = split_records(data, stretch.seal, stretch.start, most)
    except ValueError as error:
        raise DamagedError(stretch, data) from error
    if not records or any(r.kind not in kinds or r.msgid != stretch.msgid for r in records):
        raise DamagedError(stretch, data)
    return records


def _plain(stretch: Stretch, record: Record, data: bytes) -> bytes:
    try:
        return record.plain()
    except ValueError as error:
        raise DamagedError(stretch, data) from error


def _read(disk: Disk, stretch: Stretch) -> bytes:
    parts, done = [], 0
    fd = disk.open(stretch.path, os.O_RDONLY)
    try:
        while done < stretch.length:
            part = disk.read(fd, stretch.length - done, stretch.start + done)
            if not part:
                break
            parts.append(part)
            done += len(part)
    finally:
        disk.close(fd)
    return b"".join(parts)
