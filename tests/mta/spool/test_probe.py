"""The start tries the volume: what it can't do, or won't promise, is told or refused."""

import errno
from pathlib import Path
from typing import Any

import pytest

from paquebot_mta.spool.disk import RealDisk
from paquebot_mta.spool.options import JournalOptions
from paquebot_mta.spool.probe import VolumeRefusedError, find_mount, probe
from paquebot_mta.telemetry.events import Notice
from tests.mta.spool.support import SMALL, HookedDisk, journal

PLAIN = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
NFS = "30 22 0:40 / /queue\\040here rw,relatime - nfs4 server:/q {options}\n"
HARD = "rw,vers=4.2,hard,proto=tcp"


def look(disk: RealDisk, path: Path, mounts: str = PLAIN) -> list[str]:
    return list(probe(disk, str(path), lambda: mounts))


def mounts_at(path: Path, kind: str, options: str) -> str:
    return f"{PLAIN}30 22 0:40 / {path} rw,relatime - {kind} source {options}\n"


def test_a_sound_volume_passes_and_nothing_is_left_on_it(tmp_path: Path) -> None:
    assert look(RealDisk(), tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["soft", "softerr", "nocto", "nolock"])
def test_options_that_break_promises_are_refused(tmp_path: Path, option: str) -> None:
    mounts = mounts_at(tmp_path, "nfs4", f"rw,vers=4.2,{option},proto=tcp")
    with pytest.raises(VolumeRefusedError, match="mount it"):
        look(RealDisk(), tmp_path, mounts)
    assert look(RealDisk(), tmp_path, mounts_at(tmp_path, "nfs4", HARD)) == []


@pytest.mark.parametrize(("kind", "text"), [("tmpfs", "memory"), ("overlay", "container")])
def test_kinds_that_forget_are_warned_of(tmp_path: Path, kind: str, text: str) -> None:
    (warning,) = look(RealDisk(), tmp_path, mounts_at(tmp_path, kind, "rw"))
    assert text in warning


def test_the_innermost_mount_counts_and_names_may_hold_spaces() -> None:
    mounts = PLAIN + NFS.format(options=HARD)
    inner, outer = find_mount(mounts, "/queue here/spool"), find_mount(mounts, "/queue")
    assert inner is not None
    assert outer is not None
    assert (inner.kind, outer.kind) == ("nfs4", "ext4")
    assert "hard" in inner.options


class Lenient(RealDisk):
    """Makes a name twice."""

    def link(self, source: str, target: str) -> None:
        if not self.exists(target):
            super().link(source, target)


class Stale(RealDisk):
    """Reads what was there before."""

    def read(self, fd: int, length: int, offset: int) -> bytes:
        return super().read(fd, length, offset)[:5]


class Indirect(RealDisk):
    """Serves direct reads from an old copy."""

    def read_into(self, fd: int, buffer: Any, offset: int) -> int:
        buffer[:] = b"o" * len(buffer)
        return len(buffer)


@pytest.mark.parametrize(
    ("disk", "text"), [(Lenient(), "link"), (Stale(), "opened again"), (Indirect(), "direct read")]
)
def test_a_volume_that_does_not_keep_its_word_is_refused(tmp_path: Path, disk: RealDisk, text: str) -> None:
    with pytest.raises(VolumeRefusedError, match=text):
        look(disk, tmp_path)


def test_a_volume_without_direct_reads_is_warned_of(tmp_path: Path) -> None:
    def refuse(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "open" and arguments[1] & 0o40000:
            raise OSError(errno.EINVAL, "injected")

    (warning,) = look(HookedDisk(refuse), tmp_path)
    assert "one machine" in warning


def test_a_full_volume_is_no_reason_not_to_start(tmp_path: Path) -> None:
    def refuse(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "write":
            raise OSError(errno.ENOSPC, "injected")

    (warning,) = look(HookedDisk(refuse), tmp_path)
    assert "full" in warning


PROBING = JournalOptions(
    preallocate_bytes=0, ballast_bytes=0, minimum_free_percent=0, claim_pause_seconds=0.0, grave_seconds=0.0
)


async def test_the_start_refuses_such_a_volume_and_leaves_no_directory(tmp_path: Path) -> None:
    with pytest.raises(VolumeRefusedError):
        async with journal(tmp_path, options=PROBING, disk=Lenient()):
            pass
    assert list((tmp_path / "v1/pods").glob("[0-9a-f]*")) == []


async def test_the_start_tells_of_warnings(tmp_path: Path) -> None:
    notices: list[Notice] = []

    def refuse(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "open" and arguments[0].endswith("/.probe-a") and arguments[1] & 0o40000:
            raise OSError(errno.EINVAL, "injected")

    async with journal(tmp_path, options=PROBING, disk=HookedDisk(refuse), notice=notices.append):
        pass
    assert [notice.event for notice in notices] == ["queue.volume"]
    assert not SMALL.probe
