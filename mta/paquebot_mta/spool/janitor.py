"""Giving space back: segments without live messages are unlinked, directories without segments are buried.

A segment that holds results about messages in another one goes after it: else a crash in between would bring back
messages that were delivered long ago. One that holds intents goes after these were stored again. What a process left
that may still be alive somewhere stays for a grace time; what was taken over together stays until all was read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress

from paquebot_mta.spool.committer import LostOwnershipError
from paquebot_mta.spool.graves import Graves
from paquebot_mta.spool.segment import Home, Segment
from paquebot_mta.spool.store import SpoolError


class Janitor:
    """Looks after all directories that we serve; the event loop decides, threads do the work."""

    def __init__(
        self,
        graves: Graves,
        homes: list[Home],
        pool: Executor,
        still_ours: Callable[[], bool],
        grave_seconds: float,
        monotonic: Callable[[], float],
        *,
        keep_intents: Callable[[], Awaitable[None]],
    ) -> None:
        """``homes`` is shared with the journal: adopted ones appear in it and vanish from it.

        ``keep_intents`` is called before a segment goes to which we have written.
        """
        self._disk = graves.disk
        self._graves = graves
        self._monotonic = monotonic
        self._still_ours = still_ours
        self._keep_intents: Callable[[], Awaitable[None]] | None = keep_intents
        self._homes = homes
        self._pool = pool
        self._grave_seconds = grave_seconds
        self._sweeping: asyncio.Task[None] | None = None
        self._again = False

    def consider(self, segment: Segment) -> None:
        """A message of this segment ended: sweep soon if that was the last one."""
        if segment.live <= 0 and segment.sealed:
            self.sweep_soon()

    def sweep_soon(self) -> None:
        """Sweep, in the background, once."""
        self._again = True
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.get_running_loop().create_task(self._sweep_all(), name="spool-janitor")

    async def end_keeping(self) -> None:
        """The log ends, with all intents in it: wait for the sweep under way; those to come store nothing."""
        self._keep_intents = None
        await self.finish()

    async def finish(self) -> None:
        """Wait for the sweep under way."""
        if self._sweeping is not None:
            await self._sweeping

    async def _sweep_all(self) -> None:
        """Sweep until nothing is left to do. A fault leaves things where they are, for the next time."""
        while self._again:
            self._again = False
            with suppress(OSError, SpoolError):
                while removable := self._removable():
                    if self._keep_intents is not None and any(map(_holds_intents, removable)):
                        await self._keep_intents()
                    await asyncio.get_running_loop().run_in_executor(self._pool, self._unlink, removable)
                    self._forget(removable)
                await self._bury_empty()

    def _removable(self) -> Sequence[Segment]:
        now = self._monotonic()
        homes = [home for home in self._homes if home.guarded_until <= now and not home.needed]
        return [segment for home in homes for segment in home.segments.values() if _is_removable(segment)]

    def _unlink(self, segments: Sequence[Segment]) -> None:
        if not self._still_ours():
            raise LostOwnershipError("the owner block names another incarnation")  # who reads them now needs them all
        for segment in segments:
            with suppress(FileNotFoundError):
                self._disk.unlink(segment.path)
        for path in {segment.home.path for segment in segments}:
            self._disk.sync_dir(path)

    def _forget(self, removed: Sequence[Segment]) -> None:
        gone = set(removed)
        for segment in gone:
            del segment.home.segments[segment.segment_id]
        for home in self._homes:
            for segment in home.segments.values():
                segment.pins -= gone

    async def _bury_empty(self) -> None:
        now = self._monotonic()
        for home in [home for home in self._homes if _is_empty(home) and home.guarded_until <= now]:
            await asyncio.get_running_loop().run_in_executor(self._pool, self._bury, home)
            self._homes.remove(home)

    def _bury(self, home: Home) -> None:
        self._graves.bury(home, self._grave_seconds)


def _holds_intents(segment: Segment) -> bool:
    """Whether it may hold intents of ours."""
    return segment.home.own and not segment.private


def _is_empty(home: Home) -> bool:
    return not home.own and not home.segments and not home.needed


def _is_removable(segment: Segment) -> bool:
    return segment.sealed and segment.live <= 0 and not segment.held and not segment.pins
