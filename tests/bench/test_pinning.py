from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bench.pinning import alone_on_a_core


@pytest.fixture
def process() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child.pid
        child.kill()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="this machine has one core")
def test_a_process_shares_its_core_with_none_of_ours_and_all_is_as_before_afterwards(process: int) -> None:
    cores = os.sched_getaffinity(0)
    with alone_on_a_core(process, []):
        own = os.sched_getaffinity(process)
        assert len(own) == 1
        assert own.isdisjoint(os.sched_getaffinity(0))
    assert os.sched_getaffinity(process) == os.sched_getaffinity(0) == cores


def test_a_process_that_has_ended_is_no_error() -> None:
    with alone_on_a_core(2**22 - 1, [2**22 - 1]):
        pass
