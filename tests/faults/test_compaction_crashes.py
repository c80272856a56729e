"""The process dies before each call of housekeeping: of ending the present segment, emptying it, and removing it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from paquebot_mta.spool.journal import Journal
from tests.faults import test_spool_crashes
from tests.faults.test_spool_crashes import Tell, Told, accept, arm, die_everywhere, end
from tests.mta.spool.support import ACCEPTED_AT, deferred

SMALL_BYTES = 1_000

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def one_long_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    options = replace(
        test_spool_crashes.OPTIONS, segment_bytes=4_000_000, preallocate_bytes=64_000, compact_floor_bytes=SMALL_BYTES
    )
    monkeypatch.setattr(test_spool_crashes, "OPTIONS", options)


async def deliver_the_big(spool: Journal, tell: Tell) -> None:
    """Put off what is small: it waits in a segment that is dead but for it."""
    for stored in [stored async for stored in spool.walk()]:
        evpids = list(stored.states)
        spool.intend(evpids)
        if stored.message.size > SMALL_BYTES:
            await end(spool, tell, evpids)
        else:
            await spool.update([deferred(evpid, 2) for evpid in evpids])
            tell(Told("deferred", evpids=tuple(evpids), attempts=2))


async def keep_house(spool: Journal, tell: Tell) -> None:
    parts = spool.parts
    before = set(parts.homes[0].segments)
    await parts.compactor.begin_anew(parts.homes, parts.clock())
    for segment in parts.compactor.candidates(parts.homes, ACCEPTED_AT):
        await parts.compactor.empty(segment, spool.busy)
    parts.janitor.sweep_soon()
    await parts.janitor.finish()
    assert len(parts.homes) == len(parts.homes[0].segments) == 1
    assert before.isdisjoint(parts.homes[0].segments)


def test_housekeeping_dies_at_every_call(tmp_path: Path) -> None:
    assert die_everywhere(tmp_path, (), (accept, deliver_the_big, arm, keep_house)) > 15


def test_housekeeping_of_what_was_adopted_dies_at_every_call(tmp_path: Path) -> None:
    assert die_everywhere(tmp_path, (accept,), (deliver_the_big, keep_house), 6) > 8
