"""The short mode of the ledger: a pool broken at random for a minute, and a build whose mistake it must find.

`make ledger` takes as long as one likes. `PAQUEBOT_LEDGER_SECONDS` lengthens this one, `PAQUEBOT_SEED` takes the
printed seed of another run.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.faults.ledger.account import kinds_table
from tests.faults.ledger.plan import Plan
from tests.faults.ledger.rivals import lose_power
from tests.faults.ledger.run import run_ledger
from tests.support.requirements import needs_programs

pytestmark = [
    pytest.mark.crash,
    pytest.mark.timeout(900),
    needs_programs("mkfs.ext4", "mount", "losetup", "chattr", "strace", as_root=True),
]

SECONDS = float(os.environ.get("PAQUEBOT_LEDGER_SECONDS", "60"))
LEAST_POINTS = 8
ALLOWED_SECONDS = 15.0
"""From a death to the first delivery by another, with default settings. Few are measured, so this is of the median; a
single one that takes 45 s is among the faults."""


def test_a_pool_that_is_broken_at_random_loses_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("PAQUEBOT_SEED") or random.SystemRandom().randrange(2**32))
    told: list[str] = []
    found, points = run_ledger(place, Plan(seed=seed, seconds=SECONDS), told.append)
    with capsys.disabled():
        print(f"\nledger, seed {seed}:\n{kinds_table(points)}{found.table()}", end="")
    assert found.faults == (), told
    assert found.points >= LEAST_POINTS
    assert found.accepted > 10 * found.points
    assert found.takeover_p50_seconds <= ALLOWED_SECONDS


def test_a_build_that_leaves_the_sync_out_is_found_out(place: Path) -> None:
    plan = Plan(seed=1, points=1, kinds=("power",), entry="tests.faults.forgetful", settle_seconds=5.0)
    found, _ = run_ledger(place, plan)
    assert "lost" in found.faults


@needs_programs("postsuper")
def test_the_same_driver_cuts_the_power_of_another_server(place: Path) -> None:
    found = lose_power(place, "postfix", cuts=1, seed=1)
    assert found.accepted > 0
    assert (found.lost, found.altered, found.strangers) == (0, 0, 0)
