"""The machine, the disk and the versions that a result belongs to."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from statistics import median, quantiles

from msgspec import Struct

import paquebot_mta
from tests.support.processes import run_command

SYNCS = 200
SYNC_BYTES = 4_096
MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs", "ramdisk"})


class Disk(Struct, frozen=True, kw_only=True):
    """Where the queues lie; latencies of a 4 KiB append and its fdatasync, in milliseconds."""

    directory: str
    file_system: str
    device: str
    sync_median_milliseconds: float
    sync_p99_milliseconds: float

    @property
    def is_memory(self) -> bool:
        """Whether syncs cost nothing there, so that nothing measured means anything."""
        return self.file_system in MEMORY_FILE_SYSTEMS


class Machine(Struct, frozen=True, kw_only=True):
    """What was measured on, and which versions."""

    cores: int
    processor: str
    memory_mebibytes: int
    kernel: str
    load_before: float
    disk: Disk
    versions: dict[str, str]
    commit: str


def describe_machine(directory: Path) -> Machine:
    """Look around; takes a moment, for it measures the disk in ``directory``."""
    load = os.getloadavg()[0]
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        processor=_processor(Path("/proc/cpuinfo").read_text()),
        memory_mebibytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        kernel=platform.release(),
        load_before=load,
        disk=measure_disk(directory),
        versions={"paquebot": paquebot_mta.__version__, "python": platform.python_version(), "postfix": _postfix()},
        commit=_commit(),
    )


def measure_disk(directory: Path) -> Disk:
    """Append and sync some blocks, as a queue does."""
    file_system, device = mount_of(directory.resolve(), Path("/proc/mounts").read_text())
    times = sorted(_sync_times(directory / "sync-probe"))
    return Disk(
        directory=str(directory),
        file_system=file_system,
        device=device,
        sync_median_milliseconds=median(times) * 1e3,
        sync_p99_milliseconds=quantiles(times, n=100)[98] * 1e3,
    )


def mount_of(path: Path, mounts: str) -> tuple[str, str]:
    """Find file system type and device of a path in the text of /proc/mounts; the longest mount point holds it."""
    best, found = -1, ("unknown", "unknown")
    for line in mounts.splitlines():
        device, point, kind = line.split()[:3]
        # Of two mounts on one point the later one is seen.
        if path.is_relative_to(point) and len(point) >= best:
            best, found = len(point), (kind, device)
    return found


def disk_directory() -> Path:
    """Choose where queues are made: the first usual place that is a disk and that every user may enter."""
    places = [place for place in (Path("/var/tmp"), Path("/tmp")) if place.is_dir()]  # noqa: S108 - a private directory is made below
    mounts = Path("/proc/mounts").read_text()
    disks = [place for place in places if mount_of(place.resolve(), mounts)[0] not in MEMORY_FILE_SYSTEMS]
    return (disks or places)[0]


def _sync_times(path: Path) -> list[float]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return [_sync_once(descriptor) for _ in range(SYNCS)]
    finally:
        os.close(descriptor)
        path.unlink()


def _sync_once(descriptor: int) -> float:
    started = time.perf_counter()
    os.write(descriptor, bytes(SYNC_BYTES))
    os.fdatasync(descriptor)
    return time.perf_counter() - started


def _processor(cpuinfo: str) -> str:
    names = (line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name"))
    return next(names, platform.machine())


def _postfix() -> str:
    return run_command(["postconf", "-hd", "mail_version"]).stdout.decode().strip()


def _commit() -> str:
    """Name the commit, with a plus sign if the tree differs from it."""
    described = run_command(["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"])
    return described.stdout.decode().strip() or "unknown"
