"""A queue as version 1 wrote it once: it never changes, and every later program serves it, whatever keys it has."""

import base64
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Final

import pytest

from paquebot_mta.config.service import Queue
from paquebot_mta.spool.format import decode_header
from paquebot_mta.spool.open import open_spool
from paquebot_mta.spool.store import Spool
from tests.mta.spool.support import SMALL, everything, final, homes, segments

GOLDEN: Final = Path(__file__).parent / "golden-spool"
DIGESTS: Final = {"segments-v1": "8210faa3f38a4bac354bbf62b3d3fa85db5f877f1527776508c0c6908c4ab40a"}
RING: Final = json.dumps(
    [{"id": 1, "key": base64.b64encode(bytes(range(32))).decode(), "createdAt": "2026-11-21T00:00:00Z"}]
)
WAYS: Final = [Queue(minimum_free_percent=0), Queue(minimum_free_percent=0, key_ring=RING, compression="Zstd")]
MAIL: Final = {
    "7ed4d57b": (23, 1),
    "7ce42c82": (476, 2),
    "0741c7a8": (72_018, 1),
    "7204e52d": (36, 1),
    "442e3d43": (0, 1),
}
"""Size and live envelopes of each message: fresh, one delivered and one deferred of three, big, intended, empty."""


def unpacked(version: str, path: Path) -> Path:
    with tarfile.open(GOLDEN / f"{version}.tar.gz") as archive:
        archive.extractall(path, filter="data")
    return path


@pytest.mark.parametrize("version", DIGESTS)
def test_the_golden_spool_never_changes(version: str) -> None:
    assert hashlib.sha256((GOLDEN / f"{version}.tar.gz").read_bytes()).hexdigest() == DIGESTS[version]


@pytest.mark.parametrize("version", DIGESTS)
@pytest.mark.parametrize("queue", WAYS, ids=["plain", "sealed"])
async def test_a_queue_of_each_version_is_served(tmp_path: Path, version: str, queue: Queue) -> None:
    spool = await open_spool(queue, unpacked(version, tmp_path), options=SMALL)
    try:
        await check(spool)
        assert spool.stats().possible_duplicates == 1
    finally:
        await spool.close()
    again = await open_spool(queue, tmp_path, options=SMALL)
    try:
        await check(again)
        for stored, _ in (await everything(again)).values():
            await again.update([final(evpid) for evpid in stored.states])
    finally:
        await again.close()
    assert homes(tmp_path) == []


async def check(spool: Spool) -> None:
    found = await everything(spool)
    assert {msgid: (len(content), len(stored.states)) for msgid, (stored, content) in found.items()} == MAIL
    contents = [content for _, content in found.values()]
    assert sum(content.startswith(b"Subject: ") for content in contents) == 4
    attempts = sorted(state.attempts for stored, _ in found.values() for state in stored.states.values())
    assert attempts == [0, 0, 0, 0, 0, 3]


async def test_without_keys_and_compression_version_one_is_written(tmp_path: Path) -> None:
    """So a program of the version before can take over what this one leaves, and an upgrade can be undone."""
    spool = await open_spool(WAYS[0], unpacked("segments-v1", tmp_path), options=SMALL)
    await spool.close()
    versions = {header.version for each in segments(tmp_path) if (header := decode_header(each.read_bytes()[:4096]))}
    assert versions == {1}
