"""The order of the queue's steps, checked in every interleaving by spin; wrong orders must be found out.

DOUBLES has too many states to be searched to the end: it is used to find a wrong order only.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).with_name("queue.pml")
WRONG = (
    ("ACK_BEFORE_SYNC",),
    ("CHECK_BEFORE_SYNC",),
    ("NO_CHECK",),
    ("READ_BEFORE_OWNER",),
    ("FORGET_ADOPTED",),
    ("DOUBLES", "UNCOUNTED_INTENT"),
)

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(600)]


def errors_of(directory: Path, *macros: str) -> str:
    """Make the checker of a variant, run it to the end or to the first error, and give its last words."""
    if shutil.which("spin") is None or shutil.which("gcc") is None:
        pytest.skip("spin and gcc are needed: apt-get install spin gcc libc6-dev")
    shutil.copy(MODEL, directory)
    subprocess.run(["spin", "-a", *(f"-D{each}" for each in macros), MODEL.name], cwd=directory, check=True)
    build = ["gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c"]
    subprocess.run(build, cwd=directory, check=True)
    found = subprocess.run(["./pan", "-m100000", "-n"], cwd=directory, check=True, capture_output=True, text=True)
    assert "max search depth too small" not in found.stdout
    return found.stdout


def test_what_was_acknowledged_is_delivered_whatever_dies_or_pauses(tmp_path: Path) -> None:
    assert "errors: 0" in errors_of(tmp_path)


@pytest.mark.parametrize("macros", WRONG, ids=" ".join)
def test_a_wrong_order_is_found_out(tmp_path: Path, macros: tuple[str, ...]) -> None:
    assert "errors: 1" in errors_of(tmp_path, *macros)
