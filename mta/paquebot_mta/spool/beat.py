"""Our own beat: shows others that we live, and tells us when it doesn't get through."""

import asyncio
import time
from contextlib import suppress

from paquebot_mta.spool.committer import LostOwnershipError
from paquebot_mta.spool.format import Kind
from paquebot_mta.spool.parts import JournalParts
from paquebot_mta.spool.records import Clock, encode
from paquebot_mta.spool.segment import NewRecord
from paquebot_mta.spool.store import SpoolError

_CLOCK_SECONDS = 60.0


async def beat(parts: JournalParts) -> None:
    """Count up in the owner block until somebody else owns us; and note both clocks now and then."""
    loop, options = parts.loop, parts.options
    beaten_at = noted_at = loop.time()
    commits = 0
    writing: asyncio.Future[bool] | None = None
    while not parts.circuit.lost:
        await asyncio.sleep(options.beat_seconds)
        writing = writing or loop.run_in_executor(parts.beating, _beat, parts)
        done, _ = await asyncio.wait({writing}, timeout=options.beat_seconds)
        if done:
            beaten_at = loop.time() if _succeeded(parts, writing) else beaten_at
            writing = None
        parts.circuit.stall(stalled=loop.time() - beaten_at >= options.lease_seconds)
        if parts.circuit.trouble:
            with suppress(SpoolError):  # who is not ready gets no mail that would try the volume
                await parts.log.append([NewRecord(Kind.CLOCK, 0, _clock(parts))], lambda placed: None)
        elif loop.time() - noted_at >= _CLOCK_SECONDS and parts.committer.commits != commits:
            noted_at, commits = loop.time(), parts.committer.commits
            parts.log.note([NewRecord(Kind.CLOCK, 0, _clock(parts))])


def _beat(parts: JournalParts) -> bool:
    """Beat, and look whether the block is still ours. Blocks."""
    parts.ownership.beat()
    return parts.ownership.check()


def _succeeded(parts: JournalParts, writing: "asyncio.Future[bool]") -> bool:
    """Whether the beat is on the volume; the loss of the block is told to the circuit."""
    if writing.exception() is not None:
        return False  # the circuit learns of a broken volume by itself
    if not writing.result():
        parts.circuit.observe(LostOwnershipError("the owner block names another incarnation"))
    return True


def _clock(parts: JournalParts) -> bytes:
    return encode(Clock(parts.clock(), time.clock_gettime(time.CLOCK_BOOTTIME)))
