"""A volume that keeps no more than POSIX promises: after a power loss names are as they were when their directory was
synced, and files as long as when they were.

File systems keep more most of the time (a file's sync carries its name on ext4 and XFS), so on them nobody would notice
a sync that is missing. What was overwritten in place counts as durable: the queue does that with blocks of one sector.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from paquebot_mta.spool.disk import RealDisk


@dataclass(slots=True)
class Change:
    """A change of names that may be lost.

    Attributes:
        path: of the name that came or went.
        kept: another name of the file that went; came: a file or directory is new.
        source: where what came was before.
    """

    path: str
    kept: str = ""
    came: bool = False
    source: str = ""

    def move(self, source: str, target: str) -> None:
        """Follow a directory that got another name."""
        if self.path.startswith(f"{source}/"):
            self.path = target + self.path.removeprefix(source)

    def undo(self) -> None:
        """Make it unhappened."""
        if self.source:
            os.rename(self.path, self.source)
        elif self.came and os.path.isdir(self.path):
            shutil.rmtree(self.path)
        elif self.came and os.path.lexists(self.path):
            os.unlink(self.path)
        elif not self.came and not self.kept:
            os.mkdir(self.path)
        if self.kept:
            os.rename(self.kept, self.path)


class StrictDisk(RealDisk):
    """Remembers what is not durable yet; `lose_power` when nobody uses it any more."""

    def __init__(self, attic: Path) -> None:
        """`attic`: on the same volume, keeps files whose removal may be lost."""
        self._attic, self._lock = attic, RLock()
        self._changes: list[Change] = []
        self._lengths: dict[tuple[int, int], int] = {}
        self._kept = 0
        attic.mkdir()

    def lose_power(self, root: Path) -> None:
        """Take back what was not synced, below `root`.

        Of removals only the first: any part of them may be lost, and that is the worst.
        """
        for path in root.rglob("*"):
            if path.is_file():
                found = path.stat()
                durable = self._lengths.get((found.st_dev, found.st_ino), found.st_size)
                os.truncate(path, min(durable, found.st_size))
        went = [each for each in self._changes if each.kept and not each.source]
        self._changes = [each for each in self._changes if each not in went[1:]]
        while self._changes:
            change = self._changes.pop()
            change.undo()
            if change.source:
                for before in self._changes:
                    before.move(change.path, change.source)

    def _keep(self, path: str) -> str:
        """Give a file that goes another name."""
        self._kept += 1
        kept = str(self._attic / str(self._kept))
        os.link(path, kept, follow_symlinks=False)
        return kept

    def open(self, path: str, flags: int) -> int:
        with self._lock:
            is_new = bool(flags & os.O_CREAT) and not os.path.lexists(path)
            fd = super().open(path, flags)
            if is_new:
                found = os.fstat(fd)
                self._lengths[found.st_dev, found.st_ino] = 0
                self._changes.append(Change(path, came=True))
        return fd

    def sync(self, fd: int) -> None:
        super().sync(fd)
        found = os.fstat(fd)
        with self._lock:
            self._lengths[found.st_dev, found.st_ino] = found.st_size

    def sync_dir(self, path: str) -> None:
        super().sync_dir(path)
        with self._lock:
            self._changes = [each for each in self._changes if os.path.dirname(each.path) != path]

    def link(self, source: str, target: str) -> None:
        with self._lock:
            super().link(source, target)
            self._changes.append(Change(target, came=True))

    def unlink(self, path: str) -> None:
        with self._lock:
            kept = self._keep(path)
            super().unlink(path)
            self._changes.append(Change(path, kept))

    def rename(self, source: str, target: str) -> None:
        with self._lock:
            kept = self._keep(target) if os.path.isfile(target) else ""
            super().rename(source, target)
            for before in self._changes:
                before.move(source, target)
            self._changes.append(Change(target, kept, source=source))

    def mkdir(self, path: str) -> None:
        with self._lock:
            is_new = not os.path.lexists(path)
            super().mkdir(path)
            if is_new:
                self._changes.append(Change(path, came=True))

    def rmdir(self, path: str) -> None:
        with self._lock:
            super().rmdir(path)
            self._changes.append(Change(path))
