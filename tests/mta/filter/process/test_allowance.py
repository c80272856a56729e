"""What nobody waits for is taken as long as it is little."""

import pytest

from paquebot_mta.filter.process.allowance import BURST_BYTES, BYTES_PER_SECOND, LINE_BYTES, Allowance
from paquebot_mta.filter.process.answers import ProtocolFault

LINE = 1_024 - LINE_BYTES


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def _spend(allowance: Allowance, kibibytes: int) -> None:
    for _ in range(kibibytes):
        allowance.spend(LINE)


def test_a_burst_is_taken_and_no_more() -> None:
    allowance = Allowance(Clock())
    _spend(allowance, BURST_BYTES // 1_024)
    with pytest.raises(ProtocolFault, match="far more"):
        _spend(allowance, 1)


def test_a_long_silence_saves_up_no_more_than_a_burst() -> None:
    clock = Clock()
    allowance = Allowance(clock)
    clock.now += 1e6
    with pytest.raises(ProtocolFault):
        _spend(allowance, 2 * BURST_BYTES // 1_024 + 2)


def test_so_much_a_second_is_taken_for_ever() -> None:
    clock = Clock()
    allowance = Allowance(clock)
    for _ in range(100):
        _spend(allowance, BYTES_PER_SECOND // 1_024)
        clock.now += 1.0


def test_twice_as_much_a_second_ends_soon() -> None:
    clock = Clock()
    allowance = Allowance(clock)
    for _ in range(BURST_BYTES // BYTES_PER_SECOND - 1):
        _spend(allowance, 2 * BYTES_PER_SECOND // 1_024)
        clock.now += 1.0
    with pytest.raises(ProtocolFault):
        _spend(allowance, 3 * BYTES_PER_SECOND // 1_024)


def test_what_was_asked_for_may_come_too_late() -> None:
    allowance = Allowance(Clock())
    _spend(allowance, BURST_BYTES // 1_024)
    allowance.add(10, 10 * LINE)
    _spend(allowance, 10)
    with pytest.raises(ProtocolFault):
        _spend(allowance, 1)


def test_empty_lines_count() -> None:
    allowance = Allowance(Clock())
    for _ in range(BURST_BYTES // LINE_BYTES):
        allowance.spend(0)
    with pytest.raises(ProtocolFault):
        allowance.spend(0)
