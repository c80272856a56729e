"""Segments and the directories that hold them, as the spool keeps track of them; and the writer of one segment."""

import itertools
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from paquebot_mta.mail.ids import Msgid, RandomBits
from paquebot_mta.spool.disk import Disk, write_all
from paquebot_mta.spool.format import HEADER_BYTES, OVERHEAD_BYTES, Kind, SegmentHeader, encode_header
from paquebot_mta.spool.layout import segment_name
from paquebot_mta.spool.packing import Packing
from paquebot_mta.spool.seal import NO_SEAL, Seal
from paquebot_mta.spool.sealer import Sealer

if TYPE_CHECKING:
    from paquebot_mta.spool.replay import Found

NO_MESSAGE: Final = 0


class NewRecord(NamedTuple):
    """A record to be appended; ``msgid`` as a number (0: none), ``payload`` packed as it says."""

    kind: Kind
    msgid: int
    payload: bytes
    packing: Packing = Packing.PLAIN


@dataclass(eq=False, repr=False, slots=True)
class Home:
    """The directory of an incarnation: our own, or one that we adopted.

    Attributes:
        lock_fd: the descriptor that holds its lock, of our own one.
        proven: its writer is known to have ended, and all that it wrote is seen: nothing is appended any more.
        guarded_until: of one that isn't proven: no segment is removed before (monotonic seconds).
        rescan_at: when to look for late records of one that isn't proven (monotonic seconds); ``rescans``: so far.
        last_beat_at: when its owner was seen alive last (monotonic seconds), until its first delivery was reported.
        confirmed: ids that CONFIRMED names, and where, as long as an ACCEPT of theirs may yet be found;
            ``unconfirmed``: messages that are left, as long as that record may yet be found (see ``together``).
        unlisted: nobody knows what is in it, as it could not be listed so far.
        kin: those that were taken over with it, itself too, while something of one of them is unread (see ``reread``).
    """

    incarnation: str
    path: str
    own: bool
    lock_fd: int = -1
    proven: bool = True
    guarded_until: float = 0.0
    rescan_at: float = 0.0
    rescans: int = 0
    last_beat_at: float | None = None
    segments: dict[int, "Segment"] = field(default_factory=dict)
    confirmed: dict[Msgid, "Segment"] = field(default_factory=dict)
    unconfirmed: dict[Msgid, "Found"] = field(default_factory=dict)
    unlisted: bool = False
    kin: Sequence["Home"] = ()

    @property
    def unread(self) -> bool:
        """Whether some of it could not be read so far."""
        return self.unlisted or any(segment.unread for segment in tuple(self.segments.values()))

    @property
    def needed(self) -> bool:
        """Whether nothing may be removed: it may tell what of the unread part of its kin was delivered."""
        return self.unread or any(home.unread for home in self.kin)


@dataclass(eq=False, repr=False, slots=True)
class Segment:
    """One file and what of it is still needed.

    Attributes:
        seal: opens its records; ``kid`` of its key, known even while there is no such key.
        end: bytes written.
        live: messages not final whose content lies here; ``live_bytes`` their records.
        pins: segments that must be gone before this one goes: this one holds results about messages in them.
        sealed: nothing is appended any more.
        held: it can't be read, so it stays; ``unread``: for now, as the volume was out of order. It is tried again.
    """

    home: Home
    segment_id: int
    seal: Seal = NO_SEAL
    created_at: float = 0.0
    private: bool = False
    kid: int = 0
    end: int = HEADER_BYTES
    live: int = 0
    live_bytes: int = 0
    pins: set["Segment"] = field(default_factory=set)
    sealed: bool = False
    held: bool = False
    unread: bool = False

    @property
    def path(self) -> str:
        """Path of the file."""
        return f"{self.home.path}/{segment_name(self.segment_id)}"

    def pin(self, segments: Iterable["Segment"]) -> None:
        """Stay until these have gone; one never waits for itself."""
        self.pins.update(segments)
        self.pins.discard(self)


class SegmentFactory:
    """Makes segments in our own directory."""

    def __init__(self, disk: Disk, home: Home, sealer: Sealer, randbits: RandomBits) -> None:
        """Count from 1 in a new directory."""
        self._disk = disk
        self._home = home
        self._sealer = sealer
        self._randbits = randbits
        self._ids = itertools.count(1)

    def make(self, created_at: float, *, private: bool = False, sync: bool = True) -> "SegmentWriter":
        """Create the file with its header; ``sync`` makes file and name durable, else the caller does it in time.

        Raises:
            OSError: it can't be made, or no key may write; nothing is left behind as far as possible.
        """
        salt = self._randbits(256).to_bytes(32, "big")
        header, seal = self._sealer.seal(
            SegmentHeader(next(self._ids), self._home.incarnation, salt, created_at, private)
        )
        segment = Segment(self._home, header.segment_id, seal, created_at, private, header.kid)
        writer = SegmentWriter(self._disk, segment)
        try:
            writer.begin(encode_header(header), sync=sync)
        except OSError:
            writer.remove()
            raise
        return writer

    def fits(self, segment: Segment, now: float) -> bool:
        """Whether a segment is sealed as a new one would be at this time."""
        return self._sealer.fits(segment.seal, now)


class SegmentWriter:
    """Appends to one segment; used by one thread at a time."""

    def __init__(self, disk: Disk, segment: Segment) -> None:
        """Open nothing yet."""
        self.segment = segment
        self._disk = disk
        self._fd = -1
        self._seq = 0
        self._position = HEADER_BYTES
        self._allocated = 0

    def begin(self, header: bytes, *, sync: bool) -> None:
        """Create the file."""
        self._fd = self._disk.open(self.segment.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        write_all(self._disk, self._fd, header, 0)
        if sync:
            self._disk.sync(self._fd)
            self._disk.sync_dir(self.segment.home.path)

    def append(self, records: Sequence[NewRecord], buffers: list[bytes]) -> None:
        """Spell records for the next ``flush``; they get the next numbers, and none is ever used twice.

        Raises:
            OSError: there are no more numbers.
        """
        encode, seq, position = self.segment.seal.encode, self._seq, self._position
        for kind, msgid, payload, packing in records:
            buffers += encode(position, seq, kind, msgid, payload, packing)
            position += OVERHEAD_BYTES + len(payload)
            seq += 1
        self._seq, self._position = seq, position

    def flush(self, buffers: list[bytes]) -> None:
        """Write what was appended.

        Raises:
            OSError: the segment must not be used any more.
        """
        data = b"".join(buffers)
        write_all(self._disk, self._fd, data, self.segment.end)
        self.segment.end += len(data)

    def reserve(self, length: int, step: int) -> None:
        """Preallocate in steps, so that a full volume shows early. What can't be reserved is met when it is written."""
        needed = self.segment.end + length
        if step and needed > self._allocated:
            start = max(self._allocated, HEADER_BYTES)
            grow = -(-(needed - start) // step) * step
            self._allocated = start + grow
            try:
                self._disk.allocate(self._fd, start, grow)
            except OSError:
                return

    def sync(self) -> None:
        """Make everything durable.

        Raises:
            OSError: never sync again, the kernel may have dropped the pages: the segment is lost for writing.
        """
        self._disk.sync(self._fd)

    def seal(self) -> None:
        """Give back what was preallocated and close.

        Raises:
            OSError: some write before may have failed.
        """
        self.segment.sealed = True
        fd, self._fd = self._fd, -1
        try:
            self._disk.truncate(fd, self.segment.end)
        finally:
            self._disk.close(fd)

    def poison(self, end: int) -> None:
        """Give the segment up after an error: nothing behind ``end`` was acknowledged, so it is cut off if possible."""
        self.segment.sealed = True
        self.segment.end = end
        fd, self._fd = self._fd, -1
        with suppress(OSError):  # the volume is out of order: recovery drops what was not acknowledged
            self._disk.truncate(fd, end)
        with suppress(OSError):
            self._disk.close(fd)

    def remove(self) -> None:
        """Throw the file away: nothing in it was acknowledged."""
        self.segment.sealed = True
        fd, self._fd = self._fd, -1
        try:
            if fd >= 0:
                self._disk.close(fd)
            self._disk.unlink(self.segment.path)
        except OSError:
            return  # the next start finds nothing live in it and removes it
