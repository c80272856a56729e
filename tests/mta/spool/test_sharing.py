"""One dead process's mail is delivered by many living ones: a big inheritance is divided, and never doubled or lost."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paquebot_mta.mail.envelope import Message
from paquebot_mta.spool.journal import Journal
from tests.mta.spool.support import (
    SMALL,
    HookedDisk,
    contents,
    count,
    deferred,
    everything,
    final,
    homes,
    journal,
    store,
    until,
)

SHARING = replace(SMALL, machine="", share_messages=10, segment_bytes=60_000).leased(0.3)
PIECES = 60


@asynccontextmanager
async def inherited(path: Path, heirs: int, disk: HookedDisk | None = None) -> AsyncIterator[list[Journal]]:
    """Some living processes, and the mail of a dead one among them."""
    async with AsyncExitStack() as stack:
        living = [
            await stack.enter_async_context(journal(path, options=SHARING, disk=disk if at == 0 else None))
            for at in range(heirs)
        ]
        await leave_behind(path)
        yield living


async def leave_behind(path: Path) -> list[Message]:
    async with journal(path, options=SHARING, crash=True) as dead:
        messages = [await store(dead, b"%d " % number * 1_000, 2) for number in range(PIECES)]
        await dead.update([deferred(message.envelopes[0].evpid, 3) for message in messages])
        await dead.update([final(message.envelopes[1].evpid) for message in messages])
        return messages


async def check(living: list[Journal]) -> None:
    found = [each for spool in living for each in (await everything(spool)).values()]
    assert sorted(contents(found)) == sorted(b"%d " % number * 1_000 for number in range(PIECES))
    for stored, _ in found:
        (state,) = stored.states.values()
        assert state.attempts == 3


async def test_a_big_inheritance_is_divided_among_the_living(tmp_path: Path) -> None:
    async with inherited(tmp_path, 3) as living:
        await until(lambda: sum(map(count, living)) == PIECES, "adoption", 10.0)
        await until(lambda: min(map(count, living)) >= PIECES // 4, "shares", 10.0)
        await check(living)


async def test_a_small_one_stays_with_its_heir(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        living = [await stack.enter_async_context(journal(tmp_path, options=SHARING)) for _ in range(3)]
        async with journal(tmp_path, options=SHARING, crash=True) as dead:
            for number in range(10):
                await store(dead, b"%d" % number)
        await until(lambda: sum(map(count, living)) == 10, "adoption")
        assert sorted(map(count, living)) == [0, 0, 10]


async def test_shares_survive_their_heirs_and_leave_nothing_behind(tmp_path: Path) -> None:
    async with inherited(tmp_path, 3) as living:
        await until(lambda: min(map(count, living)) >= PIECES // 4, "shares", 10.0)
    async with journal(tmp_path, options=SHARING) as last:
        await check([last])
        for stored, _ in (await everything(last)).values():
            await last.update([final(evpid) for evpid in stored.states])
    assert homes(tmp_path) == []


@pytest.mark.parametrize("nth", range(0, 24, 2))
async def test_sharing_may_fail_at_every_call(tmp_path: Path, nth: int) -> None:
    """The volume is out of order from the n-th call about a share on, for a while."""
    seen = 0

    def fail(name: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if any(isinstance(each, str) and "-share" in each for each in arguments):
            seen += 1
            if nth < seen <= nth + 3:
                raise OSError(errno.EIO, "injected")

    async with inherited(tmp_path, 2, HookedDisk(fail)) as living:
        await until(lambda: sum(map(count, living)) == PIECES, "all of it", 10.0)
        await asyncio.sleep(0.1)
        await check(living)
    async with journal(tmp_path, options=SHARING) as last:
        await check([last])
