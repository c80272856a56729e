"""A file system that passes everything on to a directory, and fails, delays or shows of old what it is told to.

Run by Debian's own Python, which has its binding to FUSE: ``/usr/bin/python3 fuse_server.py DIRECTORY MOUNTPOINT WISHES
PAST``. A wish is a line ``OPERATION PART-OF-PATH ERROR`` (``read /seg- EIO``) or ``OPERATION PART-OF-PATH SECONDS``;
operations are read, write and sync. What lies in PAST under the same path is read instead of what there is now, as a
client of NFS reads what it has kept; but not by who asks for direct I/O. Its file ``.names`` holds the names that a
directory had.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

fuse: Any = importlib.import_module("fuse")
fuse.fuse_python_api = (0, 2)
SOURCE, MOUNTPOINT, WISHES, PAST = sys.argv[1:5]


def meet(operation: str, path: str) -> None:
    """Do what is wished for a call.

    Raises:
        OSError: that was the wish.
    """
    try:
        with open(WISHES) as wishes:
            lines = [line.split() for line in wishes]
    except FileNotFoundError:
        return
    for wanted, part, what in lines:
        if wanted != operation or part not in path:
            continue
        if what.startswith("E"):
            raise OSError(getattr(errno, what), f"wished: {what}")
        time.sleep(float(what))


def at(path: str) -> str:
    """Where a path of ours is."""
    return SOURCE + path


def seen(path: str) -> str:
    """Where a reader finds a path of ours."""
    return PAST + path if os.path.isfile(PAST + path) else at(path)


def is_kept(flags: int) -> bool:
    """Whether an open file may show what was kept."""
    return flags & os.O_ACCMODE == os.O_RDONLY and not flags & os.O_DIRECT


class File:
    """An open file; every read comes to us (nothing is kept by the kernel)."""

    direct_io = True
    keep_cache = False

    def __init__(self, path: str, flags: int, *mode: int) -> None:
        self.path = path
        place = seen(path) if is_kept(flags) else at(path)
        self.fd = os.open(place, flags & ~os.O_DIRECT & ~os.O_APPEND, *mode)

    def read(self, length: int, offset: int) -> bytes:
        """See pread(2)."""
        meet("read", self.path)
        return os.pread(self.fd, length, offset)

    def write(self, data: bytes, offset: int) -> int:
        """See pwrite(2)."""
        if len(data) > 1:  # glibc reserves space by a byte for each block
            meet("write", self.path)
        return os.pwrite(self.fd, data, offset)

    def fsync(self, only_data: int) -> None:
        """See fsync(2)."""
        meet("sync", self.path)
        (os.fdatasync if only_data else os.fsync)(self.fd)

    def fgetattr(self) -> os.stat_result:
        """See fstat(2)."""
        return os.fstat(self.fd)

    def ftruncate(self, length: int) -> None:
        """See ftruncate(2)."""
        os.ftruncate(self.fd, length)

    def release(self, flags: int) -> None:
        """See close(2)."""
        os.close(self.fd)


class Passing(fuse.Fuse):  # type: ignore[misc]  # the binding has no types
    """The directory."""

    file_class = File

    def getattr(self, path: str) -> os.stat_result:
        """See lstat(2)."""
        return os.lstat(seen(path))

    def readdir(self, path: str, offset: int) -> Iterator[Any]:
        """See readdir(3)."""
        try:
            with open(f"{PAST}{path}/.names") as kept:
                names = kept.read().split()
        except FileNotFoundError:
            names = os.listdir(at(path))
        for name in (".", "..", *names):
            yield fuse.Direntry(name)

    def mkdir(self, path: str, mode: int) -> None:
        """See mkdir(2)."""
        os.mkdir(at(path), mode)

    def rmdir(self, path: str) -> None:
        """See rmdir(2)."""
        os.rmdir(at(path))

    def unlink(self, path: str) -> None:
        """See unlink(2)."""
        os.unlink(at(path))

    def rename(self, source: str, target: str) -> None:
        """See rename(2)."""
        os.rename(at(source), at(target))

    def link(self, source: str, target: str) -> None:
        """See link(2)."""
        os.link(at(source), at(target))

    def chmod(self, path: str, mode: int) -> None:
        """See chmod(2)."""
        os.chmod(at(path), mode)

    def truncate(self, path: str, length: int) -> None:
        """See truncate(2)."""
        os.truncate(at(path), length)

    def utime(self, path: str, times: tuple[float, float]) -> None:
        """See utime(2)."""
        os.utime(at(path), times)

    def statfs(self) -> os.statvfs_result:
        """See statvfs(3)."""
        return os.statvfs(SOURCE)


if __name__ == "__main__":
    server = Passing()
    server.parse(["-f", "-o", "fsname=wishes,attr_timeout=0,entry_timeout=0,negative_timeout=0", MOUNTPOINT])
    server.main()
