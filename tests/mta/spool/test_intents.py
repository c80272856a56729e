"""INTENT records: nobody waits for them, and yet a power loss finds them, but for those of the last moment."""

import asyncio
import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paquebot_mta.spool import log
from paquebot_mta.spool.store import SpoolError
from tests.mta.spool.support import ACCEPTED_AT, SMALL, Faults, HookedDisk, deferred, final, journal, store, until

PRIVATE = replace(SMALL, private_bytes=1_000)


async def test_an_intent_is_synced_before_long_though_nothing_else_is(tmp_path: Path) -> None:
    async with journal(tmp_path) as spool:
        message = await store(spool, b"one")
        committer = spool.parts.committer
        before = committer.syncs
        spool.intend([message.envelopes[0].evpid])
        assert await spool.owned()
        for _ in range(1_000):
            await asyncio.sleep(0.01)
            if committer.syncs > before:
                return
        raise AssertionError("never synced")


async def test_an_intent_costs_no_sync_when_something_else_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "NOTE_SYNC_SECONDS", 60.0)  # a busy machine may need longer than usual for two commits
    async with journal(tmp_path) as spool:
        message = await store(spool, b"one")
        evpid, parts = message.envelopes[0].evpid, spool.parts
        spool.intend([evpid])
        for attempt in range(2):
            await spool.update([deferred(evpid, attempt)])
        before = parts.committer.syncs
        parts.log._sync_note()
        assert await spool.owned()
        assert parts.committer.syncs == before


async def test_an_intent_outlives_the_segment_it_stands_in(tmp_path: Path) -> None:
    """A big message lies in a file of its own: what was noted about it stands among mail that ends sooner."""
    options = replace(PRIVATE, compact_floor_bytes=1_000, compact_volume_factor=1.1)
    async with journal(tmp_path, options=options, crash=True) as spool:
        big = await store(spool, b"b" * 100_000)
        spool.intend([big.envelopes[0].evpid])
        small = [await store(spool, b"s" * 2_000) for _ in range(20)]
        (log,) = [segment for segment in spool.parts.homes[0].segments.values() if not segment.private]
        await spool.update([final(message.envelopes[0].evpid) for message in small])
        await spool.parts.compactor.begin_anew(spool.parts.homes, ACCEPTED_AT)
        spool.parts.janitor.sweep_soon()
        await spool.parts.janitor.finish()
        assert log not in spool.parts.homes[0].segments.values()
    async with journal(tmp_path, options=options) as spool:
        assert spool.stats().possible_duplicates == 1


async def test_a_delivery_that_is_broken_off_at_the_end_is_counted(tmp_path: Path) -> None:
    async with journal(tmp_path, options=PRIVATE) as spool:
        big, small = await store(spool, b"b" * 100_000), await store(spool, b"s" * 2_000)
        spool.intend([big.envelopes[0].evpid])
        await spool.update([final(small.envelopes[0].evpid)])
    async with journal(tmp_path, options=PRIVATE) as spool:
        assert spool.stats().possible_duplicates == 1


async def test_what_has_a_result_is_not_in_flight_any_more(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as spool:
        message = await store(spool, b"one")
        evpid = message.envelopes[0].evpid
        spool.intend([evpid])
        await spool.update([deferred(evpid, 1)])
        await spool.parts.in_flight.keep()
    async with journal(tmp_path) as spool:
        assert spool.stats().possible_duplicates == 0


async def test_what_has_got_no_result_for_an_error_still_is(tmp_path: Path) -> None:
    faults = Faults()
    async with journal(tmp_path, disk=HookedDisk(faults), crash=True) as spool:
        message = await store(spool, b"one")
        evpid = message.envelopes[0].evpid
        spool.intend([evpid])
        faults.fail(errno.EIO, "sync")
        with pytest.raises(SpoolError):
            await spool.update([deferred(evpid, 1)])
        faults.heal()
        await until(lambda: not spool.trouble(), "health")
        await spool.parts.in_flight.keep()
    async with journal(tmp_path) as spool:
        assert spool.stats().possible_duplicates == 1


class Once:
    """A volume whose next write fails; on a full one all of them, until the ballast is given up."""

    def __init__(self) -> None:
        self.error = 0

    def __call__(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == "write" and self.error:
            error = self.error
            self.error = error if error == errno.ENOSPC else 0
            raise OSError(error, "injected")
        if name == "unlink" and arguments[0].endswith("/ballast"):
            self.error = 0


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.EROFS])
async def test_nothing_is_delivered_while_intents_can_not_be_written(tmp_path: Path, error: int) -> None:
    """It was: a restart delivered all of it again, and no record said what."""
    faults = Faults()
    async with journal(tmp_path, disk=HookedDisk(faults)) as spool:
        message = await store(spool, b"one")
        faults.fail(error, "write", "open")
        spool.intend([message.envelopes[0].evpid])
        assert not await spool.owned()


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
async def test_an_intent_that_met_a_fault_is_written_elsewhere(tmp_path: Path, error: int) -> None:
    """In the next segment, or in the space of the ballast: else a death leaves a second copy that nobody counted."""
    volume = Once()
    options = replace(SMALL, ballast_bytes=1024 * 1024, space_seconds=3600.0)
    async with journal(tmp_path, disk=HookedDisk(volume), options=options, crash=True) as spool:
        message = await store(spool, b"one")
        volume.error = error
        spool.intend([message.envelopes[0].evpid])
        assert await spool.owned()
    async with journal(tmp_path) as again:
        assert again.stats().possible_duplicates == 1
