"""The messages of one transaction after a crash: all are there, or none; and none that was promised is lost."""

import errno
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paquebot_mta.mail.ids import Msgid
from paquebot_mta.spool.disk import Disk, RealDisk
from paquebot_mta.spool.format import BODY_BYTES
from paquebot_mta.spool.journal import Journal
from paquebot_mta.spool.layout import Layout
from paquebot_mta.spool.replay import Recovered, Replay
from paquebot_mta.spool.reread import read_anew, shadows_of, take_in
from paquebot_mta.spool.sealer import Sealer
from paquebot_mta.spool.segment import Home
from tests.mta.spool.support import (
    SMALL,
    HookedDisk,
    everything,
    final,
    homes,
    journal,
    message_of,
    segments,
    store,
    until,
)

LITTLE, MUCH = b"little", b"m" * 400_000
GROUPS = [(LITTLE, LITTLE), (LITTLE, MUCH), (MUCH, MUCH, LITTLE)]
OPTIONS = replace(SMALL, segment_bytes=BODY_BYTES)


async def commit(spool: Journal, contents: Sequence[bytes]) -> list[Msgid]:
    """Store messages of one transaction, as yet unconfirmed."""
    found = []
    for content in contents:
        draft = spool.create()
        draft.write(content)
        await draft.commit(message_of(draft), together=True)
        found.append(draft.msgid)
    return found


async def in_queue(path: Path) -> list[Msgid]:
    """What the next start finds; it crashes, too."""
    async with journal(path, options=OPTIONS, crash=True) as spool:
        return sorted(await everything(spool))


@pytest.mark.parametrize("contents", GROUPS)
async def test_a_crash_before_all_are_confirmed_leaves_none_and_nothing_on_the_volume(
    tmp_path: Path, contents: Sequence[bytes]
) -> None:
    async with journal(tmp_path, crash=True) as spool:
        other = await store(spool, b"of another transaction")
        await commit(spool, contents)
    assert await in_queue(tmp_path) == [other.msgid]
    async with journal(tmp_path) as spool:
        await spool.update([final(other.envelopes[0].evpid)])
    assert homes(tmp_path) == []


@pytest.mark.parametrize("contents", GROUPS)
async def test_what_was_confirmed_is_found_by_every_start(tmp_path: Path, contents: Sequence[bytes]) -> None:
    async with journal(tmp_path, crash=True) as spool:
        msgids = await commit(spool, contents)
        await spool.confirm(msgids)
    for _ in range(3):
        assert await in_queue(tmp_path) == sorted(msgids)


@pytest.mark.parametrize("adopted", [False, True])
async def test_the_record_stays_as_long_as_a_message_that_it_names(tmp_path: Path, adopted: bool) -> None:
    async with journal(tmp_path, options=OPTIONS, crash=True) as spool:
        msgids = await commit(spool, (MUCH, LITTLE))
        await spool.confirm(msgids)
        if not adopted:
            await end_others(spool, msgids[0])
    async with journal(tmp_path, options=OPTIONS, crash=True) as spool:
        await end_others(spool, msgids[0])
    assert await in_queue(tmp_path) == msgids[:1]


async def end_others(spool: Journal, kept: Msgid) -> None:
    """Deliver all but one, and give back what room that leaves."""
    for stored, _ in (await everything(spool)).values():
        if stored.message.msgid != kept:
            await spool.update([final(evpid) for evpid in stored.states])
    for _ in range(3):
        other = await store(spool, b"x" * BODY_BYTES)
        await spool.update([final(other.envelopes[0].evpid)])
    spool.parts.janitor.sweep_soon()
    await spool.parts.janitor.finish()


async def test_damage_that_may_have_hit_the_record_loses_nothing(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as spool:
        msgids = await commit(spool, (MUCH, LITTLE))
        before = shared(tmp_path).stat().st_size
        await spool.confirm(msgids)
        later = await store(spool, b"behind it")
    with shared(tmp_path).open("r+b") as log:
        log.seek(before + 40)
        log.write(b"damage")
    assert await in_queue(tmp_path) == sorted([*msgids, later.msgid])


def shared(path: Path) -> Path:
    """Return the segment of the log that all messages share."""
    return next(each for each in segments(path) if each.stat().st_size < len(MUCH))


async def test_a_record_that_can_not_be_read_for_now_loses_nothing(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as spool:
        msgids = await commit(spool, (MUCH, MUCH))
        await spool.confirm(msgids)
    away = str(shared(tmp_path))

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "open" and arguments[0] == away:
            raise OSError(errno.EIO, "injected")

    async with journal(tmp_path, crash=True, disk=HookedDisk(hook)) as spool:
        assert sorted(await everything(spool)) == sorted(msgids)


def look(path: Path, home: Home, *, again: bool = False, disk: Disk | None = None) -> Recovered:
    """Read a log as an adopter does."""
    layout = Layout(str(path / "v1"))
    recovered = Replay(disk or RealDisk(), layout, Sealer(), (home,), again=again).run()
    recovered.enter()
    return recovered


def home_of(path: Path) -> Home:
    (directory,) = homes(path)
    return Home(directory.name, str(directory), own=False, proven=False)


def found(recovered: Recovered) -> list[Msgid]:
    return sorted(each.msgid for each in recovered.messages)


async def test_an_old_view_of_the_log_loses_nothing(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as spool:
        msgids = await commit(spool, (MUCH, LITTLE))
        before = shared(tmp_path).stat().st_size
        await spool.confirm(msgids)
    log = shared(tmp_path)
    whole = log.read_bytes()
    log.write_bytes(whole[:before])
    home = home_of(tmp_path)
    first = look(tmp_path, home)
    assert (found(first), first.torn) == ([], 2)
    assert found(look(tmp_path, home, again=True)) == []
    log.write_bytes(whole)
    assert found(look(tmp_path, home, again=True)) == sorted(msgids)
    assert found(look(tmp_path, home, again=True)) == []


async def test_what_was_taken_back_does_not_come_again_with_a_record_that_is_seen_late(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as spool:
        msgids = await commit(spool, (LITTLE, LITTLE))
        before = shared(tmp_path).stat().st_size
        await spool.confirm(msgids)
        stored = await spool.load(msgids[0])
        assert stored is not None
        await spool.update([final(evpid, "removed") for evpid in stored.states])
    log = shared(tmp_path)
    whole = log.read_bytes()
    log.write_bytes(whole[:before])
    home = home_of(tmp_path)
    assert found(look(tmp_path, home)) == []
    log.write_bytes(whole)
    assert found(look(tmp_path, home, again=True)) == msgids[1:]


async def test_a_message_that_is_read_after_its_record_keeps_that(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as spool:
        msgids = await commit(spool, (MUCH, LITTLE))
        await spool.confirm(msgids)
    log, (big,) = shared(tmp_path), [each for each in segments(tmp_path) if each.stat().st_size > len(MUCH)]
    failing = {str(big)}

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "open" and arguments[0] in failing:
            raise OSError(errno.EIO, "injected")

    home = home_of(tmp_path)
    disk = HookedDisk(hook)
    assert found(look(tmp_path, home, disk=disk)) == msgids[1:]
    pinned = {segment.path for segment in home.segments.values() for segment in segment.pins}
    assert pinned == {str(big)}, f"{log} goes after it"
    failing.clear()
    again = read_anew(disk, Layout(str(tmp_path / "v1")), Sealer(), shadows_of([home]))
    assert again is not None
    take_in([home], again)
    assert found(again) == msgids[:1]


async def test_a_copy_of_what_was_confirmed_needs_no_record(tmp_path: Path) -> None:
    options = replace(SMALL, compact_age_seconds=0.0, compact_live_share=1.0)
    async with journal(tmp_path, options=options, crash=True) as spool:
        msgids = await commit(spool, (MUCH, LITTLE))
        await spool.confirm(msgids)
    async with journal(tmp_path, options=options, crash=True) as spool:
        old = [segment for home in spool.parts.homes[1:] for segment in home.segments.values()]
        for segment in old:
            await spool.parts.compactor.empty(segment, spool.busy)
        spool.parts.janitor.sweep_soon()
        await until(lambda: len(spool.parts.homes) == 1, "the end of the adopted directory")
    assert await in_queue(tmp_path) == sorted(msgids)
