"""Reading messages back from segments, each record verified before any of it is given out. All of it blocks."""

import os
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from paquebot_mta.spool.disk import Disk
from paquebot_mta.spool.format import BODY_BYTES, OVERHEAD_BYTES, Kind
from paquebot_mta.spool.index import Entry
from paquebot_mta.spool.records import Accepted, decode_accepted
from paquebot_mta.spool.scan import split_records

FULL_RECORD_BYTES: Final = BODY_BYTES + OVERHEAD_BYTES
_RECORDS_AT_ONCE: Final = 4


class Stretch(Struct, frozen=True):
    """Some bytes of a segment that hold whole records of one message."""

    path: str
    seed: int
    start: int
    length: int
    msgid: int


class DamagedError(Exception):
    """A stretch does not hold what was written there; ``data`` is what it holds."""

    def __init__(self, stretch: Stretch, data: bytes) -> None:
        """Keep the evidence."""
        super().__init__(f"damaged record in {stretch.path} at {stretch.start}")
        self.stretch = stretch
        self.data = data


def body_stretches(entry: Entry, msgid: int) -> Sequence[Stretch]:
    """Cut a message's content into stretches of at most 256 KiB."""
    segment, step = entry.segment, FULL_RECORD_BYTES * _RECORDS_AT_ONCE
    return [
        Stretch(segment.path, segment.seed, entry.start + at, min(step, entry.body_bytes - at), msgid)
        for at in range(0, entry.body_bytes, step)
    ]


def accept_stretch(entry: Entry, msgid: int) -> Stretch:
    """Where a message's envelopes are."""
    segment = entry.segment
    return Stretch(segment.path, segment.seed, entry.start + entry.body_bytes, entry.accept_bytes, msgid)


def read_body(disk: Disk, stretch: Stretch) -> list[bytes]:
    """Read content, chunks of at most 64 KiB.

    Raises:
        DamagedError: it is not what was written.
        OSError: it can't be read.
    """
    return _payloads(disk, stretch, (Kind.BODY,))


def read_accepted(disk: Disk, stretch: Stretch) -> Accepted:
    """Read a message's envelopes.

    Raises:
        DamagedError: they are not what was written.
        OSError: they can't be read.
    """
    payload = _payloads(disk, stretch, (Kind.ACCEPT, Kind.MOVED))[0]
    try:
        return decode_accepted(payload)
    except msgspec.DecodeError as error:
        raise DamagedError(stretch, payload) from error


def _payloads(disk: Disk, stretch: Stretch, kinds: Sequence[Kind]) -> list[bytes]:
    data = _read(disk, stretch)
    try:
        records = list(split_records(data, stretch.seed, stretch.start))
    except ValueError as error:
        raise DamagedError(stretch, data) from error
    if len(data) != stretch.length or any(r.kind not in kinds or r.msgid != stretch.msgid for r in records):
        raise DamagedError(stretch, data)
    return [record.payload for record in records]


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
