"""What can't be removed holds up nothing else, is told once, and is tried again."""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

from paquebot_mta.spool.journal import Journal
from paquebot_mta.telemetry.events import Notice
from tests.mta.spool.support import SMALL, HookedDisk, count, everything, final, homes, journal, segments, store, until


class Stuck:
    """Lets nothing go whose path ends like this."""

    def __init__(self, *calls: str) -> None:
        self.calls = calls
        self.end = ""
        self.tries = 0

    def __call__(self, call: str, arguments: tuple[Any, ...]) -> None:
        if self.end and call in self.calls and str(arguments[0]).endswith(self.end):
            self.tries += 1
            raise OSError(errno.EPERM, "injected")


def told(notices: list[Notice]) -> list[str]:
    return [str(notice.details["path"]) for notice in notices if notice.event == "queue.unremovable"]


async def sweep(spool: Journal) -> None:
    spool.parts.janitor.sweep_soon()
    await spool.parts.janitor.finish()


async def test_a_file_that_can_not_be_removed_does_not_keep_the_others(tmp_path: Path) -> None:
    stuck, notices = Stuck("unlink"), list[Notice]()
    options = replace(SMALL, housekeeping_seconds=0.1)
    async with journal(tmp_path, disk=HookedDisk(stuck), options=options, notice=notices.append) as spool:
        stuck.end = "seg-0000000000000003.q"
        for _ in range(10):
            message = await store(spool, b"x" * 300_000)
            await spool.update([final(message.envelopes[0].evpid)])
            await sweep(spool)
        kept = [path for path in segments(tmp_path) if path.stat().st_size > 300_000]
        assert [path.name for path in kept] == [stuck.end]
        assert told(notices) == [str(kept[0])]
        assert stuck.tries < 10, "not each time that a message ends"
        stuck.end = ""
        await until(lambda: not kept[0].exists(), "another try")
        assert len(told(notices)) == 1


async def test_what_is_not_known_to_be_gone_is_not_forgotten(tmp_path: Path) -> None:
    """Results go durably after what they are about."""
    stuck = Stuck("sync_dir")
    options = replace(SMALL, housekeeping_seconds=0.1)
    async with journal(tmp_path, disk=HookedDisk(stuck), options=options) as spool:
        await store(spool, b"kept")
        message = await store(spool, b"x" * 300_000)
        home = spool.parts.homes[0]
        stuck.end = home.incarnation
        await spool.update([final(message.envelopes[0].evpid)])
        await sweep(spool)
        assert any(segment.private for segment in home.segments.values())
        stuck.end = ""
        await until(lambda: not any(segment.private for segment in home.segments.values()), "another try")


async def test_a_directory_that_can_not_be_buried_does_not_keep_the_others(tmp_path: Path) -> None:
    stuck, notices, left = Stuck("rename"), list[Notice](), list[str]()
    for _ in range(3):
        async with journal(tmp_path, options=replace(SMALL, watch_seconds=3_600.0), crash=True) as one:
            await store(one, b"x")
            left.append(one.parts.homes[0].incarnation)
    stuck.end = left[0]
    options = replace(SMALL, housekeeping_seconds=0.1)
    async with journal(tmp_path, disk=HookedDisk(stuck), options=options, notice=notices.append) as heir:
        assert count(heir) == 3
        found = await everything(heir)
        await heir.update([final(evpid) for stored, _ in found.values() for evpid in stored.states])
        await until(lambda: len(homes(tmp_path)) == 2, "burial of the others")
        assert left[0] in {home.name for home in homes(tmp_path)}
        await until(lambda: len(told(notices)) == 1, "it is told")
        stuck.end = ""
        await until(lambda: len(homes(tmp_path)) == 1, "another try")
