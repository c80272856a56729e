"""The system calls that the spool makes: one place to inject faults, and none of them may run on the event loop."""

import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from mmap import mmap
from typing import Protocol

Identity = tuple[int, int]
"""Device and inode."""


class Disk(Protocol):
    """What is asked of a volume. Every method may block and may raise ``OSError``."""

    def open(self, path: str, flags: int) -> int:
        """Open a file; new files are private to the owner."""

    def close(self, fd: int) -> None:
        """Close; an error here is an error of the writes before."""

    def write(self, fd: int, data: bytes | memoryview | mmap, offset: int) -> int:
        """Write at a position; may write less."""

    def read(self, fd: int, length: int, offset: int) -> bytes:
        """Read at a position; shorter at the end."""

    def read_into(self, fd: int, buffer: mmap, offset: int) -> int:
        """Read into a page-aligned buffer, as O_DIRECT wants it."""

    def sync(self, fd: int) -> None:
        """Make the content durable (fdatasync)."""

    def sync_dir(self, path: str) -> None:
        """Make a directory's names durable."""

    def allocate(self, fd: int, offset: int, length: int) -> None:
        """Reserve blocks; grows the file."""

    def truncate(self, fd: int, length: int) -> None:
        """Cut the file."""

    def size(self, fd: int) -> int:
        """Size in bytes."""

    def link(self, source: str, target: str) -> None:
        """Give a file a second name; fails if the name exists."""

    def rename(self, source: str, target: str) -> None:
        """Move within the volume."""

    def unlink(self, path: str) -> None:
        """Remove a file's name."""

    def mkdir(self, path: str) -> None:
        """Make a directory in one that exists, private to the owner; harmless if it exists.

        Never those above it: a volume that is away is not made anew, which would hinder its return.
        """

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""

    def names(self, path: str) -> Sequence[str]:
        """List a directory, sorted."""

    def exists(self, path: str) -> bool:
        """Tell whether the name exists now; an error of the volume is no answer."""

    def identity(self, fd: int) -> Identity:
        """Say which file is open; nothing else is it as long as it stays open."""

    def is_at(self, path: str, identity: Identity) -> bool:
        """Tell whether the name leads to that file."""

    def modified(self, path: str) -> float:
        """When it was changed last, seconds since 1970 on the volume's clock."""

    def lock(self, fd: int) -> bool:
        """Take the file's exclusive lock without waiting; it is held until the descriptor is closed."""

    def space(self, path: str) -> os.statvfs_result:
        """Blocks and inodes of the volume."""


class RealDisk:
    """The operating system's."""

    def open(self, path: str, flags: int) -> int:
        """See ``Disk``."""
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def close(self, fd: int) -> None:
        """See ``Disk``."""
        os.close(fd)

    def write(self, fd: int, data: bytes | memoryview | mmap, offset: int) -> int:
        """See ``Disk``."""
        return os.pwritev(fd, (data,), offset)

    def read(self, fd: int, length: int, offset: int) -> bytes:
        """See ``Disk``."""
        return os.pread(fd, length, offset)

    def read_into(self, fd: int, buffer: mmap, offset: int) -> int:
        """See ``Disk``."""
        return os.preadv(fd, (buffer,), offset)

    def sync(self, fd: int) -> None:
        """See ``Disk``."""
        os.fdatasync(fd)

    def sync_dir(self, path: str) -> None:
        """See ``Disk``."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def allocate(self, fd: int, offset: int, length: int) -> None:
        """See ``Disk``."""
        os.posix_fallocate(fd, offset, length)

    def truncate(self, fd: int, length: int) -> None:
        """See ``Disk``."""
        os.ftruncate(fd, length)

    def size(self, fd: int) -> int:
        """See ``Disk``."""
        return os.fstat(fd).st_size

    def link(self, source: str, target: str) -> None:
        """See ``Disk``."""
        os.link(source, target)

    def rename(self, source: str, target: str) -> None:
        """See ``Disk``."""
        os.rename(source, target)

    def unlink(self, path: str) -> None:
        """See ``Disk``."""
        os.unlink(path)

    def mkdir(self, path: str) -> None:
        """See ``Disk``."""
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)

    def rmdir(self, path: str) -> None:
        """See ``Disk``."""
        os.rmdir(path)

    def names(self, path: str) -> Sequence[str]:
        """See ``Disk``."""
        return sorted(os.listdir(path))

    def exists(self, path: str) -> bool:
        """See ``Disk``; a volume out of order says neither yes nor no."""
        try:
            os.lstat(path)
        except FileNotFoundError:
            return False
        return True

    def identity(self, fd: int) -> Identity:
        """See ``Disk``."""
        found = os.fstat(fd)
        return found.st_dev, found.st_ino

    def is_at(self, path: str, identity: Identity) -> bool:
        """See ``Disk``."""
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == identity

    def modified(self, path: str) -> float:
        """See ``Disk``."""
        return os.lstat(path).st_mtime

    def lock(self, fd: int) -> bool:
        """See ``Disk``."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def space(self, path: str) -> os.statvfs_result:
        """See ``Disk``."""
        return os.statvfs(path)


def write_all(disk: Disk, fd: int, data: bytes, offset: int) -> None:
    """Write everything, however the volume splits it.

    Raises:
        OSError: not everything was written.
    """
    view = memoryview(data)
    while view:
        written = disk.write(fd, view, offset)
        if written <= 0:
            raise OSError("the volume takes no more bytes")
        view, offset = view[written:], offset + written


def write_file(disk: Disk, path: str, data: bytes) -> None:
    """Write a small file durably, but for its name: the caller syncs the directory."""
    fd = disk.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        write_all(disk, fd, data, 0)
        disk.sync(fd)
    finally:
        disk.close(fd)


def read_file(disk: Disk, path: str, limit: int) -> bytes:
    """Read a small file, at most ``limit`` bytes of it."""
    fd = disk.open(path, os.O_RDONLY)
    try:
        return disk.read(fd, limit, 0)
    finally:
        disk.close(fd)
