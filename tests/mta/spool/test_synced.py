"""What was promised survives a power loss on a volume that keeps no more than POSIX promises: each sync is needed.

Without the syncs of names no other test noticed anything: the file systems at hand keep names with their files.
"""

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mta.spool.strict_disk import StrictDisk
from tests.mta.spool.support import SMALL, contents, count, deferred, everything, final, journal, store, until
from tests.mta.spool.test_sharing import PIECES, SHARING, leave_behind


@pytest.fixture
def disk(tmp_path: Path) -> StrictDisk:
    return StrictDisk(tmp_path / "attic")


@pytest.fixture
def spool_path(tmp_path: Path) -> Path:
    path = tmp_path / "spool"
    path.mkdir()
    return path


@pytest.mark.parametrize("length", [10, 400_000], ids=["shared log", "segment of its own"])
async def test_what_was_accepted_is_there_after_a_power_loss(disk: StrictDisk, spool_path: Path, length: int) -> None:
    async with journal(spool_path, disk=disk, crash=True) as spool:
        first, second = [await store(spool, b"x" * length) for _ in range(2)]
        await spool.update([final(first.envelopes[0].evpid), deferred(second.envelopes[0].evpid, 3)])
    disk.lose_power(spool_path)
    async with journal(spool_path) as after:
        ((stored, content),) = (await everything(after)).values()
        assert (stored.message.msgid, content) == (second.msgid, b"x" * length)
        assert [state.attempts for state in stored.states.values()] == [3]


async def test_a_big_message_that_came_last_is_there(disk: StrictDisk, spool_path: Path) -> None:
    async with journal(spool_path, disk=disk, crash=True) as spool:
        messages = [await store(spool, b"x"), await store(spool, b"x" * 400_000)]
    disk.lose_power(spool_path)
    async with journal(spool_path) as after:
        assert sorted(await everything(after)) == sorted(message.msgid for message in messages)


async def test_the_next_segment_s_mail_is_there_too(disk: StrictDisk, spool_path: Path) -> None:
    async with journal(spool_path, options=replace(SMALL, segment_bytes=20_000), disk=disk, crash=True) as spool:
        messages = [await store(spool, b"x" * 3_000) for _ in range(20)]
        assert len(spool.parts.homes[0].segments) > 2
    disk.lose_power(spool_path)
    async with journal(spool_path) as after:
        assert sorted(await everything(after)) == sorted(message.msgid for message in messages)


async def test_delivered_mail_stays_away_when_its_segments_are_removed(disk: StrictDisk, spool_path: Path) -> None:
    """Results go after what they are about: names that went may come back, but not in another order."""
    async with journal(spool_path, options=replace(SMALL, segment_bytes=20_000), disk=disk, crash=True) as spool:
        old = [await store(spool, b"x" * 3_000) for _ in range(10)]
        await spool.parts.log.begin_anew()
        await spool.update([final(message.envelopes[0].evpid) for message in old])
        await spool.parts.log.begin_anew()
        kept = await store(spool, b"kept")
        spool.parts.janitor.sweep_soon()
        await spool.parts.janitor.finish()
    disk.lose_power(spool_path)
    async with journal(spool_path) as after:
        assert list(await everything(after)) == [kept.msgid]


async def test_what_an_heir_did_is_not_undone(disk: StrictDisk, spool_path: Path) -> None:
    async with journal(spool_path, crash=True) as dead:
        messages = [await store(dead, b"x" * 3_000) for _ in range(10)]
    async with journal(spool_path, disk=disk, crash=True) as heir:
        await heir.update([final(message.envelopes[0].evpid) for message in messages[:5]])
    disk.lose_power(spool_path)
    async with journal(spool_path) as after:
        assert sorted(await everything(after)) == sorted(message.msgid for message in messages[5:])


async def test_shares_outlive_who_made_them(disk: StrictDisk, spool_path: Path) -> None:
    async with AsyncExitStack() as stack:
        heirs = [
            await stack.enter_async_context(journal(spool_path, options=SHARING, disk=disk, crash=True))
            for _ in range(2)
        ]
        await leave_behind(spool_path)
        await until(lambda: sum(map(count, heirs)) == PIECES, "adoption", 10.0)
        await until(lambda: min(map(count, heirs)) >= PIECES // 4, "shares", 10.0)
    disk.lose_power(spool_path)
    async with journal(spool_path, options=SHARING) as after:
        await until(lambda: count(after) >= PIECES, "all of it", 10.0)
        found = contents((await everything(after)).values())
        assert sorted(found) == sorted(b"%d " % number * 1_000 for number in range(PIECES))
