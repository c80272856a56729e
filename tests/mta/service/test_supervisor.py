"""The supervisor's end: whoever dies in that moment, it comes, once."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from paquebot_mta.service import parent
from paquebot_mta.service.nursery import Nursery, NurseryLostError, running_nursery
from paquebot_mta.service.options import Options
from paquebot_mta.service.parent import end_with
from paquebot_mta.service.supervisor import Supervisor

OPTIONS = Options(config=Path("c"), spool=Path("s"), runtime=Path("r"), workers=2)


def idle(worker: int) -> int:
    """A worker that ends by a signal only."""
    signal.pause()
    return worker


class DyingNursery(Nursery):
    """It dies just before it would pass a signal on, and nobody has heard of that yet."""

    def signal(self, worker: int, number: signal.Signals) -> None:
        self._channel.shutdown(socket.SHUT_RDWR)
        super().signal(worker, number)


def test_a_nursery_that_dies_while_signals_are_sent_breaks_nothing() -> None:
    told: list[str] = []

    async def supervise(nursery: Nursery) -> int:
        supervisor = Supervisor(OPTIONS, nursery, lambda event, worker, code: told.append(event))
        asyncio.get_running_loop().call_later(0.05, supervisor.stop)
        return await asyncio.wait_for(supervisor.run(), 5)

    with running_nursery(idle) as real:
        assert asyncio.run(supervise(DyingNursery(real._channel))) == 1
    assert told == ["nursery.lost"] * OPTIONS.workers


def test_without_a_nursery_no_worker_is_made_and_no_signal_is_sent() -> None:
    async def use(nursery: Nursery) -> None:
        nursery.listen()
        end = nursery.start(0)
        nursery._lose()
        nursery.signal(0, signal.SIGTERM)
        with pytest.raises(NurseryLostError):
            await end
        with pytest.raises(NurseryLostError):
            await nursery.start(0)

    with running_nursery(idle) as nursery:
        asyncio.run(use(nursery))


async def test_the_end_of_the_parent_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "POLL_SECONDS", 0.01)
    ended = asyncio.Event()
    watching = asyncio.create_task(end_with(os.getppid(), ended.set))
    await asyncio.sleep(0.03)
    assert not ended.is_set()
    monkeypatch.setattr(os, "getppid", lambda: -1)  # not 1: that may be our parent in a container
    await asyncio.wait_for(ended.wait(), 5)
    await watching


async def test_who_is_told_of_no_parent_waits_for_none() -> None:
    ended = asyncio.Event()
    await asyncio.wait_for(end_with(None, ended.set), 1)
    assert not ended.is_set()
