"""Our own directory, and how to prove that a process of this machine is dead. Blocks.

A living process holds the lock of its directory, and the lock's file names the machine: a free lock proves death, but
only to those on the same machine; what a lock means across machines no volume promises.

A machine is named by its present boot. One of an earlier boot proves nothing by itself: to know that it has ended, the
machine would need a name that outlives boots and that no other machine has, and in a container there is none to rely
on. So what was there before a boot is taken over by its beat.
"""

import os
from pathlib import Path
from typing import Final

from paquebot_mta.spool.disk import Disk, write_all
from paquebot_mta.spool.layout import Layout
from paquebot_mta.spool.owner import Owner, create_owner
from paquebot_mta.spool.segment import Home

HIDDEN: Final = ".new-"
"""Begins the name of a directory that is still being made."""
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_MACHINE_BYTES: Final = 64


def this_machine() -> str:
    """Name this start of this machine, the same in all its containers; empty if nobody knows."""
    try:
        return _BOOT_ID.read_text().strip()[:_MACHINE_BYTES]
    except OSError:
        return ""


def make_home(disk: Disk, layout: Layout, incarnation: str, machine: str = "") -> Home:
    """Make our own directory, locked and owned before anyone can see it.

    Raises:
        OSError: it can't be made.
    """
    hidden = layout.at("pods", f"{HIDDEN}{incarnation}")
    disk.mkdir(hidden)
    lock_fd = disk.open(f"{hidden}/lock", os.O_RDWR | os.O_CREAT)
    if not disk.lock(lock_fd):
        raise OSError("a new directory is locked by somebody else")
    if machine:
        write_all(disk, lock_fd, machine.encode(), 0)
        disk.sync(lock_fd)  # a power loss would leave a lock that names nobody, and proves nothing
    create_owner(disk, f"{hidden}/owner", Owner(incarnation))
    disk.sync_dir(hidden)
    disk.rename(hidden, layout.home(incarnation))
    disk.sync_dir(layout.at("pods"))
    return Home(incarnation, layout.home(incarnation), True, lock_fd)


def is_proven_dead(disk: Disk, home: str, machine: str) -> bool:
    """Whether the process that made a directory ran on this machine and has ended.

    Raises:
        OSError: the volume is out of order.
    """
    if not machine:
        return False
    try:
        fd = disk.open(f"{home}/lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return disk.read(fd, _MACHINE_BYTES, 0) == machine.encode() and disk.lock(fd)
    finally:
        disk.close(fd)
