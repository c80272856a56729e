"""Whether the volume may be used now: a circuit breaker over its errors, and a watch over its free space.

One notice per change of state, never one per failure; pauses double from 1 to 60 s with jitter, so a broken volume
costs nothing while it is broken and is tried again soon after it is mended.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor
from threading import Lock

from paquebot_mta.mail.ids import RandomBits
from paquebot_mta.spool.committer import FULL, LostOwnershipError
from paquebot_mta.spool.disk import Disk, write_all
from paquebot_mta.spool.options import JournalOptions, fault, no_space
from paquebot_mta.spool.store import SpoolError
from paquebot_mta.telemetry.events import Notice

Notify = Callable[[Notice], None]


class Circuit:
    """Open after some failures in a row; used on the event loop only."""

    def __init__(
        self, options: JournalOptions, monotonic: Callable[[], float], randbits: RandomBits, notify: Notify
    ) -> None:
        """Start closed."""
        self._options = options
        self._monotonic = monotonic
        self._randbits = randbits
        self._notify = notify
        self._failures = 0
        self._pause = 0.0
        self._closed_until = 0.0
        self._stalled = False
        self.taken_over = asyncio.Event()
        """Set once another incarnation owns our mail."""

    @property
    def lost(self) -> bool:
        """Whether another incarnation owns our mail: for good."""
        return self.taken_over.is_set()

    @property
    def trouble(self) -> str:
        """What is wrong, even while it may be tried again; empty if nothing is."""
        if self.lost:
            return "the mail of this process was adopted by another one"
        if self._stalled:
            return "the beat of this process can't be written"
        return "the queue's volume is out of order" if self._pause else ""

    def refusal(self) -> SpoolError | None:
        """Why nothing may be tried now; None while it may."""
        pausing = self._pause and self._monotonic() < self._closed_until
        return fault(self.trouble) if self.lost or pausing else None

    def observe(self, error: OSError | None) -> None:
        """Learn how a batch ended."""
        if error is None:
            self._succeed()
        elif isinstance(error, LostOwnershipError):
            self._lose()
        elif error.errno in FULL:
            return  # in order, but full: results still go in, and the watch over the space keeps new mail out
        else:
            self._fail(error)

    def _succeed(self) -> None:
        self._failures = 0
        if self._pause:
            self._pause = 0.0
            self._notify(Notice(level="info", event="queue.circuit-closed"))

    def _lose(self) -> None:
        if not self.lost:
            self.taken_over.set()
            self._notify(Notice(level="warning", event="queue.lease-stolen"))

    def stall(self, *, stalled: bool) -> None:
        """Learn whether the beat gets through: while it doesn't, others are about to take our mail over."""
        if stalled != self._stalled and not self.lost:
            self._stalled = stalled
            event = "queue.beat-stalled" if stalled else "queue.beat-resumed"
            self._notify(Notice(level="warning" if stalled else "info", event=event))

    def _fail(self, error: OSError) -> None:
        self._failures += 1
        if self._failures < self._options.failures:
            return
        first, longest = self._options.retry_seconds
        if not self._pause:
            cause = error.strerror or type(error).__name__
            self._notify(Notice(level="error", event="queue.circuit-open", details={"cause": cause}))
        self._pause = min(self._pause * 2 or first, longest)
        jitter = 0.5 + self._randbits(16) / 0x1_0000
        self._closed_until = self._monotonic() + self._pause * jitter


class SpaceWatch:
    """Free blocks and inodes, looked at off the event loop, and the ballast that is given up on a full volume."""

    def __init__(
        self, disk: Disk, path: str, options: JournalOptions, monotonic: Callable[[], float], notify: Notify
    ) -> None:
        """``path`` is the directory of the ballast file."""
        self._disk = disk
        self._path = path
        self._ballast = f"{path}/ballast"
        self._options = options
        self._monotonic = monotonic
        self._notify = notify
        self._lock = Lock()
        self._has_ballast = False
        self._looked_at = float("-inf")
        self._looking = False
        self._free_percent = 100.0
        self._announced = False
        self.free_bytes = -1

    def refusal(self, size_hint: int = 0) -> SpoolError | None:
        """Why a message of that size may not come in; None while there is room for two of it."""
        full = self.full
        if full != self._announced:
            self._announced = full
            event = "queue.full" if full else "queue.has-room"
            self._notify(Notice(level="warning" if full else "info", event=event))
        too_big = 0 <= self.free_bytes < 2 * size_hint
        return no_space("too little free space on the volume") if full or too_big else None

    @property
    def full(self) -> bool:
        """Below the floor, or the ballast is spent."""
        spent = self._options.ballast_bytes > 0 and not self._has_ballast
        return spent or self._free_percent < self._options.minimum_free_percent

    def poll(self, loop: asyncio.AbstractEventLoop, pool: Executor) -> None:
        """Look again, in the pool, if the last look is too old. Never waits."""
        if not self._looking and self._monotonic() - self._looked_at >= self._options.space_seconds:
            self._looking = True
            loop.run_in_executor(pool, self.look).add_done_callback(self._looked)

    def _looked(self, looking: "asyncio.Future[None]") -> None:
        self._looking = False
        if not looking.cancelled() and looking.exception() is not None:
            self._looked_at = self._monotonic()  # the volume is out of order: the circuit says so, with its own pauses

    def look(self) -> None:
        """Measure, and lay the ballast in again once there is room. Blocks.

        Raises:
            OSError: the volume is out of order.
        """
        space = self._disk.space(self._path)
        self.free_bytes = space.f_bavail * space.f_frsize
        self._free_percent = min(_percent(space.f_bavail, space.f_blocks), _percent(space.f_favail, space.f_files))
        with self._lock:
            if not self._has_ballast and self._free_percent >= self._options.minimum_free_percent:
                self._has_ballast = self._lay_in(space.f_blocks * space.f_frsize)
        self._looked_at = self._monotonic()

    def _lay_in(self, volume_bytes: int) -> bool:
        size = min(self._options.ballast_bytes, volume_bytes // 16)  # a small volume can't spare as much
        if size <= 0 or self.free_bytes < 2 * size:
            return False
        fd = self._disk.open(self._ballast, os.O_WRONLY | os.O_CREAT)
        try:
            write_all(self._disk, fd, b"\0", 0)
            self._disk.allocate(fd, 0, size)
        except OSError:
            return False
        finally:
            self._disk.close(fd)
        return True

    def release(self) -> bool:
        """Give the ballast up. Blocks. Tells whether there was any."""
        with self._lock:
            had, self._has_ballast = self._has_ballast, False
            if had:
                try:
                    self._disk.unlink(self._ballast)
                except OSError:
                    return False
            return had


def _percent(free: int, total: int) -> float:
    """Share in percent; file systems that do not count say 0 of 0."""
    return 100.0 * free / total if total > 0 else 100.0
