"""Faults of the volume: 4yz to the client, no spin, no loss, one notice per change, and it heals by itself."""

import asyncio
import errno
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paquebot_mta.spool.disk import RealDisk
from paquebot_mta.spool.journal import Journal
from paquebot_mta.spool.owner import Owner, overwrite_owner
from paquebot_mta.spool.store import SpoolError
from paquebot_mta.telemetry.events import Notice
from tests.mta.spool.support import (
    SMALL,
    Faults,
    HookedDisk,
    contents,
    deferred,
    everything,
    final,
    homes,
    journal,
    message_of,
    read,
    segments,
    store,
)


async def refused(spool: Journal, content: bytes = b"refused") -> SpoolError:
    with pytest.raises(SpoolError) as caught:
        await store(spool, content)
    return caught.value


@pytest.mark.parametrize("call", ["sync", "write"])
@pytest.mark.parametrize("error", [errno.EIO, errno.EROFS, errno.EACCES, errno.ESTALE])
@pytest.mark.parametrize("size", [100, 400_000])
async def test_an_error_of_the_volume_is_451_and_the_next_message_goes_elsewhere(
    tmp_path: Path, call: str, error: int, size: int
) -> None:
    faults = Faults()
    async with journal(tmp_path, disk=HookedDisk(faults), crash=True) as spool:
        kept = await store(spool, b"kept")
        faults.fail(error, call)
        reply = (await refused(spool, b"r" * size)).reply
        assert (reply.code, reply.status) == (451, "4.3.0")
        assert "/" not in reply.text
        faults.heal()
        after = await store(spool, b"after")
        assert spool.stats().messages == 2
    async with journal(tmp_path) as again:
        found = await everything(again)
        assert contents(found[m.msgid] for m in (kept, after)) == [b"kept", b"after"]
        assert len(found) == 2


async def test_a_descriptor_is_never_synced_again_after_an_error(tmp_path: Path) -> None:
    synced: list[int] = []
    failed: list[int] = []

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "sync":
            assert arguments[0] not in failed or arguments[0] in reopened
            synced.append(arguments[0])
            if len(synced) in fail_at:
                failed.append(arguments[0])
                raise OSError(errno.EIO, "injected")
        if name == "close":
            reopened.update(arguments[:1])

    fail_at: set[int] = set()
    reopened: set[int] = set()
    async with journal(tmp_path, disk=HookedDisk(hook)) as spool:
        await store(spool, b"1")
        fail_at.add(len(synced) + 1)
        await refused(spool)
        await store(spool, b"2")
    assert len(failed) == 1


@pytest.mark.parametrize("call", ["write", "sync", "open"])
async def test_a_full_volume_is_452(tmp_path: Path, call: str) -> None:
    faults = Faults()
    async with journal(tmp_path, disk=HookedDisk(faults)) as spool:
        if call != "open":
            await store(spool, b"kept")
        faults.fail(errno.ENOSPC, call)
        for _ in range(5):
            reply = (await refused(spool)).reply
            assert (reply.code, reply.status) == (452, "4.3.1")
        faults.heal()
        await store(spool, b"after")


async def test_results_are_written_from_the_ballast_when_the_volume_is_full(tmp_path: Path) -> None:
    notices: list[Notice] = []
    given_up = False

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        nonlocal given_up
        given_up = given_up or (name == "unlink" and arguments[0].endswith("/ballast"))
        if full and not given_up and name == "write":
            raise OSError(errno.ENOSPC, "injected")

    full = False
    options = replace(SMALL, ballast_bytes=1024 * 1024, space_seconds=3600.0)
    async with journal(tmp_path, disk=HookedDisk(hook), options=options, notice=notices.append, crash=True) as spool:
        messages = [await store(spool, b"%d" % number) for number in range(3)]
        full = True
        await spool.update([final(message.envelopes[0].evpid) for message in messages[:2]])
        assert given_up
        assert (await refused(spool)).reply.code == 452
        await refused(spool)
        assert [notice.event for notice in notices] == ["queue.full"]
    async with journal(tmp_path) as after:
        assert list(await everything(after)) == [messages[2].msgid]


async def test_too_little_free_space_refuses_new_mail_only(tmp_path: Path) -> None:
    async with journal(tmp_path, options=replace(SMALL, minimum_free_percent=0)) as spool:
        message = await store(spool, b"kept")
        spool._parts.space._free_percent = -1.0
        assert (await refused(spool)).reply.code == 452
        await spool.update([deferred(message.envelopes[0].evpid, 1)])
        with pytest.raises(SpoolError):
            spool.create(size_hint=2**60)


async def test_the_circuit_opens_after_three_failures_and_says_so_once(tmp_path: Path) -> None:
    faults, notices = Faults(), list[Notice]()
    async with journal(tmp_path, disk=HookedDisk(faults), notice=notices.append) as spool:
        message = await store(spool, b"kept")
        spool._parts.circuit._options = replace(SMALL, retry_seconds=(60.0, 60.0))
        faults.fail(errno.EIO, "write", "open")
        for _ in range(3):
            await refused(spool)
        calls = faults.seen
        for _ in range(50):
            assert (await refused(spool)).reply.code == 451
        with pytest.raises(SpoolError):
            await spool.update([final(message.envelopes[0].evpid)])
        spool.intend([message.envelopes[0].evpid])
        assert faults.seen == calls
        assert [notice.event for notice in notices] == ["queue.circuit-open"]
        assert await read(spool, message.msgid) == b"kept"


async def test_permissions_taken_away_and_given_back(tmp_path: Path) -> None:
    faults, notices = Faults(), list[Notice]()
    async with journal(tmp_path, disk=HookedDisk(faults), notice=notices.append, crash=True) as spool:
        stored = [await store(spool, b"before")]
        faults.fail(errno.EACCES, "write", "open", "sync", "read_into", "space")
        for _ in range(6):
            await refused(spool)
            await asyncio.sleep(0.01)
        assert not await spool.owned()
        faults.heal()
        for _ in range(100):
            try:
                stored.append(await store(spool, b"after"))
                break
            except SpoolError:
                await asyncio.sleep(0.02)
        assert [notice.event for notice in notices] == ["queue.circuit-open", "queue.circuit-closed"]
        assert await spool.owned()
    async with journal(tmp_path) as again:
        assert list(await everything(again)) == [message.msgid for message in stored]


@pytest.mark.parametrize("size", [100, 400_000])
async def test_nothing_is_acknowledged_after_somebody_else_took_over(tmp_path: Path, size: int) -> None:
    notices: list[Notice] = []
    async with journal(tmp_path, notice=notices.append) as spool:
        message = await store(spool, b"before")
        (home,) = homes(tmp_path)
        assert await spool.owned()
        await asyncio.to_thread(overwrite_owner, RealDisk(), f"{home}/owner", Owner("fedcba9876543210", 1))
        await asyncio.to_thread(spool._parts.ownership.beat)
        assert (await refused(spool, b"r" * size)).reply.code == 451
        assert not await spool.owned()
        assert (await refused(spool)).reply.code == 451
        with pytest.raises(SpoolError):
            await spool.update([final(message.envelopes[0].evpid)])
        assert [notice.event for notice in notices] == ["queue.lease-stolen"]
    assert len(segments(tmp_path)) >= 1


async def test_a_hung_volume_is_451_and_what_it_writes_later_is_void(tmp_path: Path) -> None:
    release, hang = threading.Event(), False

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if hang and name == "sync":
            release.wait(10)

    async with journal(tmp_path, disk=HookedDisk(hook), crash=True) as spool:
        kept = await store(spool, b"kept")
        hang, spool._parts.log._wait_seconds = True, 0.05
        assert (await refused(spool)).reply.code == 451
        hang = False
        release.set()
        spool._parts.log._wait_seconds = 10
        await store(spool, b"after")
        assert spool.stats().messages == 2
    async with journal(tmp_path) as again:
        assert contents((await everything(again)).values()) == [b"kept", b"after"]
        assert kept.msgid in await everything(again)


async def test_an_unreadable_segment_defers_its_messages_only(tmp_path: Path) -> None:
    private: list[str] = []

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "open" and arguments[0] in private:
            raise OSError(errno.EIO, "injected")

    async with journal(tmp_path, disk=HookedDisk(hook)) as spool:
        big, small = await store(spool, b"x" * 400_000), await store(spool, b"small")
        private.append(spool._index.get(big.msgid).segment.path)  # type: ignore[union-attr]
        with pytest.raises(SpoolError) as caught:
            await read(spool, big.msgid)
        assert caught.value.reply.code == 451
        assert await read(spool, small.msgid) == b"small"
        assert [stored.message.msgid async for stored in spool.walk()] == [small.msgid]
        private.clear()
        assert await read(spool, big.msgid) == b"x" * 400_000


async def test_an_abort_while_a_write_is_under_way_touches_no_other_file(tmp_path: Path) -> None:
    async with journal(tmp_path) as spool:
        draft = spool.create()
        draft.write(b"x" * 2_000_000)
        drain = asyncio.create_task(draft.drain())
        await asyncio.sleep(0)
        drain.cancel()
        draft.abort()
        kept = [await store(spool, b"%d" % number * 300_000) for number in range(3)]
        assert [(await read(spool, m.msgid))[:1] for m in kept] == [b"0", b"1", b"2"]
        with pytest.raises(ValueError, match="not the draft's"):
            await draft.commit(message_of(draft))
    async with journal(tmp_path) as again:
        assert again.stats().messages == 3
