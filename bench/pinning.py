"""Gives one process a core of its own for a while.

A sampler that looks by the wall clock finds a process often where it was interrupted: where it had just woken a peer
that then took its core, in `send()` above all. With the peers on other cores the samples show where it works.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

from bench.usage import PROC


@contextlib.contextmanager
def alone_on_a_core(process: int, others: Iterable[int]) -> Iterator[None]:
    """Keep a process on one core, and this process, what it starts and `others` on the rest, until the block ends.

    Nothing happens on a machine with one core.
    """
    cores = os.sched_getaffinity(0)
    first, *rest = sorted(cores)
    if not rest:
        yield
        return
    peers = [os.getpid(), *others]
    try:
        _place(process, {first})
        for peer in peers:
            _place(peer, set(rest))
        yield
    finally:
        for each in (process, *peers):
            _place(each, cores)


def _place(process: int, cores: set[int]) -> None:
    """Move all threads of a process; those that ended meanwhile don't matter."""
    with contextlib.suppress(OSError):
        for entry in (PROC / str(process) / "task").iterdir():
            with contextlib.suppress(OSError):
                os.sched_setaffinity(int(entry.name), cores)
