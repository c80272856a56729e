"""Does the volume keep what the queue relies on? Tried at the start, in our own directory. Blocks.

What is tried: appended bytes are there after opening again, a name is made only once, a rename and a second name are
seen at once, and a block read past the page cache is the one that was written. What can't be tried is read from the
mount's options: a soft mount gives up writes, without close-to-open consistency an adopter reads old blocks.
"""

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from mmap import mmap
from pathlib import Path
from typing import Final

from paquebot_mta.spool.disk import Disk, read_file, write_all, write_file

_MOUNTS: Final = Path("/proc/self/mountinfo")
_FORBIDDEN: Final = {
    "soft": "a soft mount gives up writes that were promised; mount it hard",
    "softerr": "a soft mount gives up writes that were promised; mount it hard",
    "nocto": "without close-to-open consistency an adopter reads old blocks; mount it with cto",
    "nolock": "exclusive names need the server's locks; mount it without nolock",
}
_VOLATILE: Final = frozenset({"tmpfs", "ramfs"})
_LAYERED: Final = frozenset({"overlay", "aufs"})
_NETWORK: Final = ("nfs", "cifs", "smb3", "ceph", "glusterfs", "9p", "virtiofs")
_BLOCK: Final = 4096


class VolumeRefusedError(OSError):
    """The volume breaks what the queue relies on: nothing may be acknowledged on it."""


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a directory is mounted from."""

    point: str
    kind: str
    options: frozenset[str]


@dataclass(slots=True)
class Findings:
    """What was found: ``refusals`` forbid to use the volume, ``warnings`` say what it doesn't promise."""

    refusals: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def probe(disk: Disk, directory: str, mountinfo: Callable[[], str] = _MOUNTS.read_text) -> Sequence[str]:
    """Try the volume in a directory of ours, and leave nothing there. Returns warnings.

    Raises:
        VolumeRefusedError: it may not be used, and why.
        OSError: it is out of order.
    """
    findings = Findings()
    with suppress(OSError):
        _judge_mount(find_mount(mountinfo(), os.path.realpath(directory)), findings)
    _try(disk, directory, findings)
    if findings.refusals:
        raise VolumeRefusedError("; ".join(findings.refusals))
    return findings.warnings


def find_mount(mountinfo: str, path: str) -> Mount | None:
    """Find the mount that a path lies on: the longest mount point, the last one of equals (proc(5))."""
    best: Mount | None = None
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if len(fields) < 6 or len(rest) < 3:
            continue
        point = _unescaped(fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and (best is None or len(point) >= len(best.point)):
            best = Mount(point, rest[0], frozenset(fields[5].split(",")) | frozenset(rest[2].split(",")))
    return best


def _unescaped(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def _judge_mount(mount: Mount | None, findings: Findings) -> None:
    if mount is None:
        return
    if mount.kind.startswith(_NETWORK):
        findings.refusals += [reason for option, reason in _FORBIDDEN.items() if option in mount.options]
    if mount.kind in _VOLATILE:
        findings.warnings.append(f"{mount.kind} is memory: mail is lost with the machine")
    if mount.kind in _LAYERED:
        findings.warnings.append(f"{mount.kind} is a container's own layer: mail is lost with the container")


def _try(disk: Disk, directory: str, findings: Findings) -> None:
    names = [f"{directory}/.probe-{part}" for part in ("a", "b", "c")]
    try:
        _try_appending(disk, names[0], findings)
        _try_names(disk, names, findings)
        _try_direct(disk, names[0], findings)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        findings.warnings.append("the volume is full: it could not be tried")
    finally:
        for name in names:
            with suppress(OSError):
                disk.unlink(name)


def _try_appending(disk: Disk, path: str, findings: Findings) -> None:
    """What was synced is read by whoever opens the file anew, twice over."""
    for at, part in ((0, b"first"), (5, b"second")):
        fd = disk.open(path, os.O_WRONLY | os.O_CREAT)
        try:
            write_all(disk, fd, part, at)
            disk.sync(fd)
            disk.sync_dir(os.path.dirname(path))
            seen = read_file(disk, path, _BLOCK)
        finally:
            disk.close(fd)
        if not seen.endswith(part) or len(seen) != at + len(part):
            findings.refusals.append("what was appended and synced is not there when the file is opened again")


def _try_names(disk: Disk, names: Sequence[str], findings: Findings) -> None:
    """A name is made once only, be it new or a second one; a rename takes effect at once."""
    first, second, third = names
    if not _is_exclusive(lambda: disk.close(disk.open(first, os.O_WRONLY | os.O_CREAT | os.O_EXCL))):
        findings.refusals.append("a name that exists can be made again: O_EXCL is not kept")
    disk.link(first, second)
    if not _is_exclusive(lambda: disk.link(first, second)):
        findings.refusals.append("a name that exists can be made again by link")
    write_file(disk, third, b"renamed")
    disk.rename(third, second)
    if disk.exists(third) or read_file(disk, second, _BLOCK) != b"renamed":
        findings.refusals.append("a rename does not take effect at once")


def _is_exclusive(make: Callable[[], None]) -> bool:
    try:
        make()
    except FileExistsError:
        return True
    return False


def _try_direct(disk: Disk, path: str, findings: Findings) -> None:
    """The owner block is read past the page cache, through a descriptor that is kept open."""
    try:
        fd = disk.open(path, os.O_RDWR | os.O_DIRECT)
    except OSError:
        findings.warnings.append("no direct reads (O_DIRECT): only safe for processes of one machine")
        return
    try:
        with mmap(-1, _BLOCK) as block, mmap(-1, _BLOCK) as seen:
            for fill in (b"1", b"2"):
                block[:] = fill * _BLOCK
                disk.write(fd, block, 0)
                disk.read_into(fd, seen, 0)
                if seen[:] != block[:]:
                    findings.refusals.append("a direct read does not give what was written before it")
    except OSError:
        findings.warnings.append("direct reads (O_DIRECT) fail: only safe for processes of one machine")
    finally:
        disk.close(fd)
