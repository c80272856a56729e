"""Where the programs of Kubernetes lie: those that `tools/kube` builds, or a machine's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "kube"
BUILD_SECONDS = 1_800


class UnavailableError(Exception):
    """This machine can't have a cluster; the message says why, and what to do."""


@cache
def directory() -> Path:
    """Return the directory of the programs, built first where that wasn't done. Raises `UnavailableError`."""
    done = subprocess.run([TOOL], capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    if done.returncode != 0:
        raise UnavailableError("; ".join(done.stderr.strip().splitlines()[-3:]))
    return Path(done.stdout.strip())


def program(name: str) -> str:
    """Return the path of a program: of `directory()`, else of PATH. Raises `UnavailableError`."""
    places = os.pathsep.join([str(directory()), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=places)
    if found is None:
        raise UnavailableError(f"{name} is not in {directory()} nor on PATH: run `make setup packages kube-tools`")
    return found
