"""A process whose mail was adopted while it was paused acknowledges nothing more, and goes on with an empty queue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from paquebot_mta.mail.envelope import Message
from paquebot_mta.spool.disk import RealDisk
from paquebot_mta.spool.incarnation import make_home
from paquebot_mta.spool.journal import Journal
from paquebot_mta.spool.layout import Layout
from paquebot_mta.spool.owner import read_owner
from paquebot_mta.spool.store import Lost, SpoolError
from paquebot_mta.telemetry.events import Notice
from tests.mta.spool.support import SMALL, contents, count, everything, final, journal, read, store, until

ADOPTING = replace(SMALL, machine="", grave_seconds=3_600.0, rescan_seconds=(0.3, 0.2)).leased(0.3)
PAUSED = replace(ADOPTING, beat_seconds=3_600.0)
"""Never beats, so it never notices by itself either: as if stopped."""


@asynccontextmanager
async def adopted_while_paused(path: Path, notices: list[Notice]) -> AsyncIterator[tuple[Journal, Journal, Message]]:
    """A paused process, who has its mail now, and that mail."""
    async with journal(path, options=PAUSED, notice=notices.append) as paused:
        message = await store(paused, b"before")
        async with journal(path, options=ADOPTING, notice=notices.append) as adopter:
            await until(lambda: count(adopter) == 1, "adoption")
            yield paused, adopter, message


def events(notices: list[Notice]) -> list[str]:
    return [notice.event for notice in notices]


async def test_it_goes_on_as_a_new_incarnation_with_nothing(tmp_path: Path) -> None:
    notices: list[Notice] = []
    async with adopted_while_paused(tmp_path, notices) as (paused, adopter, message):
        before = paused.parts.homes[0].incarnation
        assert not await paused.owned()
        assert paused.trouble() or paused.parts.homes[0].incarnation != before
        await until(lambda: "queue.renewed" in events(notices), "renewal")
        assert paused.trouble() == ""
        assert await paused.owned()
        assert not paused.has(message.msgid)
        fresh = await store(paused, b"after")
        assert await read(paused, fresh.msgid) == b"after"
        assert contents((await everything(adopter)).values()) == [b"before"]
        assert events(notices).count("queue.lease-stolen") == 1


async def test_the_loss_is_told_before_anything_new_is_accepted(tmp_path: Path) -> None:
    notices: list[Notice] = []
    async with adopted_while_paused(tmp_path, notices) as (paused, _, _):
        changes = paused.changes()
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        assert not await paused.owned()
        assert await asyncio.wait_for(waiting, 2.0) == Lost()
        await asyncio.sleep(0.1)
        assert "queue.renewed" not in events(notices)
        with pytest.raises(SpoolError):
            await store(paused, b"too early")
        following = asyncio.ensure_future(anext(changes))
        await until(lambda: "queue.renewed" in events(notices), "renewal")
        await store(paused, b"after")
        following.cancel()


async def test_what_a_zombie_writes_late_is_delivered_by_its_adopter(tmp_path: Path) -> None:
    """It was never acknowledged, but somebody has sent it."""
    notices: list[Notice] = []
    async with adopted_while_paused(tmp_path, notices) as (paused, adopter, message):
        with pytest.raises(SpoolError):
            await store(paused, b"late")
        await until(lambda: count(adopter) == 2, "the late message")
        assert sorted(contents((await everything(adopter)).values())) == [b"before", b"late"]
        assert "queue.late" in events(notices)
        await adopter.update([final(message.envelopes[0].evpid)])
        assert count(adopter) == 1


async def test_a_late_result_saves_a_second_delivery(tmp_path: Path) -> None:
    async with adopted_while_paused(tmp_path, []) as (paused, adopter, message):
        with suppress(SpoolError):
            await paused.update([final(message.envelopes[0].evpid)])
        await until(lambda: count(adopter) == 0, "the late result")
        await until(lambda: len(adopter.parts.homes) == 1, "the end of the segment that the result is in")


async def test_a_zombie_that_woke_up_says_goodbye(tmp_path: Path) -> None:
    """So its adopter knows that no more will come, and stops looking."""
    notices: list[Notice] = []
    async with adopted_while_paused(tmp_path, notices) as (paused, adopter, message):
        before = paused.parts.homes[0]
        assert not await paused.owned()
        await until(lambda: "queue.renewed" in events(notices), "renewal")
        adopted = adopter.parts.homes[1]
        assert adopted.incarnation == before.incarnation
        await until(lambda: adopted.proven, "the proof")
        owner = read_owner(RealDisk(), f"{before.path}/owner")
        assert owner is not None
        assert owner.goodbye
        assert owner.owner == adopter.parts.homes[0].incarnation
        await adopter.update([final(message.envelopes[0].evpid)])
        await until(lambda: not Path(before.path).exists(), "burial")


async def test_an_adopter_that_was_adopted_itself_takes_nothing(tmp_path: Path) -> None:
    async with adopted_while_paused(tmp_path, []) as (paused, _, _):
        dead = "0123456789abcdef"
        await asyncio.to_thread(make_home, RealDisk(), Layout(str(tmp_path)), dead)
        with pytest.raises(OSError, match="another incarnation"):
            await asyncio.to_thread(paused.parts.watcher.adopter.claim, dead)


async def test_a_beat_that_does_not_get_through_shows_as_trouble(tmp_path: Path) -> None:
    notices: list[Notice] = []
    options = replace(SMALL, machine="").leased(0.3)
    async with journal(tmp_path, options=options, notice=notices.append) as spool:
        disk_write = spool.parts.ownership.beat

        def broken(*, goodbye: bool = False) -> None:
            raise OSError("injected")

        spool.parts.ownership.beat = broken  # type: ignore[method-assign]
        await until(lambda: "beat" in spool.trouble(), "trouble")
        spool.parts.ownership.beat = disk_write  # type: ignore[method-assign]
        await until(lambda: spool.trouble() == "", "the end of the trouble")
    assert events(notices) == ["queue.beat-stalled", "queue.beat-resumed"]
