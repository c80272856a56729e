from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from paquebot_mta.spool.shared_check import SharedCheck


class Volume:
    """A check that waits until it is let go, and counts."""

    def __init__(self) -> None:
        self.begun = 0
        self.answer = True
        self.error: OSError | None = None
        self.gate = threading.Semaphore(0)
        self._started = threading.Semaphore(0)

    async def wait_for_begin(self) -> None:
        assert await asyncio.to_thread(self._started.acquire, timeout=5.0)

    def check(self) -> bool:
        self.begun += 1
        self._started.release()
        answer = self.answer
        assert self.gate.acquire(timeout=5.0)
        if self.error is not None:
            raise self.error
        return answer


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


async def test_an_answer_never_comes_from_a_check_that_began_before_the_question(pool: ThreadPoolExecutor) -> None:
    volume = Volume()
    shared = SharedCheck(volume.check, asyncio.get_running_loop(), pool)
    first = asyncio.create_task(shared.ask())
    await volume.wait_for_begin()
    volume.answer = False
    late = asyncio.create_task(shared.ask())
    volume.gate.release(2)
    assert await first
    assert not await late


async def test_all_who_ask_during_a_check_share_the_next_one(pool: ThreadPoolExecutor) -> None:
    volume = Volume()
    shared = SharedCheck(volume.check, asyncio.get_running_loop(), pool)
    first = asyncio.create_task(shared.ask())
    await volume.wait_for_begin()
    late = [asyncio.create_task(shared.ask()) for _ in range(10)]
    await asyncio.sleep(0)
    assert volume.begun == 1
    volume.gate.release(2)
    assert all(await asyncio.gather(first, *late))
    assert volume.begun == 2


async def test_an_error_reaches_all_who_wait_and_harms_nobody_after(pool: ThreadPoolExecutor) -> None:
    volume = Volume()
    volume.error = OSError("out of order")
    shared = SharedCheck(volume.check, asyncio.get_running_loop(), pool)
    volume.gate.release(1)
    with pytest.raises(OSError, match="out of order"):
        await shared.ask()
    volume.error = None
    volume.gate.release(1)
    assert await shared.ask()


async def test_who_gave_up_waiting_disturbs_nobody(pool: ThreadPoolExecutor) -> None:
    volume = Volume()
    shared = SharedCheck(volume.check, asyncio.get_running_loop(), pool)
    impatient = asyncio.create_task(shared.ask())
    await volume.wait_for_begin()
    patient = asyncio.create_task(shared.ask())
    await asyncio.sleep(0)
    impatient.cancel()
    volume.gate.release(2)
    assert await patient
