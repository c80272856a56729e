"""Models in Promela, searched to the end, or to the first error, by the checkers that spin makes of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def errors_of(model: Path, directory: Path, *macros: str) -> str:
    """Make the checker of a variant, run it to the end or to the first error, and give its last words."""
    if shutil.which("spin") is None or shutil.which("gcc") is None:
        pytest.skip("spin and gcc are needed: apt-get install spin gcc libc6-dev")
    shutil.copy(model, directory)
    subprocess.run(["spin", "-a", *(f"-D{each}" for each in macros), model.name], cwd=directory, check=True)
    build = ["gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c"]
    subprocess.run(build, cwd=directory, check=True)
    found = subprocess.run(["./pan", "-m100000", "-n"], cwd=directory, check=True, capture_output=True, text=True)
    assert "max search depth too small" not in found.stdout
    return found.stdout
