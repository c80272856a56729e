"""Peers whose Debian packages are only unpacked, as they can't be installed beside Postfix.

Such a program has paths of its package built in. It runs in a mount namespace of its own, where these paths, and the
files that name its users, are the test's: the machine itself gets neither files nor users. Needs root.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import pytest

from .processes import PeerError

FIRST_ID = 64_100
_MOUNT = 'while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 1; shift 2; done; shift; exec "$@"'


def package_directory(package: str) -> Path:
    """Return where a package lies unpacked. Raises `PeerError` that says how to get it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "paquebot" / "debian" / package
    if not path.is_dir():
        raise PeerError(f"{package} is not unpacked: run `make packages` (packages in tools/debian-unpacked.txt)")
    return path


def needs_unpacked(*packages: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test unless these packages are unpacked and this process may mount."""
    missing = [package for package in packages if not _is_unpacked(package)]
    missing += [] if _may_mount() else ["the right to mount"]
    return pytest.mark.skipif(bool(missing), reason=f"this machine lacks {', '.join(missing)}; see `make packages`")


def with_mounts(argv: Sequence[str], mounts: Mapping[Path, Path]) -> list[str]:
    """Return the command line that runs `argv` where the key of each of `mounts` shows what its value holds."""
    pairs = [str(path) for place, source in mounts.items() for path in (source, place)]
    return ["unshare", "--mount", "sh", "-c", _MOUNT, "sh", *pairs, "--", *argv]


def with_users(directory: Path, users: Mapping[str, int]) -> dict[Path, Path]:
    """Return mounts of passwd(5) and group(5) that have these users, each with a group of its own, as well."""
    passwd, group = Path("/etc/passwd"), Path("/etc/group")
    names = [f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n" for name, number in users.items()]
    groups = [f"{name}:x:{number}:\n" for name, number in users.items()]
    # The C library takes the first line of a name.
    (directory / "passwd").write_text("".join(names) + passwd.read_text())
    (directory / "group").write_text("".join(groups) + group.read_text())
    return {passwd: directory / "passwd", group: directory / "group"}


def give_to(path: Path, owner_id: int) -> None:
    """Make a file or directory that of a user and the group of the same number."""
    os.chown(path, owner_id, owner_id)


def _is_unpacked(package: str) -> bool:
    try:
        package_directory(package)
    except PeerError:
        return False
    return True


@lru_cache(maxsize=1)
def _may_mount() -> bool:
    if os.geteuid() != 0:
        return False
    probe = with_mounts(["true"], {Path("/tmp"): Path("/tmp")})
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0
