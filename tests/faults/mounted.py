"""A directory behind a file system of our own, see ``fuse_server.py``."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.processes import PeerProcess, run_command
from tests.support.requirements import needs_programs

# Debian's own interpreter, which has the binding.
PYTHON, BINDING = "/usr/bin/python3", Path("/usr/lib/python3/dist-packages/fuse.py")
SERVER = Path(__file__).with_name("fuse_server.py")
needs_fuse = [
    needs_programs(PYTHON, "umount", as_root=True),
    pytest.mark.skipif(
        not BINDING.exists() or not os.path.exists("/dev/fuse"), reason="this machine lacks python3-fuse, or /dev/fuse"
    ),
]


class Mounted:
    """A mount of ``place/source``; all that have the same `place` show the same files. ``path`` is where."""

    def __init__(self, place: Path, name: str) -> None:
        self.path = place / name
        self._source, self._wishes, self._past = place / "source", place / f"{name}.wishes", place / f"{name}.past"
        for each in (self.path, self._source, self._past):
            each.mkdir(exist_ok=True)
        argv = [PYTHON, SERVER, self._source, self.path, self._wishes, self._past]
        self._server = PeerProcess([str(each) for each in argv], place / f"{name}.log")
        self._server.wait_for(lambda: os.path.ismount(self.path), "the mount", 20.0)

    def wish(self, *lines: str) -> None:
        """Wish these, and no others any more."""
        fresh = self._wishes.with_suffix(".new")
        fresh.write_text("".join(f"{line}\n" for line in lines))
        fresh.rename(self._wishes)

    def keep_content(self, path: str) -> None:
        """Show a file as it is now from here on, whatever is written to it."""
        kept = self._past / path
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self._source / path, kept)

    def keep_names(self, path: str) -> None:
        """List a directory as it is now from here on."""
        kept = self._past / path
        kept.mkdir(parents=True, exist_ok=True)
        (kept / ".names").write_text("\n".join(os.listdir(self._source / path)))

    def forget(self) -> None:
        """Show everything as it is."""
        shutil.rmtree(self._past)
        self._past.mkdir()

    def close(self) -> None:
        """Unmount it."""
        self.wish()
        run_command(["umount", "-l", str(self.path)])
        self._server.terminate()
