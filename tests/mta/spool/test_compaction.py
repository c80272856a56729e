"""The volume stays within a few times what is live, however little of each segment that is."""

import asyncio
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Final

from paquebot_mta.mail.envelope import Message
from paquebot_mta.spool.format import HEADER_BYTES
from paquebot_mta.spool.journal import Journal
from tests.mta.spool.support import ACCEPTED_AT, SMALL, contents, deferred, everything, final, journal, segments, store

OPTIONS: Final = replace(SMALL, segment_bytes=40_000, compact_floor_bytes=8_000)
FACTOR: Final = 3


async def arrive(spool: Journal, count: int, share: float) -> list[Message]:
    """Take some messages; all but a share of them are delivered at once, these are returned."""
    messages = await asyncio.gather(*(store(spool, b"x" * 600) for _ in range(count)))
    every = round(1 / share)
    kept = messages[::every]
    await spool.update([final(m.envelopes[0].evpid) for n, m in enumerate(messages) if n % every])
    await spool.update([deferred(m.envelopes[0].evpid, 1) for m in kept])
    return list(kept)


async def keep_house(spool: Journal, now: float = ACCEPTED_AT) -> int:
    """Do what the journal does once a minute; tells how many segments were emptied."""
    parts = spool.parts
    await parts.compactor.begin_anew(parts.homes, now)
    found = parts.compactor.candidates(parts.homes, now)
    for segment in found:
        await parts.compactor.empty(segment, spool.busy)
        parts.janitor.consider(segment)
    parts.janitor.sweep_soon()
    await parts.janitor.finish()
    return len(found)


def volume_bytes(path: Path) -> int:
    return sum(each.stat().st_size for each in path.rglob("seg-*"))


def live_bytes(spool: Journal) -> int:
    return sum(segment.live_bytes for home in spool.parts.homes for segment in home.segments.values())


def allowed_bytes(spool: Journal) -> int:
    return FACTOR * live_bytes(spool) + OPTIONS.compact_floor_bytes


async def test_one_percent_of_long_deferred_mail_does_not_hold_the_rest(tmp_path: Path) -> None:
    async with journal(tmp_path, options=OPTIONS) as spool:
        kept = [message for _ in range(10) for message in await arrive(spool, 200, 0.01)]
        assert volume_bytes(tmp_path) > 2 * allowed_bytes(spool)
        assert await keep_house(spool) > 0
        assert volume_bytes(tmp_path) <= allowed_bytes(spool)
        assert sorted(await everything(spool)) == sorted(message.msgid for message in kept)


async def test_it_stays_so_day_by_day_though_each_attempt_leaves_a_result(tmp_path: Path) -> None:
    waiting = deque[Message]()
    async with journal(tmp_path, options=OPTIONS) as spool:
        for day in range(12):
            waiting.extend(await arrive(spool, 200, 0.01))
            while len(waiting) > 12:
                await spool.update([final(waiting.popleft().envelopes[0].evpid, "expired")])
            await spool.update([deferred(message.envelopes[0].evpid, day) for message in waiting])
            await keep_house(spool)
            assert volume_bytes(tmp_path) <= allowed_bytes(spool)
        assert contents((await everything(spool)).values()) == [b"x" * 600] * len(waiting)


async def test_a_present_segment_of_results_is_left_for_a_new_one(tmp_path: Path) -> None:
    """It is no longer than others may be, and yet by far the most of a volume with little live mail."""
    options = replace(OPTIONS, segment_bytes=4_000_000)
    async with journal(tmp_path, options=options) as spool:
        kept = await arrive(spool, 400, 0.01)
        assert len(segments(tmp_path)) == 1
        assert volume_bytes(tmp_path) > 10 * live_bytes(spool)
        await keep_house(spool)
        assert volume_bytes(tmp_path) < FACTOR * live_bytes(spool)
        assert await keep_house(spool) == 0
        assert sorted(await everything(spool)) == sorted(message.msgid for message in kept)
    async with journal(tmp_path, options=options) as spool:
        assert sorted(await everything(spool)) == sorted(message.msgid for message in kept)


async def test_nothing_is_left_of_a_present_segment_without_live_mail(tmp_path: Path) -> None:
    async with journal(tmp_path, options=replace(OPTIONS, segment_bytes=4_000_000)) as spool:
        messages = [await store(spool, b"x" * 600) for _ in range(50)]
        await spool.update([final(message.envelopes[0].evpid) for message in messages])
        await keep_house(spool)
        (rest,) = segments(tmp_path)
        assert rest.stat().st_size == HEADER_BYTES


async def test_a_small_queue_reserves_little(tmp_path: Path) -> None:
    async with journal(tmp_path, options=replace(SMALL, preallocate_bytes=80_000, segment_bytes=4_000_000)) as spool:
        await store(spool, b"x" * 600)
        assert volume_bytes(tmp_path) < 16_000
        for _ in range(10):
            await store(spool, b"x" * 60_000)
            assert volume_bytes(tmp_path) <= min(2 * live_bytes(spool), live_bytes(spool) + 80_000) + 10_000
            assert volume_bytes(tmp_path) >= live_bytes(spool)


async def test_young_segments_are_left_alone_while_the_volume_is_small(tmp_path: Path) -> None:
    async with journal(tmp_path, options=OPTIONS) as spool:
        await arrive(spool, 100, 0.5)
        assert await keep_house(spool) == 0


async def test_old_segments_with_little_in_them_are_emptied_anyhow(tmp_path: Path) -> None:
    async with journal(
        tmp_path, options=replace(OPTIONS, compact_floor_bytes=10**6), clock=lambda: ACCEPTED_AT
    ) as spool:
        await arrive(spool, 60, 0.02)
        assert await keep_house(spool) == 0
        assert await keep_house(spool, ACCEPTED_AT + OPTIONS.compact_age_seconds + 1) > 0
