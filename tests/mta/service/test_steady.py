"""The clock of the queue: right clocks are followed, jumps are not believed for an hour."""

from __future__ import annotations

import pytest

from paquebot_mta.service.steady import HOLD_SECONDS, SteadyClock
from paquebot_mta.telemetry.events import Event, Notice

DAY = 86_400.0
NOON = 1_800_000_000.0


class World:
    """Both clocks of a machine, and the one under test."""

    def __init__(self) -> None:
        self.wall, self.up = NOON, 1_000.0
        self.told: list[str] = []
        self.clock = SteadyClock(self._hear, lambda: self.wall, lambda: self.up)

    def _hear(self, event: Event) -> None:
        assert isinstance(event, Notice)
        self.told.append(event.event)

    def wait(self, seconds: float, rate: float = 1.0) -> None:
        self.up += seconds
        self.wall += seconds * rate


@pytest.fixture
def world() -> World:
    return World()


def test_a_right_clock_is_followed_exactly(world: World) -> None:
    for _ in range(10):
        world.wait(900.0)
        assert world.clock() == world.wall
    assert not world.told


def test_small_corrections_and_slews_are_followed(world: World) -> None:
    world.wall += 30
    assert world.clock() == world.wall
    world.wall -= 30
    assert world.clock() == world.wall
    for _ in range(1_000):
        world.wait(60.0, rate=1.01)
        assert world.clock() == world.wall
    assert not world.told


@pytest.mark.parametrize("jump", [30 * DAY, -DAY, 61.0, -61.0])
def test_a_jump_changes_nothing_for_an_hour_and_is_told_once(world: World, jump: float) -> None:
    world.wall += jump
    for minute in range(60):
        assert world.clock() == pytest.approx(NOON + 60 * minute)
        world.wait(60.0)
    assert world.told == ["clock.jumped"]
    assert world.clock() == world.wall
    assert world.told == ["clock.jumped", "clock.followed"]


def test_a_clock_that_is_put_right_again_has_harmed_nobody(world: World) -> None:
    world.wall += 30 * DAY
    assert world.clock() == NOON
    world.wait(600.0)
    world.wall -= 30 * DAY
    assert world.clock() == NOON + 600
    assert world.told == ["clock.jumped", "clock.back"]


def test_each_further_jump_begins_the_hour_anew(world: World) -> None:
    world.wall += 30 * DAY
    world.clock()
    world.wait(HOLD_SECONDS - 1)
    world.wall += DAY
    assert world.clock() == pytest.approx(NOON + HOLD_SECONDS - 1)
    world.wait(HOLD_SECONDS - 1)
    assert world.clock() == pytest.approx(NOON + 2 * HOLD_SECONDS - 2)
    world.wait(2)
    assert world.clock() == world.wall


def test_a_suspended_machine_is_no_jump(world: World) -> None:
    world.wait(3 * DAY)
    assert world.clock() == world.wall
    assert not world.told
