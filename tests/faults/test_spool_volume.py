"""A real small volume that fills up: new mail is refused, deliveries go on, nothing is lost, and it heals."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from paquebot_mta.mail.envelope import Message
from paquebot_mta.spool.store import Spool, SpoolError
from tests.mta.spool.support import SMALL, everything, final, homes, journal, read, store

MIB = 1024 * 1024

pytestmark = [pytest.mark.crash]


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """16 MiB of tmpfs, which only root can mount."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a tmpfs")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", tmp_path], check=True, timeout=10)
    yield tmp_path
    subprocess.run(["umount", "-l", tmp_path], check=True, timeout=10)


async def fill(spool: Spool, size: int, stored: list[Message]) -> None:
    for _ in range(20_000):
        stored.append(await store(spool, b"x" * size))


@pytest.mark.parametrize("size", [4_000, 300_000])
@pytest.mark.parametrize("preallocate", [0, MIB])
async def test_a_volume_that_fills_up_refuses_mail_and_goes_on_delivering(
    volume: Path, size: int, preallocate: int
) -> None:
    options = replace(SMALL, ballast_bytes=MIB, segment_bytes=2 * MIB, preallocate_bytes=preallocate, space_seconds=0.0)
    async with journal(volume, options=options, crash=True) as spool:
        stored: list[Message] = []
        with pytest.raises(SpoolError) as caught:
            await fill(spool, size, stored)
        assert (caught.value.reply.code, caught.value.reply.status) == (452, "4.3.1")
        assert len(stored) * size > 8 * MIB
        half = len(stored) // 2
        for message in stored[:half]:
            await spool.update([final(message.envelopes[0].evpid)])
        await spool._parts.janitor.finish()
        for message in stored[half:]:
            assert len(await read(spool, message.msgid)) == size
        for _ in range(50):
            with suppress(SpoolError):
                stored.append(await store(spool, b"x" * size))
                break
            await asyncio.sleep(0.02)
        assert len(stored) > half * 2
    async with journal(volume, options=options) as after:
        found = await everything(after)
        assert sorted(found) == sorted(message.msgid for message in stored[half:])
        await after.update([final(evpid) for held, _ in found.values() for evpid in held.states])
    assert homes(volume) == []


async def test_a_volume_without_inodes_refuses_mail(tmp_path: Path, volume: Path) -> None:
    subprocess.run(["mount", "-o", "remount,nr_inodes=18", volume], check=True, timeout=10)  # noqa: ASYNC221
    async with journal(volume, options=replace(SMALL, segment_bytes=10_000)) as spool:
        with pytest.raises(SpoolError) as caught:
            await fill(spool, 4_000, [])
        assert caught.value.reply.code == 452
        assert spool.stats().messages > 3
