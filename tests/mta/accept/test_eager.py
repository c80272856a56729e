"""Work runs at once, and as a task only from where it first waits."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from paquebot_mta.accept.eager import Work


def _begin(steps: Coroutine[Any, Any, None]) -> Work:
    """Run work as the event loop does: outside of any task."""
    work = Work()
    asyncio.get_running_loop().call_soon(work.run, steps, asyncio.get_running_loop())
    return work


async def _turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_work_that_never_waits_needs_no_task() -> None:
    done: list[str] = []
    before = asyncio.all_tasks()

    async def steps() -> None:
        done.append("all")

    _begin(steps())
    await asyncio.sleep(0)
    assert done == ["all"]
    assert asyncio.all_tasks() == before


async def test_work_that_waits_goes_on_with_what_it_waited_for() -> None:
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    heard: list[str] = []

    async def steps() -> None:
        await asyncio.sleep(0)
        heard.append(await answer)
        await asyncio.sleep(0)
        heard.append("end")

    _begin(steps())
    await _turns()
    assert heard == []
    answer.set_result("answer")
    await _turns()
    assert heard == ["answer", "end"]


async def test_a_failed_wait_raises_in_the_work() -> None:
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    heard: list[str] = []

    async def steps() -> None:
        try:
            await answer
        except OSError as error:
            heard.append(str(error))

    _begin(steps())
    await _turns()
    answer.set_exception(OSError("broken"))
    await _turns()
    assert heard == ["broken"]


@pytest.mark.parametrize("turns", [1, 5])
async def test_work_that_waits_can_be_cancelled_from_the_first_moment_on(turns: int) -> None:
    heard: list[str] = []

    async def steps() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            heard.append("cancelled")

    work = _begin(steps())
    await _turns(turns)
    assert work.cancel()
    await _turns()
    assert heard == ["cancelled"]


async def test_a_deadline_that_began_before_the_task_holds() -> None:
    heard: list[str] = []

    async def steps() -> None:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            heard.append("timeout")
        await asyncio.sleep(0)
        heard.append("went on")

    _begin(steps())
    await asyncio.sleep(0.05)
    assert heard == ["timeout", "went on"]
