"""When a commit begins: once the loop has nothing else to do, or when patience ends."""

from __future__ import annotations

import asyncio

from paquebot_mta.spool.quiet import IDLE_TURN_SECONDS, MOST_TURNS, PATIENCE_SECONDS, Quiet


class Clock:
    """A clock that moves by so many seconds each time that it is looked at."""

    def __init__(self, step_seconds: float) -> None:
        self.step_seconds = step_seconds
        self.looks = 0
        self.now = 0.0

    def __call__(self) -> float:
        self.looks += 1
        self.now += self.step_seconds
        return self.now


async def _moments(clock: Clock, asks: int = 1) -> int:
    """Ask, and count how often it was called back."""
    calls: list[float] = []
    quiet = Quiet(asyncio.get_running_loop(), clock, lambda: calls.append(clock.now))
    for _ in range(asks):
        quiet.ask()
    for _ in range(MOST_TURNS + 2):
        await asyncio.sleep(0)
    return len(calls)


async def test_a_turn_without_work_is_the_moment() -> None:
    clock = Clock(IDLE_TURN_SECONDS / 2)
    assert await _moments(clock) == 1
    assert clock.looks == 2


async def test_many_who_ask_get_one_moment() -> None:
    assert await _moments(Clock(IDLE_TURN_SECONDS / 2), asks=5) == 1


async def test_patience_ends_while_the_loop_is_busy() -> None:
    clock = Clock(PATIENCE_SECONDS / 4)
    assert await _moments(clock) == 1
    assert PATIENCE_SECONDS < clock.now <= 2 * PATIENCE_SECONDS


async def test_a_slow_machine_does_not_look_for_ever() -> None:
    clock = Clock(IDLE_TURN_SECONDS * 1.01)
    assert await _moments(clock) == 1
    assert clock.looks == MOST_TURNS + 1


async def test_it_can_be_asked_again_after_the_moment() -> None:
    calls: list[int] = []
    quiet = Quiet(asyncio.get_running_loop(), Clock(IDLE_TURN_SECONDS / 2), lambda: calls.append(1))
    for _ in range(2):
        quiet.ask()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert calls == [1, 1]
