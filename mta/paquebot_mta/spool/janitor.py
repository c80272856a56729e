"""Giving space back: segments without live messages are unlinked, directories without segments are buried.

A segment that holds results about messages in another one goes after it: else a crash in between would bring back
messages that were delivered long ago. One that holds intents goes after these were stored again. What a process left
that may still be alive somewhere stays for a grace time; what was taken over together stays until all was read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress

from paquebot_mta.spool.committer import LostOwnershipError
from paquebot_mta.spool.graves import Graves
from paquebot_mta.spool.health import Notify
from paquebot_mta.spool.options import JournalOptions
from paquebot_mta.spool.segment import Home, Segment
from paquebot_mta.spool.store import SpoolError
from paquebot_mta.telemetry.events import Notice


class Janitor:
    """Looks after all directories that we serve; the event loop decides, threads do the work."""

    def __init__(
        self,
        graves: Graves,
        homes: list[Home],
        pool: Executor,
        still_ours: Callable[[], bool],
        options: JournalOptions,
        monotonic: Callable[[], float],
        *,
        keep_intents: Callable[[], Awaitable[None]],
        notify: Notify,
    ) -> None:
        """``homes`` is shared with the journal: adopted ones appear in it and vanish from it.

        ``keep_intents`` is called before a segment goes to which we have written. What can't be removed is tried again
        with the next housekeeping, and holds up nothing else.
        """
        self._disk = graves.disk
        self._graves = graves
        self._monotonic = monotonic
        self._still_ours = still_ours
        self._keep_intents: Callable[[], Awaitable[None]] | None = keep_intents
        self._homes = homes
        self._pool = pool
        self._options = options
        self._notify = notify
        self._stuck: dict[Segment | Home, float] = {}
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
        """Sweep until nothing is left to do. A fault leaves what it hits where it is, for the next time."""
        while self._again:
            self._again = False
            with suppress(OSError, SpoolError):
                while removable := self._removable():
                    if self._keep_intents is not None and any(map(_holds_intents, removable)):
                        await self._keep_intents()
                    kept = await asyncio.get_running_loop().run_in_executor(self._pool, self._unlink, removable)
                    for segment, error in kept.items():
                        self._note_stuck(segment, error)
                    self._forget([segment for segment in removable if segment not in kept])
                await self._bury_empty()

    def _removable(self) -> Sequence[Segment]:
        now = self._monotonic()
        homes = [home for home in self._homes if home.guarded_until <= now and not home.needed]
        removable = [segment for home in homes for segment in home.segments.values() if _is_removable(segment)]
        return [segment for segment in removable if self._stuck.get(segment, now) <= now]

    def _unlink(self, segments: Sequence[Segment]) -> Mapping[Segment, OSError]:
        """Remove files one by one. Returns those that stay; what is not known to have gone for good does, too."""
        if not self._still_ours():
            raise LostOwnershipError("the owner block names another incarnation")  # who reads them now needs them all
        kept = dict[Segment, OSError]()
        for segment in segments:
            try:
                self._disk.unlink(segment.path)
            except FileNotFoundError:
                continue
            except OSError as error:
                kept[segment] = error
        for home in {segment.home for segment in segments}:
            try:
                self._disk.sync_dir(home.path)
            except OSError as error:
                kept |= {segment: error for segment in segments if segment.home is home}
        return kept

    def _note_stuck(self, stuck: Segment | Home, error: OSError) -> None:
        """Say once that something can't be removed, until all could be."""
        if not self._stuck:
            cause = error.strerror or type(error).__name__
            details: dict[str, str | int | float | bool] = {"path": stuck.path, "cause": cause}
            self._notify(Notice(level="warning", event="queue.unremovable", details=details))
        self._stuck[stuck] = self._monotonic() + self._options.housekeeping_seconds

    def _forget(self, removed: Sequence[Segment]) -> None:
        gone = set(removed)
        for segment in gone:
            del segment.home.segments[segment.segment_id]
            self._stuck.pop(segment, None)
        for home in self._homes:
            for segment in home.segments.values():
                segment.pins -= gone

    async def _bury_empty(self) -> None:
        now = self._monotonic()
        empty = [home for home in self._homes if _is_empty(home) and home.guarded_until <= now]
        for home in [home for home in empty if self._stuck.get(home, now) <= now]:
            try:
                await asyncio.get_running_loop().run_in_executor(self._pool, self._bury, home)
            except OSError as error:
                self._note_stuck(home, error)
            else:
                self._homes.remove(home)
                self._stuck.pop(home, None)

    def _bury(self, home: Home) -> None:
        self._graves.bury(home, self._options.grave_seconds)


def _holds_intents(segment: Segment) -> bool:
    """Whether it may hold intents of ours."""
    return segment.home.own and not segment.private


def _is_empty(home: Home) -> bool:
    return not home.own and not home.segments and not home.needed


def _is_removable(segment: Segment) -> bool:
    return segment.sealed and segment.live <= 0 and not segment.held and not segment.pins
