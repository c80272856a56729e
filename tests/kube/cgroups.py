"""The control groups below which a node's kubelet makes those of its pods; version 1 and version 2."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_END_SECONDS = 10.0


def make(group: str) -> None:
    """Make `group` ("/a/b") in every hierarchy, with everything that its parents may use."""
    for hierarchy in _hierarchies():
        path = hierarchy
        for part in group.strip("/").split("/"):
            _delegate(path)
            path /= part
            path.mkdir(exist_ok=True)
            _inherit(path)


def remove(group: str) -> None:
    """Remove `group` and all below from every hierarchy; its processes have to be ending."""
    deadline = time.monotonic() + _END_SECONDS
    for hierarchy in _hierarchies():
        top = hierarchy / group.strip("/")
        while top.exists() and time.monotonic() < deadline:
            for path in sorted((top, *(path for path in top.rglob("*") if path.is_dir())), reverse=True):
                with contextlib.suppress(OSError):
                    path.rmdir()
            if top.exists():
                time.sleep(0.05)


def left_over(group: str) -> list[Path]:
    """Return where `group` still is."""
    return [path for hierarchy in _hierarchies() if (path := hierarchy / group.strip("/")).exists()]


def _hierarchies() -> Iterator[Path]:
    """Yield the mount of each hierarchy: one of version 2, or one a controller of version 1."""
    if (ROOT / "cgroup.controllers").exists():
        yield ROOT
        return
    for path in sorted(ROOT.iterdir()):
        if not path.is_symlink() and (path / "cgroup.procs").exists():
            yield path


def _delegate(path: Path) -> None:
    """Version 2: a group's controllers have to be handed down by its parent, one by one as not all may be."""
    controllers = path / "cgroup.controllers"
    for controller in controllers.read_text().split() if controllers.exists() else ():
        with contextlib.suppress(OSError):
            (path / "cgroup.subtree_control").write_text(f"+{controller}")


def _inherit(path: Path) -> None:
    """Version 1: a new cpuset has neither processors nor memory, and takes no process."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        own = path / name
        if not (ROOT / "cgroup.controllers").exists() and own.exists() and not own.read_text().strip():
            own.write_text((path.parent / name).read_text())
