"""Incarnations on this machine: our own directory, and taking over those whose process is gone. Blocks.

Every living process holds the lock of its own directory and of all that it adopted, so a free lock means a dead owner.
What an incarnation adopted follows it: the owner blocks lead from each directory to its root, and whoever holds the
root's lock takes the whole group. Steps: claim (O_EXCL), overwrite ``owner`` with the next epoch, sync; only then read.
Dying between any two of them leaves the group with one root, ready for the next.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from paquebot_mta.mail.ids import RandomBits
from paquebot_mta.spool.disk import Disk
from paquebot_mta.spool.layout import Layout, is_incarnation
from paquebot_mta.spool.owner import Owner, create_owner, overwrite_owner, read_owner
from paquebot_mta.spool.segment import Home

_MAX_CHAIN: Final = 1_000
_HIDDEN: Final = ".new-"
_HIDDEN_SECONDS: Final = 3_600.0


def make_home(disk: Disk, layout: Layout, incarnation: str) -> Home:
    """Make our own directory, locked and owned before anyone can see it.

    Raises:
        OSError: it can't be made.
    """
    hidden = layout.at("pods", f"{_HIDDEN}{incarnation}")
    disk.mkdir(hidden)
    lock_fd = disk.open(f"{hidden}/lock", os.O_RDWR | os.O_CREAT)
    if not disk.lock(lock_fd):
        raise OSError("a new directory is locked by somebody else")
    create_owner(disk, f"{hidden}/owner", Owner(incarnation))
    disk.sync_dir(hidden)
    disk.rename(hidden, layout.home(incarnation))
    disk.sync_dir(layout.at("pods"))
    return Home(incarnation, layout.home(incarnation), True, lock_fd)


@dataclass(slots=True)
class Adopter:
    """Takes over dead incarnations of this machine, one group at a time.

    Attributes:
        incarnation: ours.
        randbits: where to begin, so that workers that start together take different ones.
        clock: wall clock, names graves.
    """

    disk: Disk
    layout: Layout
    incarnation: str
    randbits: RandomBits
    clock: Callable[[], float]

    def claim_next(self) -> Sequence[Home]:
        """Take one group over. Returns nothing if none is free.

        Raises:
            OSError: the volume is out of order.
        """
        groups = self._groups()
        roots = sorted(groups)
        first = self.randbits(32) % len(roots) if roots else 0
        for root in roots[first:] + roots[:first]:
            lock_fd = self._lock(root)
            if lock_fd >= 0:
                return self._take(root, lock_fd)
        return ()

    def _groups(self) -> dict[str, list[str]]:
        """Other incarnations by their root, each group from the root on."""
        names = [name for name in self.disk.names(self.layout.at("pods")) if is_incarnation(name)]
        owners = {name: read_owner(self.disk, f"{self.layout.home(name)}/owner") for name in names}
        groups: dict[str, list[str]] = {}
        for name in names:
            root = _root(name, owners)
            if root != self.incarnation:
                groups.setdefault(root, []).append(name)
        return groups

    def _lock(self, incarnation: str) -> int:
        """Lock a directory; -1 if its owner lives or it is gone by now."""
        home = self.layout.home(incarnation)
        try:
            fd = self.disk.open(f"{home}/lock", os.O_RDWR | os.O_CREAT)
        except FileNotFoundError:
            return -1
        if self.disk.lock(fd) and self.disk.exists(home):
            return fd
        self.disk.close(fd)
        return -1

    def _take(self, root: str, lock_fd: int) -> Sequence[Home]:
        """Under the root's lock nobody else touches the group: list it again and take all of it.

        The root goes first: whoever dies in between leaves members that still lead, through the root, to us.
        """
        taken = [Home(root, self.layout.home(root), False, lock_fd)]
        for name in self._groups().get(root, [root]):
            fd = self._lock(name) if name != root else -1
            if fd >= 0:
                taken.append(Home(name, self.layout.home(name), False, fd))
        for home in taken:
            self._claim(home)
        return taken

    def _claim(self, home: Home) -> None:
        path = f"{home.path}/owner"
        before = read_owner(self.disk, path)
        epoch = max([before.epoch if before else 0, *self._claimed_epochs(home.incarnation)]) + 1
        claim = self.layout.at("adopt", f"{home.incarnation}.{epoch}")
        fd = self.disk.open(claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            self.disk.write(fd, self.incarnation.encode("ascii"), 0)
            self.disk.sync(fd)
        finally:
            self.disk.close(fd)
        self.disk.sync_dir(self.layout.at("adopt"))
        write = overwrite_owner if self.disk.exists(path) else create_owner
        write(self.disk, path, Owner(self.incarnation, epoch))

    def _claimed_epochs(self, incarnation: str) -> Sequence[int]:
        return [int(name.rsplit(".", 1)[1]) for name in self._claims(incarnation)]

    def _claims(self, incarnation: str) -> Sequence[str]:
        names = [name for name in self.disk.names(self.layout.at("adopt")) if name.startswith(f"{incarnation}.")]
        return [name for name in names if name[len(incarnation) + 1 :].isdecimal()]

    def bury(self, home: Home, grace_seconds: float) -> None:
        """Move a directory without any live message out of the way, and remove it if there is no grace.

        Raises:
            OSError: it stays, for the next start.
        """
        grave = self.layout.at("grave", f"{home.incarnation}.{int(self.clock())}")
        self.disk.rename(home.path, grave)
        self.disk.sync_dir(self.layout.at("pods"))
        for name in self._claims(home.incarnation):
            self.disk.unlink(self.layout.at("adopt", name))
        if grace_seconds <= 0:
            self._remove(grave)

    def sweep(self, grace_seconds: float) -> None:
        """Remove what was buried long enough ago, and directories whose making was cut short by a crash.

        Raises:
            OSError: something stays, for the next time.
        """
        for name in self.disk.names(self.layout.at("grave")):
            buried_at = name.rpartition(".")[2]
            if buried_at.isdecimal() and self.clock() - int(buried_at) >= grace_seconds:
                self._remove(self.layout.at("grave", name))
        now = self.disk.modified(self.layout.home(self.incarnation))  # just made: by the volume's own clock
        for name in self.disk.names(self.layout.at("pods")):
            path = self.layout.at("pods", name)
            if name.startswith(_HIDDEN) and now - self.disk.modified(path) >= _HIDDEN_SECONDS:
                self._remove(path)

    def _remove(self, grave: str) -> None:
        """Remove a directory of plain files; another process may do the same at once."""
        try:
            for name in self.disk.names(grave):
                self.disk.unlink(f"{grave}/{name}")
            self.disk.rmdir(grave)
        except FileNotFoundError:
            return


def _root(name: str, owners: dict[str, Owner | None]) -> str:
    """Follow owners to the one that owns itself (or whose owner is gone, or that has no readable block)."""
    for _ in range(_MAX_CHAIN):
        owner = owners[name]
        if owner is None or owner.owner == name or owner.owner not in owners:
            return name
        name = owner.owner
    return name
