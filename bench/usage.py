"""CPU and memory of processes, as /proc tells them (proc(5)). Linux only."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

PROC = Path("/proc")
_CPUCLOCK_SCHED = 2
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class ProcessStat(Struct, frozen=True):
    """What /proc/PID/stat says of one process; times in clock ticks, ended children that were waited for included."""

    pid: int
    parent: int
    session: int
    user_ticks: int
    system_ticks: int


class Cpu(Struct, frozen=True):
    """CPU time in seconds."""

    user_seconds: float = 0.0
    system_seconds: float = 0.0

    @property
    def total_seconds(self) -> float:
        """Both together."""
        return self.user_seconds + self.system_seconds

    def __add__(self, other: Cpu) -> Cpu:
        return Cpu(self.user_seconds + other.user_seconds, self.system_seconds + other.system_seconds)

    def __sub__(self, other: Cpu) -> Cpu:
        return Cpu(self.user_seconds - other.user_seconds, self.system_seconds - other.system_seconds)


def parse_stat(line: str) -> ProcessStat:
    """Read a line of /proc/PID/stat; the command's name may hold spaces and parentheses."""
    pid, _, rest = line.partition(" ")
    fields = rest.rpartition(")")[2].split()
    # Counted from field 3, the state: ppid 4, session 6, utime 14, stime 15, cutime 16, cstime 17.
    user, system, child_user, child_system = (int(field) for field in fields[11:15])
    return ProcessStat(int(pid), int(fields[1]), int(fields[3]), user + child_user, system + child_system)


def processes_of(session: int) -> list[ProcessStat]:
    """Find all processes of a session: a server started in one of its own, with all that it started."""
    return [found for found in _all_processes() if found.session == session]


def cpu_of(session: int) -> Cpu:
    """Add up the CPU of all processes of a session, those that have ended too."""
    return _sum_of(processes_of(session))


def cpu_of_family(pid: int) -> Cpu:
    """Add up the CPU of a process and all that it started, in whatever session that runs."""
    everybody = list(_all_processes())
    family = {pid}
    while grown := {each.pid for each in everybody if each.parent in family} - family:
        family |= grown
    return _sum_of([each for each in everybody if each.pid in family])


def nanoseconds_of(pid: int) -> int:
    """CPU of one process by its clock, all its threads, ended ones too: no ticks, to the nanosecond.

    The id of that clock is made as Linux does it for clock_getcpuclockid(3).

    Raises:
        OSError: there is no such process.
    """
    return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)


def _sum_of(found: list[ProcessStat]) -> Cpu:
    user, system = sum(each.user_ticks for each in found), sum(each.system_ticks for each in found)
    return Cpu(user / TICKS_PER_SECOND, system / TICKS_PER_SECOND)


def cpu_of_tools() -> Cpu:
    """CPU of this process and of the programs that it started and that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum((Cpu(used.ru_utime, used.ru_stime) for used in both), Cpu())


def busy_seconds(stat: str) -> float:
    """Add up what all cores together did, from the text of /proc/stat: all but idle and waiting for disks."""
    user, nice, system, _idle, _iowait, interrupt, soft = (int(field) for field in stat.split()[1:8])
    return (user + nice + system + interrupt + soft) / TICKS_PER_SECOND


def machine_busy_seconds() -> float:
    """CPU seconds that the machine has spent on anything."""
    return busy_seconds((PROC / "stat").read_text())


def pss_bytes_of(session: int) -> int:
    """Memory of all processes of a session, pages shared with others counted in proportion."""
    return sum(_pss_bytes(each.pid) for each in processes_of(session))


def _pss_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _all_processes() -> Iterator[ProcessStat]:
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield parse_stat((entry / "stat").read_text())
