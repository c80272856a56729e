"""What new segments are sealed and packed with, and what opens those that are there. Replaced while all runs.

Any thread may ask; what was replaced is seen by the next question. It knows no disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from paquebot_mta.config.key_ring import RingKey, parse_key_ring
from paquebot_mta.config.service import Queue
from paquebot_mta.spool.format import VERSION, Kind, SegmentHeader
from paquebot_mta.spool.keys import KeyRing, stretch
from paquebot_mta.spool.packing import Compression, Packer, Packing
from paquebot_mta.spool.seal import Seal, make_seal, open_seal


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the configuration says."""

    entries: Sequence[RingKey] = ()
    compression: Compression = "None"


def wanted_of(queue: Queue) -> Wanted:
    """Read what a queue's configuration wants.

    Raises:
        ValueError: its key ring is none.
    """
    return Wanted(parse_key_ring(queue.key_ring) if queue.key_ring else (), queue.compression)


class Sealer:
    """Seals, opens and packs by what is wanted now.

    Attributes:
        packs: whether payloads are compressed now.
    """

    def __init__(self, wanted: Wanted | None = None) -> None:
        """Nothing is sealed before ``bind``, for keys may depend on the volume."""
        self._wanted = wanted or Wanted()
        self._volume_id = ""
        self.ring = KeyRing()
        self.packer = Packer(self._wanted.compression)
        self.packs = self._packs = self.packer.packing != Packing.PLAIN

    def bind(self, volume_id: str) -> None:
        """Make the keys, for a volume. Blocks for passphrases."""
        self._volume_id = volume_id
        self.ring = stretch(self._wanted.entries, volume_id, self.ring)

    def replace(self, wanted: Wanted) -> None:
        """Want something else from now on. Blocks for new passphrases."""
        ring, packer = stretch(wanted.entries, self._volume_id, self.ring), Packer(wanted.compression)
        # What was packed is still on its way when packing ends: segments that may hold it go on for the process's life.
        self._packs = self._packs or packer.packing != Packing.PLAIN
        self._wanted, self.ring, self.packer = wanted, ring, packer
        self.packs = packer.packing != Packing.PLAIN

    def seal(self, header: SegmentHeader) -> tuple[SegmentHeader, Seal]:
        """Complete the header of a new segment."""
        if self._packs:
            header = replace(header, version=VERSION, compression=int(self.packer.packing))
        return make_seal(header, self.ring, header.created_at)

    def open(self, header: SegmentHeader) -> Seal:
        """Make the seal of a segment that is there.

        Raises:
            MissingKeyError: the ring has no such key.
        """
        return open_seal(header, self.ring)

    def fits(self, seal: Seal, now: float) -> bool:
        """Whether a segment is sealed as a new one would be at this time."""
        key = self.ring.writer(now)
        return seal.kid == (key.kid if key else 0) and (seal.packs or not self._packs)

    def replaces(self, kid: int, now: float) -> bool:
        """Whether something sealed by this key (0: not at all) would be sealed by another one now."""
        key = self.ring.writer(now)
        return key is not None and key.kid != kid

    def pack(self, kind: Kind, payload: bytes) -> tuple[bytes, Packing]:
        """Compress a payload if that is wanted and worth it."""
        return self.packer.pack(kind, payload)
