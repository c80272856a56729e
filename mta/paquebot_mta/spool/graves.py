"""Directories without live mail: moved out of the way, and removed after a grace time. Blocks."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from paquebot_mta.spool.disk import Disk
from paquebot_mta.spool.incarnation import HIDDEN
from paquebot_mta.spool.layout import Layout
from paquebot_mta.spool.owner import Owner, read_owner
from paquebot_mta.spool.segment import Home

_HIDDEN_SECONDS: Final = 3_600.0


def claims_of(disk: Disk, layout: Layout, incarnation: str) -> Sequence[int]:
    """Epochs of an incarnation that were claimed."""
    names = [name.rpartition(".") for name in disk.names(layout.at("adopt"))]
    return [int(epoch) for claimed, _, epoch in names if claimed == incarnation and epoch.isdecimal()]


@dataclass(frozen=True, slots=True)
class Graves:
    """The graveyard; ``clock`` is the wall clock that names graves."""

    disk: Disk
    layout: Layout
    clock: Callable[[], float]

    def bury(self, home: Home, grace_seconds: float) -> None:
        """Move a directory without any live message out of the way, and remove it if there is no grace.

        Raises:
            OSError: something stays. Another call finishes it; claims and what is in ``grave`` go by themselves, too.
        """
        if not self.disk.exists(home.path):
            return
        grave = self.layout.at("grave", f"{home.incarnation}.{int(self.clock())}")
        self.disk.rename(home.path, grave)
        self.disk.sync_dir(self.layout.at("pods"))
        for epoch in claims_of(self.disk, self.layout, home.incarnation):
            with suppress(FileNotFoundError):
                self.disk.unlink(self.layout.at("adopt", f"{home.incarnation}.{epoch}"))
        if grace_seconds <= 0:
            remove_directory(self.disk, grave)

    def owner_of(self, incarnation: str) -> Owner | None:
        """Whom a buried incarnation led to; None if it has no grave (any more).

        Raises:
            OSError: the volume is out of order.
        """
        for name in self.disk.names(self.layout.at("grave")):
            buried, _, buried_at = name.rpartition(".")
            if buried == incarnation and buried_at.isdecimal():
                return read_owner(self.disk, self.layout.at("grave", name, "owner"))
        return None

    def sweep(self, grace_seconds: float, now: float) -> None:
        """Remove what was buried long enough ago, and directories whose making was cut short by a crash.

        ``now`` is the time by the volume's own clock. What can't be removed stays, for the next time.

        Raises:
            OSError: the volume is out of order.
        """
        for name in self.disk.names(self.layout.at("grave")):
            buried_at = name.rpartition(".")[2]
            if buried_at.isdecimal() and self.clock() - int(buried_at) >= grace_seconds:
                with suppress(OSError):
                    remove_directory(self.disk, self.layout.at("grave", name))
        for name in self.disk.names(self.layout.at("pods")):
            path = self.layout.at("pods", name)
            with suppress(OSError):
                if name.startswith(HIDDEN) and now - self.disk.modified(path) >= _HIDDEN_SECONDS:
                    remove_directory(self.disk, path)


def remove_directory(disk: Disk, path: str) -> None:
    """Remove a directory of plain files; another process may do the same at once.

    Raises:
        OSError: something stays.
    """
    try:
        for name in disk.names(path):
            disk.unlink(f"{path}/{name}")
        disk.rmdir(path)
    except FileNotFoundError:
        return
