from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

from bench.machine import mount_of
from bench.usage import (
    Cpu,
    busy_seconds,
    cpu_of,
    cpu_of_family,
    nanoseconds_of,
    parse_stat,
    processes_of,
    pss_bytes_of,
)

STAT = "4711 (smtpd) (x y)) S 12 34 56 0 -1 4194304 1 2 3 4 100 20 3 4 20 0 1 0 99 1000 10 0"
MOUNTS = """\
/dev/vda / ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
/dev/vdb /tmp/disk xfs rw 0 0
proc /proc proc rw 0 0
"""


def test_a_command_name_may_hold_spaces_and_parentheses() -> None:
    found = parse_stat(STAT)
    assert (found.pid, found.parent, found.session) == (4711, 12, 56)


def test_cpu_of_children_that_ended_counts() -> None:
    found = parse_stat(STAT)
    assert (found.user_ticks, found.system_ticks) == (103, 24)


def test_idle_time_and_waiting_for_disks_are_not_busy() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    line = f"cpu  {ticks} 0 {2 * ticks} 1000000 500000 0 {ticks} 0 0 0\ncpu0 1 2 3\n"
    assert busy_seconds(line) == 4.0


def test_this_process_is_found_in_its_session() -> None:
    session = os.getsid(0)
    assert os.getpid() in {found.pid for found in processes_of(session)}
    assert pss_bytes_of(session) > 2**20


def test_work_shows_up_as_cpu_time() -> None:
    before = cpu_of(os.getsid(0))
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    assert (cpu_of(os.getsid(0)) - before).total_seconds > 0.0


def test_what_a_child_uses_in_a_session_of_its_own_counts_for_its_family() -> None:
    work = "import sys, time; sum(range(8_000_000)); print(time.process_time(), flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", work]
    before = cpu_of_family(os.getpid())
    child = subprocess.Popen(argv, start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        used_seconds = float(child.stdout.readline())
        found = cpu_of_family(os.getpid())
        assert cpu_of(child.pid).total_seconds >= used_seconds - 0.03  # ticks of 10 ms
        assert (found - before).total_seconds >= used_seconds - 0.05
        assert child.stdin is not None
        child.stdin.close()


def test_cpu_times_add_up() -> None:
    assert (Cpu(1.0, 2.0) + Cpu(0.5, 0.25) - Cpu(0.5, 0.25)).total_seconds == 3.0


def test_the_longest_mount_point_holds_a_path() -> None:
    assert mount_of(Path("/var/spool"), MOUNTS) == ("ext4", "/dev/vda")
    assert mount_of(Path("/tmp/queue"), MOUNTS) == ("tmpfs", "tmpfs")
    assert mount_of(Path("/tmp/disk/queue"), MOUNTS) == ("xfs", "/dev/vdb")
    assert mount_of(Path("/tmpfile"), MOUNTS) == ("ext4", "/dev/vda")


def test_the_clock_of_a_process_counts_all_its_threads_to_the_nanosecond() -> None:
    before = nanoseconds_of(os.getpid())
    thread = Thread(target=lambda: sum(range(300_000)))
    thread.start()
    thread.join()
    used = nanoseconds_of(os.getpid()) - before
    assert 500_000 < used < 5_000_000_000
    assert abs(nanoseconds_of(os.getpid()) - time.process_time_ns()) < 100_000_000
