"""INTENT records: nobody waits for them, and yet a power loss finds them, but for those of the last moment."""

import asyncio
from pathlib import Path

from tests.mta.spool.support import deferred, journal, store


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


async def test_an_intent_costs_no_sync_when_something_else_is_committed(tmp_path: Path) -> None:
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
