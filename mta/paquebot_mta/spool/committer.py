"""Group commit: one thread writes and syncs whatever was queued while the last sync ran, and while the loop was busy.

The event loop decides when a batch starts: not before the last one has ended and no session has work that is ready.
Order of every batch: append, fdatasync, read the owner block from the volume, and only then tell the waiting
coroutines. Any error poisons the segment: its descriptor is never synced again (the kernel reports a lost page once
and then forgets it), the batch fails, the next one goes to a new segment.
"""

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Final

from msgspec import Struct

from paquebot_mta.spool.disk import Disk
from paquebot_mta.spool.options import JournalOptions, fault, no_space
from paquebot_mta.spool.owner import Ownership
from paquebot_mta.spool.packed import log_bytes
from paquebot_mta.spool.quiet import Quiet
from paquebot_mta.spool.segment import NewRecord, Segment, SegmentFactory, SegmentWriter
from paquebot_mta.spool.store import SpoolError

_FIRST_PART: Final = 8
"""Of the longest step of preallocation: how much the first one is."""
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Placed(Struct, frozen=True):
    """Where records lie now, durably."""

    segment: Segment
    start: int


class Append(Struct, frozen=True, eq=False):
    """Records that belong together.

    Attributes:
        length: bytes they take in the log.
        settle: called on the event loop with the place or the error; None if nobody waits, then it needs no sync.
        essential: it may use the ballast.
        synced: False asks only whether the log is still ours.
    """

    records: Sequence[NewRecord]
    length: int
    settle: Callable[[Placed | SpoolError], None] | None = None
    essential: bool = False
    synced: bool = True


def append_of(
    records: Sequence[NewRecord],
    settle: Callable[[Placed | SpoolError], None] | None = None,
    *,
    essential: bool = False,
) -> Append:
    """Make a job for the committer."""
    return Append(records, log_bytes(records), settle, essential)


class LostOwnershipError(OSError):
    """Somebody else owns our part of the volume now."""


def question(settle: Callable[[Placed | SpoolError], None]) -> Append:
    """Ask whether the log is ours: the look at the owner block begins after the question."""
    return Append((), 0, settle, synced=False)


def _awaited(batch: Sequence[Append]) -> bool:
    return any(job.settle is not None for job in batch)


def spool_error(error: OSError) -> SpoolError:
    """Translate for the client: never detailed, never 5yz."""
    return no_space(str(error)) if error.errno in FULL else fault(repr(error))


@dataclass(frozen=True, slots=True)
class CommitterParts:
    """What a committer works with.

    Attributes:
        pool: makes the next segment ahead of time.
        clock: wall clock; ``monotonic``: for the age of a segment.
        release_ballast: frees reserved space, tells whether there was any.
        observe: called on the loop after each batch with None or the error.
    """

    disk: Disk
    factory: SegmentFactory
    ownership: Ownership
    options: JournalOptions
    pool: Executor
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    release_ballast: Callable[[], bool]
    observe: Callable[[OSError | None], None]


class Committer:
    """The only writer of the shared segments."""

    def __init__(self, parts: CommitterParts, loop: asyncio.AbstractEventLoop) -> None:
        """Nothing runs before ``start``."""
        self._parts = parts
        self._loop = loop
        self._jobs: deque[Append] = deque()
        self._wake_ups: SimpleQueue[bool] = SimpleQueue()
        self._quiet = Quiet(loop, parts.monotonic, self._begin)
        self._busy = False
        self._thread = Thread(target=self._run, name="spool-committer", daemon=True)
        self._writer: SegmentWriter | None = None
        self._began_at = 0.0
        self._is_over = False
        self._next: Future[SegmentWriter] | None = None
        self.syncs = 0
        self.commits = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, job: Append) -> None:
        """Queue a job; on the event loop, never blocks."""
        self._jobs.append(job)
        if not self._busy:
            self._quiet.ask()

    def end_segment(self) -> None:
        """Let the next batch begin a new segment."""
        self._is_over = True

    def _begin(self) -> None:
        """Have the thread take what is there."""
        self._busy = True
        self._wake_ups.put(True)

    def stop(self) -> None:
        """Write what is queued, seal, and end the thread; blocks, so it is called from a thread."""
        self._wake_ups.put(False)
        self._thread.join()

    def _run(self) -> None:
        running = True
        while running:
            running = self._wake_ups.get()
            while batch := self._gather():
                outcomes, error = self._commit_or_rescue(batch)
                self._tell(batch, outcomes, error)
                if running:
                    break
        self._retire()

    def _gather(self) -> list[Append]:
        """Take all jobs that are there, as many as may be synced at once."""
        batch: list[Append] = []
        size, jobs, options = 0, self._jobs, self._parts.options
        while jobs and size < options.batch_bytes and len(batch) < options.batch_records:
            job = jobs.popleft()
            batch.append(job)
            size += job.length
        return batch

    def _tell(self, batch: list[Append], outcomes: list[Placed | SpoolError], error: OSError | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._settle, batch, outcomes, error)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    def _settle(self, batch: list[Append], outcomes: list[Placed | SpoolError], error: OSError | None) -> None:
        self._busy = False
        if self._jobs:
            self._quiet.ask()
        if error is not None or _awaited(batch):  # a write that was not synced proves nothing
            self._parts.observe(error)
        for job, outcome in zip(batch, outcomes, strict=True):
            if job.settle is not None:
                job.settle(outcome)
            elif error is not None and isinstance(outcome, SpoolError):
                self._jobs.appendleft(job)  # what nobody waits for is written with the next batch, whenever that comes

    def _commit_or_rescue(self, batch: list[Append]) -> tuple[list[Placed | SpoolError], OSError | None]:
        """Commit; on a full volume try what is essential again with the ballast's space."""
        try:
            return list(self._commit(batch)), None
        except OSError as error:
            failed: list[Placed | SpoolError] = [spool_error(error)] * len(batch)
            essential = [index for index, job in enumerate(batch) if job.essential]
            if error.errno in FULL and self._parts.release_ballast() and essential:
                self._rescue(batch, essential, failed)
            return failed, error

    def _rescue(self, batch: list[Append], essential: list[int], outcomes: list[Placed | SpoolError]) -> None:
        try:
            placed = self._commit([batch[index] for index in essential])
        except OSError:
            return
        for index, place in zip(essential, placed, strict=True):
            outcomes[index] = place

    def _commit(self, batch: list[Append]) -> list[Placed]:
        writer = self._current()
        durable_end = writer.segment.end
        try:
            placed = self._append(writer, batch)
            if _awaited(batch):
                self._make_sure(writer, any(job.settle is not None and job.synced for job in batch))
        except LostOwnershipError:
            raise  # an adopter may have read the records already: they stay
        except OSError:
            self._writer = None
            writer.poison(durable_end)
            raise
        return placed

    def _append(self, writer: SegmentWriter, batch: list[Append]) -> list[Placed]:
        position, buffers, placed = writer.segment.end, list[bytes](), []
        for job in batch:
            placed.append(Placed(writer.segment, position))
            writer.append(job.records, buffers)
            position += job.length
        if buffers:
            writer.reserve(position - writer.segment.end, self._step(writer.segment))
            writer.flush(buffers)
        return placed

    def _step(self, segment: Segment) -> int:
        """How much to preallocate: about what there is already, for a small queue shall stay small on the volume."""
        most = self._parts.options.preallocate_bytes
        return min(most, max(most // _FIRST_PART, segment.end))

    def _make_sure(self, writer: SegmentWriter, synced: bool) -> None:
        """Make it durable if someone waits for that, and see that it is still ours."""
        if synced:
            self.syncs += 1
            writer.sync()
        if not self._parts.ownership.check():
            raise LostOwnershipError("the owner block names another incarnation")
        self.commits += synced

    def _current(self) -> SegmentWriter:
        """The segment to append to: a new one if there is none or it is full, old, or of another key than wanted."""
        writer, options, now = self._writer, self._parts.options, self._parts.monotonic()
        if writer is not None:
            used = max(writer.segment.end / options.segment_bytes, (now - self._began_at) / options.segment_seconds)
            if used < 1 and not self._is_over and self._fits(writer):
                self._make_ready(used)
                return writer
            self._writer = None
            self._seal(writer)
        self._writer, self._began_at, self._is_over = self._take_next(), now, False
        return self._writer

    def _make_ready(self, used: float) -> None:
        """Make the next segment while the present one fills: the change of segment costs no commit any time."""
        if used >= 0.5 and self._next is None:
            self._next = self._parts.pool.submit(self._parts.factory.make, self._parts.clock())

    def _take_next(self) -> SegmentWriter:
        ready, self._next = self._next, None
        if ready is not None:
            with suppress(OSError):  # tried again here, where the error has someone to tell
                writer = ready.result()
                if self._fits(writer):
                    return writer
                writer.remove()
        return self._parts.factory.make(self._parts.clock())

    def _fits(self, writer: SegmentWriter) -> bool:
        return self._parts.factory.fits(writer.segment, self._parts.clock())

    def _seal(self, writer: SegmentWriter) -> None:
        """Close a segment whose records are all durable: an error harms nothing that was promised."""
        try:
            writer.seal()
        except OSError:
            return

    def _retire(self) -> None:
        if self._writer is not None:
            self._seal(self._writer)
        if self._next is not None and not self._next.cancel() and self._next.exception() is None:
            self._next.result().remove()
