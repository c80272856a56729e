"""Living processes take over the mail of dead ones, and only of dead ones."""

import asyncio
import errno
import time
from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from paquebot_mta.spool.disk import RealDisk
from paquebot_mta.spool.owner import read_owner
from paquebot_mta.spool.store import Waiting
from paquebot_mta.telemetry.events import Notice
from tests.mta.spool.support import (
    SMALL,
    Faults,
    HookedDisk,
    contents,
    count,
    everything,
    final,
    homes,
    journal,
    segments,
    store,
    until,
)

ELSEWHERE = replace(SMALL, machine="").leased(0.3)
"""Locks prove nothing: only beats and goodbyes count."""
PATIENT = replace(SMALL, machine="", watch_seconds=0.03).leased(60.0)
NEVER = replace(PATIENT, watch_seconds=0.03)


async def test_a_silent_process_loses_its_mail_to_a_living_one(tmp_path: Path) -> None:
    notices: list[Notice] = []
    async with journal(tmp_path, options=ELSEWHERE, notice=notices.append) as living:
        async with journal(tmp_path, options=ELSEWHERE, crash=True) as dead:
            await store(dead, b"left behind")
            died_at = time.monotonic()
        await until(lambda: count(living) == 1, "adoption")
        assert time.monotonic() - died_at >= 0.3
        assert contents((await everything(living)).values()) == [b"left behind"]
        (leased,) = [notice for notice in notices if notice.event == "queue.leased"]
        assert leased.details["reason"] == "lease"
        assert leased.details["messages"] == 1


async def test_a_process_that_beats_keeps_its_mail(tmp_path: Path) -> None:
    async with journal(tmp_path, options=ELSEWHERE) as first, journal(tmp_path, options=ELSEWHERE) as second:
        await store(first, b"mine")
        await asyncio.sleep(1.0)
        assert (count(first), count(second)) == (1, 0)
        assert await first.owned()


async def test_a_goodbye_hands_over_at_once(tmp_path: Path) -> None:
    options = replace(PATIENT, watch_seconds=0.03)
    async with journal(tmp_path, options=options) as living:
        async with journal(tmp_path, options=options) as drained:
            await store(drained, b"handed over")
        await until(lambda: count(living) == 1, "adoption", 2.0)


async def test_a_free_lock_proves_death_on_the_same_machine_only(tmp_path: Path) -> None:
    here = replace(SMALL, watch_seconds=0.03, beat_seconds=0.03)
    there = replace(here, machine="another one")
    async with journal(tmp_path, options=here) as near, journal(tmp_path, options=there) as far:
        async with journal(tmp_path, options=here, crash=True) as dead:
            await store(dead, b"left behind")
        await until(lambda: count(near) == 1, "adoption", 2.0)
        assert count(far) == 0


async def test_each_dead_process_goes_to_exactly_one_of_those_that_watch(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        living = [await stack.enter_async_context(journal(tmp_path, options=ELSEWHERE)) for _ in range(3)]
        stored = []
        async with AsyncExitStack() as deaths:
            for _ in range(9):
                dead = await deaths.enter_async_context(journal(tmp_path, options=ELSEWHERE, crash=True))
                stored.append((await store(dead, b"x")).msgid)
        await until(lambda: sum(map(count, living)) == 9, "adoption")
        await asyncio.sleep(0.1)
        found = [msgid for each in living for msgid in await everything(each)]
        assert sorted(found) == sorted(stored)
        assert max(map(count, living)) < 9


async def test_what_a_dead_adopter_had_taken_goes_on_with_its_own(tmp_path: Path) -> None:
    async with journal(tmp_path, options=ELSEWHERE, crash=True) as first:
        await store(first, b"first")
    async with journal(tmp_path, options=ELSEWHERE) as living:
        async with journal(tmp_path, options=NEVER, crash=True) as second:
            await store(second, b"second")
            await asyncio.to_thread(second.parts.watcher.look)
            (home,) = await asyncio.to_thread(second.parts.watcher.adopter.claim, first.parts.homes[0].incarnation)
            assert home.incarnation == first.parts.homes[0].incarnation
        await until(lambda: count(living) == 2, "adoption")
        assert sorted(contents((await everything(living)).values())) == [b"first", b"second"]


async def test_new_mail_is_told_to_whoever_follows_the_changes(tmp_path: Path) -> None:
    async with journal(tmp_path, options=ELSEWHERE) as living:
        async with journal(tmp_path, options=ELSEWHERE, crash=True) as dead:
            message = await store(dead, b"left behind", 2)
        changes = living.changes()
        change = await asyncio.wait_for(anext(changes), 5.0)
        assert isinstance(change, Waiting)
        assert change.msgid == message.msgid
        assert list(change.states) == [envelope.evpid for envelope in message.envelopes]


async def test_a_claim_of_the_dead_is_passed_over_by_the_next_epoch(tmp_path: Path) -> None:
    """Claimed, and then death before the block was overwritten."""
    async with journal(tmp_path, options=ELSEWHERE, crash=True) as dead:
        await store(dead, b"left behind")
        root = dead.parts.homes[0].incarnation
    faults = Faults()
    async with journal(tmp_path, options=NEVER, disk=HookedDisk(faults), crash=True) as claimer:
        adopter = claimer.parts.watcher.adopter
        assert await asyncio.to_thread(adopter._claim, root, 1)
    async with journal(tmp_path, options=ELSEWHERE) as living:
        await until(lambda: count(living) == 1, "adoption")
        owner = read_owner(RealDisk(), f"{tmp_path}/v1/pods/{root}/owner")
        assert owner is not None
        assert (owner.owner, owner.epoch) == (living.parts.homes[0].incarnation, 2)


async def test_a_claim_of_the_living_is_respected(tmp_path: Path) -> None:
    async with journal(tmp_path, options=NEVER, crash=True) as dead:
        await store(dead, b"left behind")
        root = dead.parts.homes[0].incarnation
    async with journal(tmp_path, options=NEVER) as claimer, journal(tmp_path, options=NEVER) as other:
        assert await asyncio.to_thread(claimer.parts.watcher.adopter._claim, root, 1)
        assert list(await asyncio.to_thread(other.parts.watcher.adopter.claim, root)) == []
        assert len(await asyncio.to_thread(claimer.parts.watcher.adopter.claim, root)) == 1


@pytest.mark.parametrize("call", ["link", "sync", "write", "names"])
async def test_an_error_in_the_middle_of_an_adoption_is_tried_again(tmp_path: Path, call: str) -> None:
    faults, notices = Faults(), list[Notice]()
    options = replace(ELSEWHERE, retry_seconds=(0.01, 0.02))
    async with journal(tmp_path, options=options, disk=HookedDisk(faults), notice=notices.append) as living:
        async with journal(tmp_path, options=ELSEWHERE, crash=True) as dead:
            await store(dead, b"left behind")
        await asyncio.sleep(0.3)
        faults.fail(errno.EIO, call)
        await asyncio.sleep(0.5)
        assert count(living) == 0
        faults.heal()
        await until(lambda: count(living) == 1, "adoption")
        failures = [notice for notice in notices if notice.event == "queue.adoption-failed"]
        assert len(failures) <= 3


async def test_a_full_volume_gives_its_ballast_for_an_adoption(tmp_path: Path) -> None:
    faults = Faults()

    class Full(HookedDisk):
        def __init__(self) -> None:
            super().__init__(faults)

    options = replace(ELSEWHERE, ballast_bytes=65_536)
    async with journal(tmp_path, options=options, disk=Full()) as living:
        async with journal(tmp_path, options=ELSEWHERE, crash=True) as dead:
            await store(dead, b"left behind")
        ballast = Path(living.parts.homes[0].path) / "ballast"
        assert ballast.exists()

        def full_until_released(name: str, arguments: tuple[object, ...]) -> None:
            if name == "link" and ballast.exists():
                raise OSError(errno.ENOSPC, "injected")

        disk = living.parts.disk
        assert isinstance(disk, HookedDisk)
        disk.hook = full_until_released
        await until(lambda: count(living) == 1, "adoption")


async def test_what_may_still_be_written_to_is_kept_for_the_grace(tmp_path: Path) -> None:
    """Nobody knows whether a silent process of another machine is dead."""
    options = replace(ELSEWHERE, grave_seconds=1.0, housekeeping_seconds=0.05)
    async with journal(tmp_path, options=options) as living:
        async with journal(tmp_path, options=options, crash=True) as dead:
            message = await store(dead, b"left behind")
            name = dead.parts.homes[0].incarnation
        await until(lambda: count(living) == 1, "adoption")
        await living.update([final(message.envelopes[0].evpid)])
        await asyncio.sleep(0.1)
        assert [path for path in segments(tmp_path) if path.parent.name == name]
        await until(lambda: not (tmp_path / "v1/pods" / name).exists(), "burial")
        assert [path.name.split(".")[0] for path in (tmp_path / "v1/grave").iterdir()] == [name]


async def test_a_pool_of_one_adopts_its_own_past_at_the_start(tmp_path: Path) -> None:
    here = replace(SMALL, machine="this one").leased(60.0)
    async with journal(tmp_path, options=here, crash=True) as before:
        await store(before, b"left behind")
    async with journal(tmp_path, options=here, crash=True) as after:
        assert count(after) == 1
    async with journal(tmp_path, options=replace(here, machine="another")) as moved:
        assert count(moved) == 0


def names(paths: Collection[Path]) -> list[str]:
    return [path.name for path in paths]


async def test_nothing_of_adoptions_is_left_when_all_mail_is_gone(tmp_path: Path) -> None:
    async with journal(tmp_path, options=ELSEWHERE) as living:
        async with journal(tmp_path, options=ELSEWHERE) as drained:
            message = await store(drained, b"handed over")
        await until(lambda: count(living) == 1, "adoption")
        await living.update([final(message.envelopes[0].evpid)])
        await until(lambda: len(homes(tmp_path)) == 1, "burial")
        await until(lambda: names(list((tmp_path / "v1/adopt").iterdir())) == [], "no claims")
