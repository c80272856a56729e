"""A directory that the volume doesn't give out keeps nobody from the mail of others; it is told, and served later."""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

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
    store,
    until,
)

HERE = replace(SMALL, watch_seconds=0.02, beat_seconds=0.02)
QUIET = replace(HERE, watch_seconds=3_600.0)


class Barred:
    """Gives out nothing of the named kind from the directory of one incarnation."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.name = ""

    def __call__(self, call: str, arguments: tuple[Any, ...]) -> None:
        end = self.name if self.what == "" else f"{self.name}/{self.what}"
        if self.name and call in ("open", "names") and str(arguments[0]).endswith(end):
            raise OSError(errno.EIO, "injected")


def barred_of(notices: list[Notice]) -> list[str]:
    return [str(notice.details["incarnation"]) for notice in notices if notice.event == "queue.barred"]


async def leave(path: Path, content: bytes) -> str:
    async with journal(path, options=QUIET, crash=True) as dead:
        await store(dead, content)
        return dead.parts.homes[0].incarnation


@pytest.mark.parametrize("what", ["owner", "lock", ""])
async def test_a_start_serves_all_others_and_that_one_later(tmp_path: Path, what: str) -> None:
    barred, notices = Barred(what), list[Notice]()
    async with journal(tmp_path, options=QUIET, crash=True) as one, journal(tmp_path, options=QUIET, crash=True) as two:
        await store(one, b"of the barred one")
        await store(two, b"of another")
        barred.name = one.parts.homes[0].incarnation
    async with journal(tmp_path, disk=HookedDisk(barred), options=HERE, notice=notices.append) as heir:
        assert contents((await everything(heir)).values()) == [b"of another"]
        assert len(barred_of(notices)) + sum(notice.event == "queue.adoption-failed" for notice in notices) == 1
        barred.name = ""
        await until(lambda: count(heir) == 2, "the rest")


@pytest.mark.parametrize("what", ["owner", "lock", ""])
async def test_those_who_die_after_it_are_taken_over(tmp_path: Path, what: str) -> None:
    barred, notices = Barred(what), list[Notice]()
    async with journal(tmp_path, disk=HookedDisk(barred), options=HERE, notice=notices.append) as heir:
        async with journal(tmp_path, options=QUIET, crash=True) as other:
            await store(other, b"of another")
            async with journal(tmp_path, options=QUIET, crash=True) as one:
                await store(one, b"of the barred one")
                barred.name = one.parts.homes[0].incarnation
        await until(lambda: count(heir) == 1, "the mail of the other")
        assert contents((await everything(heir)).values()) == [b"of another"]
        barred.name = ""
        await until(lambda: count(heir) == 2, "the rest")
        assert len(notices) < 8


async def test_what_is_no_directory_stops_no_start(tmp_path: Path) -> None:
    notices: list[Notice] = []
    await leave(tmp_path, b"left behind")
    (tmp_path / "v1/pods/0123456789abcdef").write_text("")
    async with journal(tmp_path, options=HERE, notice=notices.append) as heir:
        assert contents((await everything(heir)).values()) == [b"left behind"]
        assert barred_of(notices) == ["0123456789abcdef"]


async def test_those_who_lead_to_a_barred_one_are_not_judged_by_themselves(tmp_path: Path) -> None:
    """Their beats stand still, but somebody serves their mail."""
    await leave(tmp_path, b"served")
    barred = Barred("owner")
    async with journal(tmp_path, options=QUIET) as living:
        assert count(living) == 1
        barred.name = living.parts.homes[0].incarnation
        async with journal(tmp_path, disk=HookedDisk(barred), options=HERE) as other:
            (root,) = [home for home in other.parts.watcher._owners if home not in (barred.name, _name(other))]
            assert [dead.root for dead in other.parts.watcher._dead(start=True)] == []
            assert list(other.parts.watcher.adopter.claim(root)) == []
            assert count(other) == 0


def _name(spool: Any) -> str:
    return str(spool.parts.homes[0].incarnation)


async def test_results_in_a_member_that_could_not_be_listed_end_what_still_waits(tmp_path: Path) -> None:
    async with journal(tmp_path, options=QUIET, crash=True) as first:
        done, waiting = [await store(first, b"mail %d" % number) for number in range(2)]
    async with journal(tmp_path, options=QUIET, crash=True) as second:
        await second.update([final(done.envelopes[0].evpid)])
        root = second.parts.homes[0].incarnation
    async with journal(tmp_path, options=QUIET, crash=True) as third:
        assert count(third) == 1
    barred, notices = Barred(""), list[Notice]()
    barred.name = root
    async with journal(tmp_path, disk=HookedDisk(barred), options=HERE, notice=notices.append) as heir:
        assert count(heir) == heir.stats().possible_duplicates == 2
        assert barred_of(notices) == [root]
        barred.name = ""
        await until(lambda: count(heir) == 1, "the results")
        assert list(await everything(heir)) == [waiting.msgid]
        await heir.update([final(waiting.envelopes[0].evpid)])
        await until(lambda: len(homes(tmp_path)) == 1, "nothing is held back")
