"""`kill -9` under load, again and again: what was acknowledged arrives, whole, and nearly always once.

The process takes mail by 20 sessions and delivers it into a maildir and to a next hop, until it is killed at a random
moment; then it is started again on the same spool. `PAQUEBOT_KILLS` says how often, `PAQUEBOT_SEED` takes the printed
seed of another run: the same loads and pauses, though never quite the same moments.
"""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from paquebot_mta.config.service import Queue
from tests.faults.books import Balance, balance
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Script
from tests.support.load import Load, Witness, run_load
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, FAR, PaquebotSettings

pytestmark = [pytest.mark.crash, pytest.mark.timeout(900)]

KILLS = int(os.environ.get("PAQUEBOT_KILLS", "50"))
SESSIONS = 20
IN_FLIGHT = 5 + 7
"""Connections of a route, and local deliveries of a user, at their default limits: what a kill can hit at once."""

REFUSING = Script(replies={"RCPT": "450 4.2.1 not now"})


class Storm:
    """Kills one instance again and again, and keeps the books."""

    def __init__(self, paquebot: Paquebot, far_mx: FakeMx, seed: int) -> None:
        self.witness = Witness()
        self.possible_duplicates = 0
        self._kills = 0
        self._paquebot = paquebot
        self._far_mx = far_mx
        self._random = random.Random(seed)

    def strike(self) -> None:
        """Load it, kill it at a random moment, start it again."""
        load = Load(
            sessions=SESSIONS,
            messages=100_000,
            length_bytes=self._random.choice((300, 4_000, 20_000, 300_000)),
            recipients=(ALICE, f"x@{FAR}"),
            name=f"round-{self._kills:03d}",
        )
        self._kills += 1
        # Every other time the next hop refuses for now: what waits has to live through many crashes.
        self._far_mx.script = REFUSING if self._kills % 2 else Script()
        self.witness.join(
            run_load(
                self._paquebot.ports.mx,
                load,
                then=self._paquebot.kill,
                after_acked=self._random.randrange(80),
                pause_seconds=self._random.random() * 0.1,
            )
        )
        self._paquebot.restart()
        (stats,) = json.loads(self._paquebot.cli("show", "stats", "--json").checked().stdout)
        self.possible_duplicates += int(stats["queue.possible_duplicates"])

    def settle(self) -> Balance:
        """Let all mail go, and balance the books."""
        self._far_mx.script = Script()
        self._paquebot.cli("schedule", "all").checked()
        self._paquebot.wait_for_empty_queue(120.0)
        queued = [self._paquebot.cli("show", "message", entry["evpid"][:8]).stdout for entry in self._paquebot.queue()]
        copies = [*self._paquebot.delivered(ALICE), *self._far_mx.contents]
        return balance(self.witness, copies, queued, kills=self._kills, possible_duplicates=self.possible_duplicates)


@pytest.mark.parametrize(("workers", "kills"), [(1, KILLS), (2, max(1, KILLS // 10))])
def test_no_kill_loses_or_harms_what_was_acknowledged(
    place: Path,
    settings: PaquebotSettings,
    far_mx: FakeMx,
    capsys: pytest.CaptureFixture[str],
    workers: int,
    kills: int,
) -> None:
    seed = int(os.environ.get("PAQUEBOT_SEED") or random.SystemRandom().randrange(2**32))
    with running_paquebot(place / "paquebot", replace(settings, workers=workers)) as paquebot:
        storm = Storm(paquebot, far_mx, seed)
        for _ in range(kills):
            storm.strike()
        found = storm.settle()
    with capsys.disabled():
        print(f"\nkill -9 under load, {workers} workers, seed {seed}:\n{found.table()}", end="")
    assert found.accepted > 10 * kills
    assert (found.lost, found.altered, found.strangers, found.queued) == (0, 0, 0, 0)
    assert found.duplicates <= found.possible_duplicates + IN_FLIGHT * workers * kills


def test_a_queue_in_memory_is_found_out(place: Path, settings: PaquebotSettings, far_mx: FakeMx) -> None:
    forgetful = replace(settings, queue=Queue(backend="Memory", minimum_free_percent=0))
    with running_paquebot(place / "paquebot", forgetful) as paquebot:
        storm = Storm(paquebot, far_mx, seed=1)
        for _ in range(3):
            storm.strike()
        found = storm.settle()
    assert found.lost > 0
