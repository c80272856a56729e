"""Power loss on XFS; and, on XFS and ext4, of the drop box: who was told that a message is safe finds it there."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from paquebot_mta.mail.submission import Submission
from paquebot_mta.spool.disk import RealDisk
from paquebot_mta.spool.layout import Layout, prepare
from paquebot_mta.spool.offline import Box, box_of, leave
from tests.faults.test_power_loss import lose_power_under_load
from tests.faults.volume import Kind, Volume, open_volume
from tests.support.processes import run_command
from tests.support.requirements import needs_programs

pytestmark = [
    pytest.mark.crash,
    pytest.mark.timeout(600),
    needs_programs("mkfs.ext4", "mkfs.xfs", "mount", as_root=True),
]
CYCLES = int(os.environ.get("PAQUEBOT_POWER_LOSSES", "2"))
MAIL = Submission("alice", ("bob@example.test",))


@pytest.fixture(params=["xfs"])
def volume(place: Path, request: pytest.FixtureRequest) -> Iterator[Volume]:
    made = open_volume(place, cast(Kind, request.param))
    yield made
    made.close()


def test_power_loss_on_xfs_loses_nothing_acknowledged(
    place: Path, volume: Volume, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    found = lose_power_under_load(place, volume, "paquebot_mta", CYCLES, seed)
    with capsys.disabled():
        print(f"\npower loss on XFS under load, seed {seed}:\n{found.table()}", end="")
    assert found.accepted >= 5 * CYCLES
    assert (found.lost, found.altered, found.strangers) == (0, 0, 0)


@pytest.mark.parametrize("volume", ["ext4", "xfs"], indirect=True)
def test_what_was_left_survives_though_nobody_may_sync_the_box(volume: Volume) -> None:
    layout = Layout(str(volume.path / "spool"))
    prepare(layout, RealDisk(), random.getrandbits)
    box = Box(layout, RealDisk(), lambda: "0" * 16)
    box.prepare()
    run_command(["sync", "-f", str(volume.path)]).checked()
    contents = [b"Subject: %d\r\n\r\n" % number * 500 for number in range(20)]
    for content in contents:
        leave(box_of(layout.root), MAIL, content)
    volume.lose_power()
    volume.power_on()
    claims, refused = box.take(100, set(), 0.0)
    found = []
    for claim in claims:
        with box.open(claim) as left:
            found.append(b"".join(left.content()))
    assert not refused
    assert sorted(found) == sorted(contents)
