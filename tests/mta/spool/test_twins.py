"""Of two messages with one id the later one gets another, however long that takes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paquebot_mta.spool.journal import Journal
from paquebot_mta.spool.options import no_space
from paquebot_mta.telemetry.events import Notice
from tests.mta.spool.support import SMALL, contents, count, everything, final, homes, journal, store, until

OFTEN = replace(SMALL, watch_seconds=0.02, beat_seconds=0.02)
QUIET = replace(OFTEN, watch_seconds=3_600.0)
ALL = [b"mine", b"twin"]


class Failing:
    """A copy that fails a few times, before it is made or (as after a deadline) only as far as anybody knows."""

    def __init__(self, spool: Journal, *, is_made: bool) -> None:
        self.move_as = spool.parts.compactor.move_as
        self.is_made = is_made
        self.tries = 0
        spool.parts.compactor.move_as = self  # type: ignore[method-assign,assignment]

    async def __call__(self, *arguments: Any) -> None:
        self.tries += 1
        if self.tries > 2 or self.is_made:
            await self.move_as(*arguments)
        if self.tries <= 2:
            raise no_space("full for a moment")


async def leave_twin(path: Path, heir: Journal) -> None:
    """Leave a message with the id of one that the heir has."""
    mine = await store(heir, b"mine")
    async with journal(path, crash=True, options=QUIET) as dead:
        dead._new_msgid = lambda: mine.msgid  # type: ignore[method-assign]
        await store(dead, b"twin")


@pytest.mark.parametrize("is_made", [False, True])
async def test_a_twin_whose_copy_fails_is_tried_again(tmp_path: Path, is_made: bool) -> None:
    notices: list[Notice] = []
    async with journal(tmp_path, options=OFTEN, notice=notices.append) as heir:
        failing = Failing(heir, is_made=is_made)
        await leave_twin(tmp_path, heir)
        await until(lambda: count(heir) == 2 and not heir.parts.twins, "both")
        assert failing.tries == (1 if is_made else 3)
        found = await everything(heir)
        assert sorted(contents(found.values())) == ALL
        assert sorted([waiting.msgid async for waiting in heir.recovered()]) == sorted(set(found) - {_mine(found)})
        assert [notice.event for notice in notices].count("queue.twin-waits") == 1
        await heir.update([final(evpid) for stored, _ in found.values() for evpid in stored.states])
        await until(lambda: len(homes(tmp_path)) == 1, "nothing is held back")


def _mine(found: Any) -> Any:
    return next(msgid for msgid, (_, content) in found.items() if content == b"mine")


async def test_a_twin_that_waits_is_there_after_a_restart(tmp_path: Path) -> None:
    async with journal(tmp_path, options=replace(OFTEN, retry_seconds=(0.02, 60.0)), crash=True) as heir:
        Failing(heir, is_made=False)
        await leave_twin(tmp_path, heir)
        await until(lambda: bool(heir.parts.told_twins), "the failure")
        assert count(heir) == 1
    async with journal(tmp_path, options=OFTEN) as next_one:
        assert sorted(contents((await everything(next_one)).values())) == ALL
