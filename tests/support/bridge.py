"""The bridge in C, compiled as the image's recipe does it."""

from __future__ import annotations

from pathlib import Path

from .processes import run_command

_SOURCE = Path(__file__).parents[2] / "bridge" / "bridge.c"


def compile_bridge(target: Path) -> Path:
    """Write the static program to `target`, and return that. Raises `PeerError` if the compiler refuses."""
    run_command(["gcc", "-O2", "-static", "-s", "-Wall", "-Werror", "-o", str(target), str(_SOURCE)]).checked()
    return target
