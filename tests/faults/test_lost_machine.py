"""Machines that are lost: nothing proves the death of their processes but beats that stand still."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.books import balance, token_of
from tests.faults.pods import DEFAULTS, Pod, Pool, running_pool
from tests.support.fake_mx import FakeMx
from tests.support.load import Load, Witness
from tests.support.paquebot_config import FAR, PaquebotSettings
from tests.support.processes import wait_until
from tests.support.requirements import needs_programs

pytestmark = [
    pytest.mark.crash,
    pytest.mark.timeout(1_800),
    needs_programs("unshare", as_root=True),
]

ALLOWED_SECONDS = 15.0
"""From the death of a process to the first delivery of its mail by another one."""
ROUNDS = int(os.environ.get("PAQUEBOT_FAR_ROUNDS", "1"))
"""In each of which two of four processes die."""
VICTIMS = 2
KILLED_WITHIN_SECONDS = 1.5
STARVED_SECONDS = 4.0


class Deaths:
    """Kills processes of a pool, and learns when others deliver what they had."""

    def __init__(self, pool: Pool, far_mx: FakeMx) -> None:
        self.pool, self._far_mx = pool, far_mx
        self.witness = Witness()
        self.delays: list[float] = []
        self._arrived: list[str] = []
        self._first_at: dict[str, float] = {}
        self._random = random.Random(20)

    def strike(self, number: int) -> None:
        """Kill some within a moment, with mail in their queues, and start them again when others have delivered it."""
        size = len(self.pool.pods)
        victims = {f"{number}-{each}": self.pool.pods[(VICTIMS * number + each) % size] for each in range(VICTIMS)}
        loads = [_fill(pod, name) for name, pod in victims.items()]
        killed_at = {name: self._kill(pod) for name, pod in victims.items()}
        for load in loads:
            self.witness.join(load)
        wait_until(self._is_all_there, "the delivery by others", 4 * ALLOWED_SECONDS)
        self.delays += [self._first_at[name] - at for name, at in killed_at.items()]
        for pod in victims.values():
            pod.restart()

    def _kill(self, pod: Pod) -> float:
        time.sleep(self._random.uniform(0, KILLED_WITHIN_SECONDS / VICTIMS))
        pod.kill()
        return time.monotonic()

    def _is_all_there(self) -> bool:
        now, fresh = time.monotonic(), self._far_mx.transactions[len(self._arrived) :]
        self._arrived += [token_of(transaction.content) for transaction in fresh]
        for token in self._arrived[-len(fresh) :] if fresh else ():
            self._first_at.setdefault(_name_of(token), now)
        return self.witness.acked.keys() <= set(self._arrived)


def _fill(pod: Pod, name: str) -> Witness:
    """Put mail into its queue that it doesn't deliver itself."""
    pod.cli("pause", "mta").checked()
    return pod.take(Load(sessions=2, messages=20, length_bytes=500, recipients=(f"x@{FAR}",), name=f"far-{name}"))


def _name_of(token: str) -> str:
    """Say which load a message belongs to."""
    return token.removeprefix("far-").rpartition("-")[0]


def _percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def test_the_mail_of_a_lost_machine_is_delivered_by_another_in_time(
    place: Path, settings: PaquebotSettings, far_mx: FakeMx, capsys: pytest.CaptureFixture[str]
) -> None:
    """With default settings, each process on a machine of its own, as its kernel says: locks prove nothing."""
    with running_pool(place, settings, 4, queue=DEFAULTS, machines=True) as pool:
        deaths = Deaths(pool, far_mx)
        for number in range(ROUNDS):
            deaths.strike(number)
        pool.wait_until_empty()
        reasons = {str(line["reason"]) for line in pool.log_lines("queue.leased")}
        counted = pool.possible_duplicates()
    found = balance(deaths.witness, far_mx.contents, [], kills=VICTIMS * ROUNDS, possible_duplicates=counted)
    delays = deaths.delays
    with capsys.disabled():
        figures = f"p50 {_percentile(delays, 0.5):.2f}, p99 {_percentile(delays, 0.99):.2f}, least {min(delays):.2f} s"
        print(f"\nkill -9 to first delivery by another, other machines, {len(delays)} deaths: {figures}")
    assert (found.lost, found.altered, found.strangers, found.duplicates) == (0, 0, 0, 0), found.table()
    assert reasons == {"lease"}
    assert min(delays) >= 10.0
    assert max(delays) <= ALLOWED_SECONDS


def test_whoever_is_starved_for_some_seconds_keeps_its_mail(
    place: Path, settings: PaquebotSettings, far_mx: FakeMx
) -> None:
    with running_pool(place, settings, 2, queue=DEFAULTS, machines=True) as pool:
        starved = pool.pods[0]
        witness = _fill(starved, "starved")
        starved.stop_beating()
        time.sleep(STARVED_SECONDS)
        starved.go_on()
        starved.cli("resume", "mta").checked()
        wait_until(lambda: len(far_mx.contents) == len(witness.acked), "its own delivery", ALLOWED_SECONDS)
        assert pool.log_lines("queue.leased") == []
        assert pool.log_lines("queue.renewed") == []
