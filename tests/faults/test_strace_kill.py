"""Death at system calls of the real process: what was acknowledged is delivered or queued, whole.

One instance takes, delivers (maildir and next hop), drains and starts again; strace kills it at the n-th call of each
kind. By default n is of `SAMPLED`, as far as time allows; with `PAQUEBOT_EVERY_CALL=1` it is every n until the
scenario runs to its end unharmed (some twenty minutes).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.faults.books import Balance, balance, token_of
from tests.faults.tracing import Injection, TracedPaquebot, running_traced
from tests.support.fake_mx import FakeMx
from tests.support.load import Load, Witness, run_load
from tests.support.paquebot_config import ALICE, FAR, PaquebotSettings
from tests.support.processes import PeerError, peer_directory, wait_until
from tests.support.requirements import needs_programs

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3_600), needs_programs("strace")]

EVERY_CALL = os.environ.get("PAQUEBOT_EVERY_CALL") == "1"
SAMPLED = (3, 1)
"""Late, so that something was acknowledged before; the first one if the scenario makes too few calls for that."""
BUDGET_SECONDS = 18.0
"""Of a scenario on a slow machine, where only some kinds of calls may get their turn."""
MOST_CALLS = 2_000
MESSAGES = 4
SMALL_BYTES, BIG_BYTES = 800, 600_000
"""Through the shared log, and through a segment of its own."""
SMALL_CALLS = ("openat", "pwrite", "write", "fdatasync", "fsync", "rename", "fallocate", "unlink")
BIG_CALLS = ("openat", "pwrite", "write", "fdatasync", "fsync", "ftruncate", "unlink", "rename")
DRAIN_CALLS = ("pwrite", "fdatasync", "fsync", "ftruncate", "unlink", "rename")
START_CALLS = ("pwrite", "fdatasync", "fsync", "mkdir", "rename", "unlink")
"""Of a start: not those that Python itself makes hundreds of times."""


@pytest.fixture
def settings(settings: PaquebotSettings) -> PaquebotSettings:
    """With a short drain."""
    return replace(settings, grace_seconds=5.0)


class Trial:
    """Strikes one instance and keeps the books."""

    def __init__(self, paquebot: TracedPaquebot, far_mx: FakeMx) -> None:
        self.paquebot = paquebot
        self.witness = Witness()
        self.kills: dict[str, int] = {}
        self._far_mx = far_mx
        self._runs = 0

    def load(self, length_bytes: int) -> None:
        """Send some messages, to the maildir and to the next hop in turns."""
        self._runs += 1
        name = f"run-{self._runs:04d}"
        load = Load(sessions=2, messages=MESSAGES, length_bytes=length_bytes, recipients=(ALICE, f"x@{FAR}"), name=name)
        self.witness.join(run_load(self.paquebot.ports.mx, load))

    def copies(self) -> list[bytes]:
        """Return everything that arrived."""
        return [*self.paquebot.delivered(ALICE), *self._far_mx.contents]

    def wait_for_mail(self) -> None:
        """Wait until all that was acknowledged has arrived and its results had time to be stored, or until death."""

        def arrived() -> bool:
            return self.paquebot.is_dead or self.witness.acked.keys() <= {token_of(copy) for copy in self.copies()}

        wait_until(arrived, "the arrival of all mail", 20.0)
        self.wait_for_death(0.15)

    def wait_for_death(self, seconds: float) -> None:
        """Wait for it so long."""
        with suppress(PeerError):
            wait_until(lambda: self.paquebot.is_dead, "its death", seconds)

    def strike(self, injection: Injection, scenario: Callable[[Trial], None]) -> bool:
        """Run a scenario under strace; tell whether it died of it. It runs again afterwards."""
        tracer = self.paquebot.attach(injection)
        scenario(self)
        died = self.paquebot.is_dead and self.paquebot.process.returncode == -9
        tracer.terminate()
        self.paquebot.kill()
        self.paquebot.restart()  # a fresh one each time: it makes its segments anew
        self.kills[injection.kind] = self.kills.get(injection.kind, 0) + died
        return died

    def strike_start(self, injection: Injection) -> bool:
        """Kill it with mail in its queue, start it under strace, and start it again if it died of that."""
        self.load(SMALL_BYTES)
        self.paquebot.kill()
        self.paquebot.traced_by = injection
        died = False
        try:
            self.paquebot.restart()
            self.paquebot.kill()
        except PeerError:
            died = True
        self.paquebot.traced_by = None
        self.paquebot.restart()
        self.kills[injection.kind] = self.kills.get(injection.kind, 0) + died
        return died

    def settle(self) -> Balance:
        """Let all mail go and balance the books."""
        self.paquebot.wait_for_empty_queue(60.0)
        starts = self.paquebot.log_lines(event="queue.opened")
        return balance(
            self.witness,
            self.copies(),
            [],
            kills=sum(self.kills.values()),
            possible_duplicates=sum(int(start["possible_duplicates"]) for start in starts),
        )


def accept_and_deliver(trial: Trial, length_bytes: int) -> None:
    trial.load(length_bytes)
    trial.wait_for_mail()


def small(trial: Trial) -> None:
    accept_and_deliver(trial, SMALL_BYTES)


def big(trial: Trial) -> None:
    accept_and_deliver(trial, BIG_BYTES)


def drain(trial: Trial) -> None:
    """End by SIGTERM, with mail under way."""
    trial.load(SMALL_BYTES)
    if not trial.paquebot.is_dead:
        trial.paquebot.process.signal(signal.SIGTERM)
    trial.wait_for_death(20.0)


def strike_all(kinds: tuple[str, ...], strike: Callable[[Injection], bool]) -> None:
    """Strike as often as was asked for."""
    if not EVERY_CALL:
        strike_some(kinds, strike)
        return
    left = list(kinds)
    for moment in range(1, MOST_CALLS):
        left = [kind for kind in left if strike(Injection(kind, str(moment)))]


def strike_some(kinds: tuple[str, ...], strike: Callable[[Injection], bool]) -> None:
    """Strike at each kind of call once, as far as time allows."""
    deadline = time.monotonic() + BUDGET_SECONDS
    for kind in kinds:
        if time.monotonic() > deadline:
            return
        any(strike(Injection(kind, str(moment))) for moment in SAMPLED)


def judge(trial: Trial, name: str, capsys: pytest.CaptureFixture[str], started: float) -> None:
    found = trial.settle()
    with capsys.disabled():
        kinds = ", ".join(f"{kind} {count}" for kind, count in trial.kills.items())
        print(
            f"\nkill -9 at system calls, {name}, {time.monotonic() - started:.0f} s: {kinds}\n{found.table()}", end=""
        )
    assert found.kills >= len(trial.kills) // 2
    assert found.accepted > 0  # or there was nothing to lose
    assert (found.lost, found.altered, found.strangers, found.queued) == (0, 0, 0, 0)
    # An intent is written, not waited for: a kill can come between the final dot and its intent.
    assert found.duplicates <= found.possible_duplicates + MESSAGES * found.kills
    assert not trial.paquebot.faults()


@pytest.mark.parametrize(("scenario", "kinds"), [(small, SMALL_CALLS), (big, BIG_CALLS), (drain, DRAIN_CALLS)])
def test_death_at_a_call_loses_nothing(
    settings: PaquebotSettings,
    far_mx: FakeMx,
    capsys: pytest.CaptureFixture[str],
    scenario: Callable[[Trial], None],
    kinds: tuple[str, ...],
) -> None:
    started = time.monotonic()
    with peer_directory() as directory, running_traced(directory / "paquebot", settings) as paquebot:
        trial = Trial(paquebot, far_mx)
        strike_all(kinds, lambda injection: trial.strike(injection, scenario))
        judge(trial, scenario.__name__, capsys, started)


def test_death_at_a_call_of_the_start_loses_nothing(
    settings: PaquebotSettings, far_mx: FakeMx, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    with peer_directory() as directory, running_traced(directory / "paquebot", settings) as paquebot:
        trial = Trial(paquebot, far_mx)
        strike_all(START_CALLS, trial.strike_start)
        judge(trial, "start", capsys, started)
