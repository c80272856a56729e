"""Messages that are written while they come in: what arrives meanwhile, perhaps the end of it, is never left lying."""

from __future__ import annotations

import pytest

from tests.support.load import Load, run_load
from tests.support.paquebot import running_paquebot
from tests.support.processes import peer_directory

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def test_big_messages_that_come_fast_are_answered() -> None:
    with peer_directory() as directory, running_paquebot(directory / "paquebot") as paquebot:
        for length_bytes in (300_000, 600_000, 3_000_000):
            load = Load(sessions=3, messages=9, length_bytes=length_bytes, name=f"big-{length_bytes}")
            witness = run_load(paquebot.ports.mx, load)
            assert (len(witness.acked), len(witness.unknown)) == (9, 0)
        paquebot.wait_for_empty_queue()
