"""The owner block: who may acknowledge and deliver what lies in an incarnation's directory.

Safety by order: the writer appends, syncs, reads this block from the volume and only then acknowledges; an adopter
overwrites the block and only then reads the segments. So whatever was acknowledged is seen by the adopter, however
long a writer was paused, and no clock is part of the argument.

The file has 4,096 bytes, is overwritten in place and never renamed or unlinked while the incarnation has mail::

    0      magic 8s | epoch u64 | owner 64s | CRC-32 u32          overwritten by adopters
    2,048  magic 8s | beat u64 | goodbye u8 | CRC-32 u32          overwritten by the owner while it lives

The two halves are written separately, each by its own writers: the beat or goodbye of a paused owner that wakes up must
not undo an adoption.
"""

import errno
import os
import struct
from mmap import mmap
from threading import Lock
from typing import Final
from zlib import crc32

from msgspec import Struct

from paquebot_mta.spool.disk import Disk, read_file, write_all

BLOCK_BYTES: Final = 4096
_BEAT_AT: Final = 2048
_BEAT_BYTES: Final = 512
_CLAIM: Final = struct.Struct(">8sQ64s")
_BEAT: Final = struct.Struct(">8sQB")
_CRC: Final = struct.Struct(">I")
_CLAIM_MAGIC: Final = b"\x89PAQOWN\n"
_BEAT_MAGIC: Final = b"\x89PAQBEA\n"
_CLAIM_BYTES: Final = _CLAIM.size + _CRC.size


class Owner(Struct, frozen=True):
    """Who owns an incarnation's mail.

    Attributes:
        owner: incarnation, its own name until it is adopted.
        epoch: counts adoptions.
        goodbye: the owner ended by itself.
        beat: counts up while the owner lives.
    """

    owner: str
    epoch: int = 0
    goodbye: bool = False
    beat: int = 0


def encode_claim(owner: Owner) -> bytes:
    """Spell the half that says who owns."""
    fields = _CLAIM.pack(_CLAIM_MAGIC, owner.epoch, owner.owner.encode("ascii"))
    return (fields + _CRC.pack(crc32(fields))).ljust(_BEAT_AT, b"\0")


def encode_beat(beat: int, *, goodbye: bool = False) -> bytes:
    """Spell the half that says that the owner lives, or ended by itself."""
    fields = _BEAT.pack(_BEAT_MAGIC, beat, goodbye)
    return (fields + _CRC.pack(crc32(fields))).ljust(_BEAT_BYTES, b"\0")


def decode_owner(block: bytes) -> Owner | None:
    """Read a block; None if the claim is damaged. A damaged beat reads as 0."""
    fields, crc = block[: _CLAIM.size], block[_CLAIM.size : _CLAIM_BYTES]
    if not fields.startswith(_CLAIM_MAGIC) or crc != _CRC.pack(crc32(fields)):
        return None
    _, epoch, owner = _CLAIM.unpack(fields)
    beat, goodbye = _decode_beat(block)
    return Owner(owner.rstrip(b"\0").decode("ascii", "replace"), epoch, goodbye, beat)


def _decode_beat(block: bytes) -> tuple[int, bool]:
    fields = block[_BEAT_AT : _BEAT_AT + _BEAT.size]
    crc = block[_BEAT_AT + _BEAT.size : _BEAT_AT + _BEAT.size + _CRC.size]
    if crc != _CRC.pack(crc32(fields)):
        return 0, False
    _, beat, goodbye = _BEAT.unpack(fields)
    return beat, bool(goodbye)


def read_owner(disk: Disk, path: str) -> Owner | None:
    """Read the block of another incarnation, past the page cache if possible; None if there is no valid one."""
    try:
        return decode_owner(_read_direct(disk, path) or read_file(disk, path, BLOCK_BYTES))
    except FileNotFoundError:
        return None


def _read_direct(disk: Disk, path: str) -> bytes:
    """Read as the volume has it: a plain open may be served from an old copy (NFS delegations). Empty if refused."""
    try:
        fd = disk.open(path, os.O_RDONLY | os.O_DIRECT)
    except FileNotFoundError:
        raise
    except OSError:
        return b""
    try:
        with mmap(-1, BLOCK_BYTES) as buffer:
            length = disk.read_into(fd, buffer, 0)
            return buffer[:length]
    except OSError:
        return b""
    finally:
        disk.close(fd)


def create_owner(disk: Disk, path: str, owner: Owner, *, goodbye: bool = False) -> None:
    """Write a whole new block and sync it; with ``goodbye`` nobody will ever beat in it."""
    beat = encode_beat(owner.beat, goodbye=goodbye).ljust(BLOCK_BYTES - _BEAT_AT, b"\0")
    fd = disk.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        write_all(disk, fd, encode_claim(owner) + beat, 0)
        disk.sync(fd)
    finally:
        disk.close(fd)


def overwrite_owner(disk: Disk, path: str, owner: Owner) -> None:
    """Take an incarnation over: in place, synced; the beat is left alone."""
    fd = disk.open(path, os.O_WRONLY)
    try:
        write_all(disk, fd, encode_claim(owner), 0)
        disk.sync(fd)
    finally:
        disk.close(fd)


class Ownership:
    """Our own block, through a descriptor that reads from the volume and not from a cache (O_DIRECT where it works)."""

    def __init__(self, disk: Disk, path: str, expected: Owner) -> None:
        """Open it; ``expected`` is what stands there as long as it is ours."""
        self._disk = disk
        self.owner = expected.owner
        self._claim = encode_claim(expected)
        self._beat = expected.beat
        self._path = path
        self._buffer = mmap(-1, BLOCK_BYTES)
        self._beat_buffer = mmap(-1, _BEAT_BYTES)
        self._lock = Lock()
        self._fd = self._open(direct=True)
        self._probe()
        self._identity = disk.identity(self._fd)  # once: asking the kernel in each check would cost each commit a call

    def _open(self, *, direct: bool) -> int:
        if direct:
            try:
                return self._disk.open(self._path, os.O_RDWR | os.O_DIRECT)
            except OSError:
                pass  # the file system has no direct I/O; its page cache is the volume then
        return self._disk.open(self._path, os.O_RDWR)

    def _probe(self) -> None:
        """Fall back to a plain descriptor where direct I/O opens but does not work at these sizes."""
        try:
            self._disk.read_into(self._fd, self._buffer, 0)
            self.beat()
        except OSError:
            self._disk.close(self._fd)
            self._fd = self._open(direct=False)

    def check(self) -> bool:
        """Read the block from the volume: is it still ours?

        A file that was moved or removed still takes and gives everything; only its name shows that nobody will ever
        find it there again.

        Raises:
            OSError: it can't be read or is not in its place, so nothing may be acknowledged.
        """
        with self._lock:
            self._disk.read_into(self._fd, self._buffer, 0)
            ours = self._buffer[:_BEAT_AT] == self._claim
            if ours and not self._disk.is_at(self._path, self._identity):
                raise FileNotFoundError(errno.ENOENT, "the queue's directory was moved or removed")
            return ours

    def beat(self, *, goodbye: bool = False) -> None:
        """Count up, so that watchers see that we live. Not synced: it is no promise.

        Raises:
            OSError: the volume is out of order.
        """
        self._beat += 1
        self._beat_buffer[:] = encode_beat(self._beat, goodbye=goodbye)
        self._disk.write(self._fd, self._beat_buffer, _BEAT_AT)

    def close(self, *, goodbye: bool) -> None:
        """Let go; with ``goodbye`` say that the mail may be adopted at once.

        Raises:
            OSError: the volume is out of order.
        """
        try:
            if goodbye:
                self.beat(goodbye=True)
                self._disk.sync(self._fd)
        finally:
            self._disk.close(self._fd)
