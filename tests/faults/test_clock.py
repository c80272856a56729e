"""A wall clock that is set while mail waits: nothing expires, nothing bounces, retries go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.tracing import TracedPaquebot
from tests.support.paquebot_config import FAR, PaquebotSettings
from tests.support.processes import find_program, peer_directory
from tests.support.requirements import needs_programs

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120), needs_programs("faketime", "env")]

LIBRARIES = Path("/usr/lib")
DAY = 86_400


class FakedPaquebot(TracedPaquebot):
    """An instance whose wall clock is off by what a file says; the clocks that only count are the machine's."""

    def set_clock(self, seconds: int) -> None:
        """Let the wall clock jump to so many seconds from the right time."""
        fresh = self.directory / "clock.new"
        fresh.write_text(f"{seconds:+d}\n")
        fresh.rename(self.directory / "clock")

    def _argv(self) -> list[str]:
        (library,) = LIBRARIES.glob("*/faketime/libfaketimeMT.so.1")
        self.set_clock(0)
        faked = {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": self.directory / "clock",
            "FAKETIME_NO_CACHE": 1,
            "FAKETIME_DONT_FAKE_MONOTONIC": 1,
            "DONT_FAKE_MONOTONIC": 1,
            "NO_FAKE_STAT": 1,
        }
        return [find_program("env"), *(f"{name}={value}" for name, value in faked.items()), *super()._argv()]


@pytest.fixture
def paquebot() -> Iterator[FakedPaquebot]:
    with peer_directory() as place:
        directory = place / "paquebot"
        directory.mkdir()
        # Nobody answers for the recipient's domain: each attempt ends with a 4yz.
        running = FakedPaquebot(directory, PaquebotSettings(resolver_port=9, retry_seconds=1))
        yield running
        running.stop()


def attempts_of(paquebot: FakedPaquebot) -> int:
    (entry,) = paquebot.queue()
    return int(str(entry["attempts"]))


@pytest.mark.parametrize("jump", [30 * DAY, -DAY])
def test_a_clock_that_jumps_bounces_nothing_and_stops_nothing(paquebot: FakedPaquebot, jump: int) -> None:
    paquebot.send("alice@example.test", [f"bob@{FAR}"])
    paquebot.wait_for(lambda: attempts_of(paquebot) >= 1, "an attempt", 30.0)
    paquebot.set_clock(jump)
    (told,) = paquebot.wait_for_log("clock.jumped", timeout_seconds=20.0)
    assert abs(float(told["seconds"]) - jump) < 60
    before = attempts_of(paquebot)
    paquebot.wait_for(lambda: attempts_of(paquebot) >= before + 2, "two more attempts", 60.0)
    (entry,) = paquebot.queue()
    assert abs(float(str(entry["dueAt"])) - time.time()) < 3_600
    assert not paquebot.delivered("alice@example.test")  # no report
    paquebot.set_clock(0)
    paquebot.wait_for_log("clock.back", timeout_seconds=30.0)
