"""A file system of our own under the real process: it fails or delays calls as wished. What an old view of the volume
does, as clients of NFS may have one, is shown with two mounts of one directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from paquebot_mta.spool.journal import Journal
from tests.faults.books import balance
from tests.faults.mounted import Mounted, needs_fuse
from tests.faults.tracing import TracedPaquebot
from tests.mta.spool.support import SMALL, count, everything, final, journal, store, until
from tests.support.load import Load, run_load
from tests.support.paquebot_config import ALICE, BOB, PaquebotSettings
from tests.support.processes import wait_until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180), *needs_fuse]

FAR_AWAY = replace(
    SMALL, machine="", watch_seconds=0.03, grave_seconds=600.0, rescan_seconds=(1.0, 600.0), private_bytes=64 * 1024
).leased(6.0)
"""Locks prove nothing; a second look comes soon."""


@contextmanager
def running(place: Path, volume: Mounted) -> Iterator[TracedPaquebot]:
    """Run an instance whose queue lies there."""
    directory = place / "paquebot"
    directory.mkdir()
    (directory / "spool").symlink_to(volume.path)
    paquebot = TracedPaquebot(directory, PaquebotSettings())
    try:
        yield paquebot
    finally:
        volume.wish()
        paquebot.stop()


@pytest.fixture
def volume(place: Path) -> Iterator[Mounted]:
    mounted = Mounted(place, "volume")
    yield mounted
    mounted.close()


@pytest.fixture
def other(place: Path, volume: Mounted) -> Iterator[Mounted]:
    """The same directory, as another machine has it."""
    mounted = Mounted(place, "other")
    yield mounted
    mounted.close()


def test_a_segment_that_can_not_be_read_holds_its_own_mail_only(place: Path, volume: Mounted) -> None:
    with running(place, volume) as paquebot:
        (incarnation,) = (path.name for path in (volume.path / "v1" / "pods").iterdir())
        paquebot.cli("pause", "mda").checked()
        for _ in range(3):
            paquebot.send("a@client.test", [ALICE])
        paquebot.kill()
        volume.wish(f"read {incarnation}/seg- EIO")
        paquebot.restart()
        paquebot.send("a@client.test", [BOB])
        paquebot.wait_for_delivered(BOB)
        assert not paquebot.delivered(ALICE)
        assert paquebot.is_ready()
        volume.wish()
        assert len(paquebot.wait_for_delivered(ALICE, count=3, timeout=60.0)) == 3


def test_a_slow_volume_is_slow_and_nothing_else(place: Path, volume: Mounted) -> None:
    with running(place, volume) as paquebot:
        volume.wish("sync / 0.2", "write / 0.02")
        load = Load(sessions=3, messages=12, length_bytes=800, recipients=(ALICE,), name="slow")
        witness = run_load(paquebot.ports.mx, load)
        assert len(witness.acked) == 12
        assert paquebot.is_ready()
        paquebot.wait_for_empty_queue(60.0)
        found = balance(witness, paquebot.delivered(ALICE), ())
        assert (found.lost, found.altered, found.strangers, found.duplicates) == (0, 0, 0, 0)


def test_writes_that_fail_for_one_file_only_go_elsewhere(place: Path, volume: Mounted) -> None:
    with running(place, volume) as paquebot:
        paquebot.send("a@client.test", [ALICE])
        paquebot.wait_for_delivered(ALICE)
        (segment, *_) = sorted(volume.path.glob("v1/pods/*/seg-*.q"))
        volume.wish(f"write {segment.name} EIO")

        def is_taken() -> bool:
            paquebot.send("a@client.test", [BOB])
            return bool(paquebot.delivered(BOB))

        wait_until(is_taken, "an acknowledgement", 30.0)
        paquebot.wait_for(paquebot.is_ready, "readiness", 30.0)


async def deliver_all(spool: Journal) -> list[bytes]:
    """Deliver what is there, and let go what is done with."""
    found = await everything(spool)
    await spool.update([final(evpid) for stored, _ in found.values() for evpid in stored.states])
    await spool.parts.janitor.finish()
    return [content for _, content in found.values()]


@pytest.mark.parametrize("kept", ["length", "names", "nothing"])
async def test_what_an_old_view_of_the_volume_hides_is_delivered_once_it_shows(
    volume: Mounted, other: Mounted, kept: str
) -> None:
    """The heir sees the goodbye, by direct I/O, but not yet the last that its writer wrote."""
    last = b"the last" * 20_000 if kept == "names" else b"the last"
    async with journal(other.path, options=FAR_AWAY) as heir:
        async with journal(volume.path, options=FAR_AWAY) as leaving:
            directory = f"v1/pods/{leaving.parts.homes[0].incarnation}"
            await store(leaving, b"the first")
            if kept == "length":
                other.keep_content(f"{directory}/{next((volume.path / directory).glob('seg-*.q')).name}")
            if kept == "names":
                other.keep_names(directory)
            await store(leaving, last)
        await until(lambda: count(heir) > 0, "adoption", 10.0)
        seen = await deliver_all(heir)
        assert seen == ([b"the first", last] if kept == "nothing" else [b"the first"])
        other.forget()
        if kept != "nothing":
            await until(lambda: count(heir) > 0, "what was hidden", 10.0)
            assert await deliver_all(heir) == [last]
        await until(lambda: not list((volume.path / directory).glob("seg-*.q")), "the end of all segments", 10.0)
