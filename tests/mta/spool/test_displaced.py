"""Files that are not where they were written: doubled, swapped, moved or removed; and results that contradict."""

import asyncio
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from paquebot_mta.spool.store import SpoolError, Waiting
from paquebot_mta.telemetry.events import Notice
from tests.mta.spool.support import (
    SMALL,
    contents,
    deferred,
    everything,
    final,
    journal,
    segments,
    store,
)

BIG = 400_000


async def two_segments(path: Path) -> list[Path]:
    """Two messages, each alone in its file."""
    async with journal(path, crash=True) as spool:
        await store(spool, b"a" * BIG)
        await store(spool, b"b" * BIG)
    return segments(path)


async def held_now(path: Path) -> int:
    """Start on it, and count the files that were set aside."""
    notices: list[Notice] = []
    async with journal(path, notice=notices.append, crash=True):
        (opened,) = (notice for notice in notices if notice.event == "queue.opened")
        return int(opened.details["held"])


async def test_a_segment_that_is_there_twice_is_served_once_and_kept(tmp_path: Path) -> None:
    first, _ = await two_segments(tmp_path)
    double = first.with_name("seg-00000000000000ff.q")
    shutil.copy(first, double)
    async with journal(tmp_path) as spool:
        found = await everything(spool)
        assert sorted(content[:1] for content in contents(found.values())) == [b"a", b"b"]
        for stored, _ in found.values():
            await spool.update([final(evpid) for evpid in stored.states])
    assert double.exists()
    async with journal(tmp_path) as again:
        assert await everything(again) == {}


async def test_swapped_segments_are_held_until_they_are_swapped_back(tmp_path: Path) -> None:
    first, second = await two_segments(tmp_path)

    def swap() -> None:
        first.rename(tmp_path / "aside")
        second.rename(first)
        (tmp_path / "aside").rename(second)

    swap()
    assert await held_now(tmp_path) == 2
    swap()
    async with journal(tmp_path) as spool:
        found = contents((await everything(spool)).values())
        assert sorted(content[:1] for content in found) == [b"a", b"b"]


async def test_a_segment_in_the_directory_of_another_incarnation_is_held(tmp_path: Path) -> None:
    first, _ = await two_segments(tmp_path)
    async with journal(tmp_path, crash=True) as spool:
        stranger = Path(spool._parts.homes[0].path) / "seg-00000000000000ff.q"
        shutil.copy(first, stranger)
    assert await held_now(tmp_path) == 1
    assert stranger.exists()


@pytest.mark.parametrize("size", [100, BIG])
@pytest.mark.parametrize("away", ["moved", "removed"])
async def test_a_directory_that_is_gone_takes_nothing(tmp_path: Path, size: int, away: str) -> None:
    notices: list[Notice] = []
    async with journal(tmp_path / "spool", notice=notices.append, crash=True) as spool:
        await store(spool, b"kept")
        pods = tmp_path / "spool" / "v1" / "pods"
        await asyncio.to_thread(shutil.move if away == "moved" else shutil.copytree, pods, tmp_path / "away")
        if away == "removed":
            await asyncio.to_thread(shutil.rmtree, pods)
        for _ in range(4):
            with pytest.raises(SpoolError) as caught:
                await store(spool, b"x" * size)
            assert caught.value.reply.code == 451
            await asyncio.sleep(0.03)
        assert not await spool.owned()
        assert "out of order" in spool.trouble()
        await asyncio.to_thread(shutil.rmtree, pods, ignore_errors=True)
        await asyncio.to_thread(shutil.move, tmp_path / "away", pods)
        if away == "moved":
            await until_stored(spool)
    assert [notice.event for notice in notices][:1] == ["queue.circuit-open"]
    async with journal(tmp_path / "spool") as again:
        assert b"kept" in contents((await everything(again)).values())


async def until_stored(spool: object) -> None:
    for _ in range(100):
        with suppress(SpoolError):
            await store(spool, b"after")  # type: ignore[arg-type]  # a journal
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not heal")


async def test_a_volume_in_trouble_is_tried_by_the_beat_alone(tmp_path: Path) -> None:
    options = replace(SMALL, beat_seconds=0.01)
    async with journal(tmp_path / "spool", options=options) as spool:
        await store(spool, b"kept")
        assert spool.trouble() == ""
        pods = tmp_path / "spool" / "v1" / "pods"
        await asyncio.to_thread(shutil.move, pods, tmp_path / "away")
        for _ in range(4):
            with suppress(SpoolError):
                await store(spool, b"refused")
        assert spool.trouble()
        await asyncio.to_thread(shutil.move, tmp_path / "away", pods)
        for _ in range(200):
            if not spool.trouble():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("nobody tried the volume")


async def test_a_final_result_wins_over_a_later_one_that_is_not(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as first:
        message = await store(first, b"two envelopes", recipients=2)
    ended, waiting = (envelope.evpid for envelope in message.envelopes)
    async with journal(tmp_path, crash=True) as second:
        await second.update([final(ended)])
    async with journal(tmp_path, crash=True) as third:
        await third.update([deferred(ended, 9), deferred(waiting, 2)])
    async with journal(tmp_path) as last:
        states = (await everything(last))[message.msgid][0].states
        assert list(states) == [waiting]
        assert states[waiting].attempts == 2


async def test_what_a_start_found_is_told_once_oldest_first(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as before:
        messages = [await store(before, b"%d" % number, recipients=2) for number in range(600)]
        await before.update([deferred(messages[0].envelopes[0].evpid, 3), final(messages[1].envelopes[1].evpid)])
        await before.update([final(envelope.evpid) for envelope in messages[2].envelopes])
    async with journal(tmp_path) as spool:
        await spool.update([final(envelope.evpid) for envelope in messages[3].envelopes])
        found = [waiting async for waiting in spool.recovered()]
        stored = {each.message.msgid: each async for each in spool.walk()}
        assert [each.msgid for each in found] == [m.msgid for m in messages if m.msgid in stored]
        assert len(found) == 598
        for each in found:
            message = stored[each.msgid].message
            assert each == Waiting(each.msgid, message.created_at, message.size, stored[each.msgid].states)
        assert [waiting async for waiting in spool.recovered()] == []
