"""What can't be read when it is taken over is served later, and nothing that was delivered comes again with it."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paquebot_mta.mail.envelope import Message
from paquebot_mta.spool.journal import Journal
from paquebot_mta.telemetry.events import Notice
from tests.mta.spool.support import (
    SMALL,
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

OFTEN = replace(SMALL, watch_seconds=0.02)


class Away:
    """Files and directories that can't be read for now."""

    def __init__(self) -> None:
        self.paths = set[str]()

    def __call__(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name in ("open", "names") and arguments[0] in self.paths:
            raise OSError(errno.EIO, "injected")


@asynccontextmanager
async def heir_of(path: Path, away: Away, notices: list[Notice]) -> AsyncIterator[Journal]:
    async with journal(path, disk=HookedDisk(away), options=OFTEN, notice=notices.append) as heir:
        yield heir


async def leave(path: Path, delivered: int = 5) -> tuple[list[Message], list[Path]]:
    """Leave messages in a first segment; a second one tells that all but the last were delivered."""
    async with journal(path, crash=True) as dead:
        messages = [await store(dead, b"mail %d" % number) for number in range(delivered + 1)]
        await dead.parts.log.begin_anew()
        await dead.update([final(message.envelopes[0].evpid) for message in messages[:-1]])
    return messages, segments(path)


async def end_all(heir: Journal) -> None:
    found = await everything(heir)
    await heir.update([final(evpid) for stored, _ in found.values() for evpid in stored.states])


def told(notices: list[Notice]) -> list[Notice]:
    return [notice for notice in notices if notice.event == "queue.read-again"]


async def test_delivered_mail_stays_delivered_if_only_its_results_can_be_read_at_first(tmp_path: Path) -> None:
    messages, (first, second) = await leave(tmp_path)
    away, notices = Away(), list[Notice]()
    away.paths.add(str(first))
    async with heir_of(tmp_path, away, notices) as heir:
        assert count(heir) == 0
        heir.parts.janitor.sweep_soon()
        await heir.parts.janitor.finish()
        assert second.exists(), "it tells what was delivered"
        away.paths.clear()
        await until(lambda: count(heir) > 0, "the mail")
        assert list(await everything(heir)) == [messages[-1].msgid]
        assert heir.stats().possible_duplicates == 0
        assert [notice.details["messages"] for notice in told(notices)] == [1]
        heir.parts.janitor.sweep_soon()
        await heir.parts.janitor.finish()
        assert second.exists(), "it goes after what it tells of"
        await end_all(heir)
        await until(lambda: len(homes(tmp_path)) == 1, "nothing is held back")


async def test_results_that_are_read_late_end_what_still_waits(tmp_path: Path) -> None:
    messages, (_, second) = await leave(tmp_path)
    away, notices = Away(), list[Notice]()
    away.paths.add(str(second))
    async with heir_of(tmp_path, away, notices) as heir:
        assert count(heir) == heir.stats().possible_duplicates == len(messages)
        await heir.update([final(messages[0].envelopes[0].evpid)])
        away.paths.clear()
        await until(lambda: count(heir) == 1, "the results")
        assert list(await everything(heir)) == [messages[-1].msgid]
        await end_all(heir)
        await until(lambda: len(homes(tmp_path)) == 1, "nothing is held back")


async def test_a_copy_that_is_read_late_does_not_bring_back_what_the_heir_delivered(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as dead:
        done, waiting = [await store(dead, b"mail %d" % number) for number in range(2)]
        old = dead.parts.homes[0].segments[1]
        await dead.parts.log.begin_anew()
        await dead.parts.compactor.empty(old, dead.busy)
    originals, *_, copies = segments(tmp_path)
    assert str(originals) == old.path
    away, notices = Away(), list[Notice]()
    away.paths.add(str(copies))
    async with heir_of(tmp_path, away, notices) as heir:
        assert count(heir) == 2
        await heir.update([final(done.envelopes[0].evpid)])
        away.paths.clear()
        await until(lambda: bool(told(notices)), "the copies are read")
        assert list(await everything(heir)) == [waiting.msgid]
    async with journal(tmp_path) as last:
        assert contents((await everything(last)).values()) == [b"mail 1"]


@pytest.mark.parametrize("moved", [False, True])
async def test_results_and_copies_of_a_dead_heir_count_for_what_is_read_late(tmp_path: Path, moved: bool) -> None:
    async with journal(tmp_path, crash=True) as first:
        done, waiting = [await store(first, b"mail %d" % number) for number in range(2)]
    async with journal(tmp_path, crash=True) as second:
        (old,) = second.parts.homes[1].segments.values()
        if moved:
            await second.parts.compactor.empty(old, second.busy)
        await second.update([final(done.envelopes[0].evpid)])
    away, notices = Away(), list[Notice]()
    away.paths.add(old.path)
    async with heir_of(tmp_path, away, notices) as heir:
        assert list(await everything(heir)) == [waiting.msgid] * moved
        heir.parts.janitor.sweep_soon()
        await heir.parts.janitor.finish()
        away.paths.clear()
        await until(lambda: bool(told(notices)), "the first segment")
        assert list(await everything(heir)) == [waiting.msgid]
        await end_all(heir)
        await until(lambda: len(homes(tmp_path)) == 1, "nothing is held back")


async def test_a_file_of_which_only_the_beginning_can_be_read_is_served_once(tmp_path: Path) -> None:
    async with journal(tmp_path, options=replace(SMALL, segment_bytes=4_000_000), crash=True) as dead:
        messages = [await store(dead, b"x" * 60_000) for _ in range(40)]
    (only,) = segments(tmp_path)
    broken = [only.stat().st_size * 2 // 3]

    class Half(HookedDisk):
        def read(self, fd: int, length: int, offset: int) -> bytes:
            if broken and str(only) == opened.get(fd) and offset + min(length, 20_000) > broken[0]:
                raise OSError(errno.EIO, "injected")
            return super().read(fd, min(length, 20_000), offset)

        def open(self, path: str, flags: int) -> int:
            fd = super().open(path, flags)
            opened[fd] = path
            return fd

    opened = dict[int, str]()
    notices = list[Notice]()
    disk = Half(lambda name, arguments: None)
    async with journal(tmp_path, disk=disk, options=OFTEN, notice=notices.append) as heir:
        assert 0 < count(heir) < len(messages)
        await heir.update([final(messages[0].envelopes[0].evpid)])
        await asyncio.sleep(0.05)
        broken.clear()
        await until(lambda: bool(told(notices)), "the rest")
        assert sorted(await everything(heir)) == sorted(message.msgid for message in messages[1:])
