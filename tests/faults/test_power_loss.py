"""Power loss at a random moment under load: what was acknowledged is there after the boot.

The volume is ext4 in a file; its power goes by an ioctl that drops all that was not synced, then the process is
killed. A build that does not sync, started by the tests' own entry, must be found out by the same test.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from paquebot_mta.spool.incarnation import this_machine
from tests.faults.books import Balance, balance
from tests.faults.volume import Volume, open_volume
from tests.mta.spool.support import contents, everything, journal
from tests.support.load import Load, Witness, run_load
from tests.support.paquebot import Paquebot
from tests.support.paquebot_config import FAR, PaquebotSettings
from tests.support.processes import run_command
from tests.support.requirements import needs_programs

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600), needs_programs("mkfs.ext4", "mount", as_root=True)]

CYCLES = int(os.environ.get("PAQUEBOT_POWER_LOSSES", "5"))


class PaquebotOnVolume(Paquebot):
    """An instance whose queue lies on the volume; ``entry`` is the module that starts it."""

    def __init__(self, directory: Path, volume: Path, entry: str) -> None:
        self._volume = volume
        self._entry = entry
        # Nothing is delivered: the only copy is in the queue.
        super().__init__(directory, PaquebotSettings(resolver_port=9, retry_seconds=86_400, grace_seconds=1.0))

    def _argv(self) -> list[str]:
        rest = super()._argv()[3:]
        rest[rest.index("--spool") + 1] = str(self._volume / "spool")
        return [sys.executable, "-m", self._entry, *rest]


@pytest.fixture
def volume(place: Path) -> Iterator[Volume]:
    made = open_volume(place)
    yield made
    made.close()


def lose_power_under_load(place: Path, volume: Volume, entry: str, cycles: int, seed: int) -> Balance:
    """Load, cut, boot, again and again; the books are balanced over all cycles."""
    chance = random.Random(seed)
    witness = Witness()
    directory = place / "paquebot"
    directory.mkdir()
    for cycle in range(cycles):
        paquebot = PaquebotOnVolume(directory, volume.path, entry)
        run_command(["sync", "-f", str(volume.path)]).checked()  # what a start has made is not the question
        load = Load(
            sessions=10,
            messages=2_000,
            length_bytes=chance.choice((300, 4_000, 300_000)),
            recipients=(f"x@{FAR}",),
            name=f"cycle-{cycle:02d}",
        )
        after = chance.randrange(5, 60)
        witness.join(run_load(paquebot.ports.mx, load, after_acked=after, then=partial(cut, volume, paquebot)))
        volume.power_on()
    return balance(witness, asyncio.run(queued(volume)), (), kills=cycles)


def cut(volume: Volume, paquebot: Paquebot) -> None:
    volume.lose_power()
    paquebot.kill()


async def queued(volume: Volume) -> list[bytes]:
    """Return the contents of what is queued after the last boot."""
    async with journal(volume.path / "spool") as spool:
        return contents((await everything(spool)).values())


def test_power_loss_loses_nothing_acknowledged(place: Path, volume: Volume, capsys: pytest.CaptureFixture[str]) -> None:
    seed = random.SystemRandom().randrange(2**32)
    found = lose_power_under_load(place, volume, "paquebot_mta", CYCLES, seed)
    with capsys.disabled():
        print(f"\npower loss under load, seed {seed}:\n{found.table()}", end="")
    assert found.accepted >= 5 * CYCLES
    assert (found.lost, found.altered, found.strangers) == (0, 0, 0)


def test_who_was_cut_off_young_is_known_to_be_dead_at_the_next_start(place: Path, volume: Volume) -> None:
    """By its lock, which must name the machine on the volume as soon as others can see it."""
    directory = place / "paquebot"
    directory.mkdir()
    young = PaquebotOnVolume(directory, volume.path, "paquebot_mta")
    witness = run_load(young.ports.mx, Load(sessions=2, messages=4, recipients=(f"x@{FAR}",), name="young"))
    cut(volume, young)
    volume.power_on()
    locks = [each.read_text() for each in volume.path.glob("spool/v1/pods/*/lock")]
    assert set(locks) == {this_machine()}
    after = PaquebotOnVolume(directory, volume.path, "paquebot_mta")
    try:
        (opened,) = after.wait_for_log("queue.opened")
    finally:
        after.kill()
    assert opened["messages"] == len(witness.acked) == 4


def test_a_build_that_does_not_sync_is_found_out(place: Path, volume: Volume) -> None:
    assert lose_power_under_load(place, volume, "tests.faults.forgetful", 1, seed=1).lost > 0
