"""Marks for tests that need a peer which this machine may lack; a skip names it, and counts as failure in CI."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest

from .processes import PeerError, find_program


def needs_programs(*names: str, as_root: bool = False) -> pytest.MarkDecorator:
    """Return a mark that skips a test unless these programs are installed (and root runs it, where that matters)."""
    missing = [*_missing(names), *(["root"] if as_root and os.geteuid() != 0 else [])]
    return pytest.mark.skipif(bool(missing), reason=f"this machine lacks {', '.join(missing)}; see `make setup`")


def _missing(names: Iterable[str]) -> Iterable[str]:
    for name in names:
        try:
            find_program(name)
        except PeerError:
            yield name
