"""Giving space back: segments without live messages are unlinked, directories without segments are buried.

A segment that holds results about messages in another one goes after it: else a crash in between would bring back
messages that were delivered long ago.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress

from paquebot_mta.spool.adopt import Adopter
from paquebot_mta.spool.disk import Disk
from paquebot_mta.spool.segment import Home, Segment


class Janitor:
    """Looks after all directories that we serve; the event loop decides, threads do the work."""

    def __init__(self, disk: Disk, adopter: Adopter, homes: list[Home], pool: Executor, grave_seconds: float) -> None:
        """``homes`` is shared with the journal: adopted ones appear in it and vanish from it."""
        self._disk = disk
        self._adopter = adopter
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

    async def finish(self) -> None:
        """Wait for the sweep under way."""
        if self._sweeping is not None:
            await self._sweeping

    async def _sweep_all(self) -> None:
        """Sweep until nothing is left to do. A fault leaves things where they are, for the next time."""
        while self._again:
            self._again = False
            with suppress(OSError):
                while removable := self._removable():
                    await asyncio.get_running_loop().run_in_executor(self._pool, self._unlink, removable)
                    self._forget(removable)
                await self._bury_empty()

    def _removable(self) -> Sequence[Segment]:
        return [segment for home in self._homes for segment in home.segments.values() if _is_removable(segment)]

    def _unlink(self, segments: Sequence[Segment]) -> None:
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
        for home in [home for home in self._homes if not home.own and not home.segments]:
            await asyncio.get_running_loop().run_in_executor(self._pool, self._bury, home)
            self._homes.remove(home)

    def _bury(self, home: Home) -> None:
        self._adopter.bury(home, self._grave_seconds)
        fd, home.lock_fd = home.lock_fd, -1
        self._disk.close(fd)


def _is_removable(segment: Segment) -> bool:
    return segment.sealed and segment.live <= 0 and not segment.held and not segment.pins
