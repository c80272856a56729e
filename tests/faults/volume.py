"""A small volume in a file, ext4 or XFS, and the loss of its power: the shutdown ioctl forgets what was not synced."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from typing import Literal

import pytest

from tests.support.processes import CommandResult, PeerError, run_command, wait_until

SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = struct.pack("I", 2)
SIZE_BYTES = 192 * 1024 * 1024
XFS_BYTES = 320 * 1024 * 1024
"""The smallest XFS has 300 MiB; the file is sparse."""
Kind = Literal["ext4", "xfs"]
MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
    "xfs": ["mkfs.xfs", "-q", "-K"],
}
OPTIONS = {"ext4": "loop", "xfs": "loop,nouuid"}  # XFS mounts no copy of what is mounted, unless told so


class Volume:
    """The volume, mounted at ``path``."""

    def __init__(self, directory: Path, size_bytes: int = SIZE_BYTES, kind: Kind = "ext4") -> None:
        self._kind = kind
        self._image = directory / "volume.img"
        self.path = directory / "volume"
        self._boots = 0
        self.path.mkdir()
        with self._image.open("wb") as image:
            image.truncate(size_bytes if kind == "ext4" else max(size_bytes, XFS_BYTES))
        run_command([*MAKE[kind], str(self._image)]).checked()
        self._mount().checked()

    def lose_power(self) -> None:
        """From now on nothing reaches the disk, and what was not synced is gone."""
        root = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(root, SHUTDOWN, NO_LOG_FLUSH)
        finally:
            os.close(root)

    def power_on(self) -> None:
        """Mount it again, as a boot would: the journal is replayed. Nobody may have a file open."""
        wait_until(lambda: run_command(["umount", str(self.path)]).returncode == 0, "the end of all users", 20.0)
        try:
            wait_until(lambda: not self._loops(), "the end of the loop device", 3.0)
        except PeerError:
            self._copy()
        self._mount().checked()

    def _loops(self) -> bytes:
        return run_command(["losetup", "-j", str(self._image)]).checked().stdout

    def _copy(self) -> None:
        """Go on with a copy of what the disk holds.

        A mount namespace that somebody made meanwhile has the volume mounted too; what is out of power there stays so,
        but two mounts of one disk would harm it.
        """
        self._boots += 1
        held, self._image = self._image, self._image.with_name(f"volume-{self._boots}.img")
        run_command(["cp", "--sparse=always", str(held), str(self._image)], timeout_seconds=120.0).checked()
        held.unlink()

    def close(self) -> None:
        """Unmount it, whatever state it is in."""
        run_command(["umount", "-l", str(self.path)])

    def _mount(self) -> CommandResult:
        return run_command(["mount", "-o", OPTIONS[self._kind], str(self._image), str(self.path)])


def open_volume(directory: Path, kind: Kind = "ext4") -> Volume:
    """Make a volume; the test is skipped, with the reason, where that can't be done."""
    if os.geteuid() != 0:
        pytest.skip("a loop device needs root")
    try:
        volume = Volume(directory, kind=kind)
    except Exception as error:
        pytest.skip(f"no {kind} on a loop device here: {error}")
    return volume
