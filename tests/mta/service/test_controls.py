"""Rules of what an operator's hand can do to the queue."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from paquebot_mta.admin.controls import Part, Status
from paquebot_mta.service.controls import Parts, WorkerControls
from paquebot_mta.service.tracing import Tracer
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import LimitHit
from tests.mta.dispatch.plant import DELIVERED, LATER, Answer, Scene, always
from tests.mta.dispatch.test_dispatcher import to


def status(paused: tuple[Part, ...]) -> Status:
    return Status(
        worker="worker-0", pid=1, healthy=True, ready=True, draining=False, reasons=(), listeners=(), paused=paused,
        generation=1, digest="",
    )  # fmt: skip


@asynccontextmanager
async def desk(answer: Answer) -> AsyncIterator[tuple[WorkerControls, Scene]]:
    scene = Scene(answer)
    accepting: list[bool] = []
    parts = Parts(
        spool=scene.spool,
        dispatcher=scene.dispatcher,
        config=lambda: scene.config,
        metrics=lambda: b"",
        routes=list,
        hosts=list,
        filters=list,
        key_uses=tuple,
        enable_routes=lambda _: 0,
        stats=lambda: {"queue.messages": 0.0},
        pause_accept=accepting.append,
        status=status,
        emit=scene.events.append,
    )
    running = asyncio.create_task(scene.dispatcher.run())
    try:
        yield WorkerControls(parts, Tracer(Bus(), scene.clock)), scene
    finally:
        await scene.dispatcher.drain(0.05)
        await running


async def entries(controls: WorkerControls, target: str = "all") -> list[Any]:
    return [entry async for entry in controls.queue(target)]


async def test_a_deferred_envelope_is_listed_with_its_reply_and_next_time() -> None:
    async with desk(always(LATER)) as (controls, scene):
        message = await scene.queue(to("bob@remote.test"))
        await scene.settle()
        (entry,) = await entries(controls, message.msgid)
        assert (entry.error, entry.attempts, entry.state) == ("451 4.7.1 later", 1, "pending")
        assert entry.due_at == scene.now + 400
        assert entry.expires_at == scene.now + 345_600


async def test_schedule_tries_at_once() -> None:
    async with desk(always(LATER)) as (controls, scene):
        message = await scene.queue(to("bob@remote.test"))
        await scene.settle()
        scene.answer = always(DELIVERED)
        assert await controls.schedule(message.envelopes[0].evpid) == 1
        await scene.settle()
        assert await entries(controls) == []


async def test_to_schedule_all_reads_no_mail() -> None:
    # It read the whole queue for its ids: 100,000 messages held up the sessions for seconds.
    async with desk(always(LATER)) as (controls, scene):
        for name in ("a", "b"):
            await scene.queue(to(f"{name}@remote.test"))
        await scene.settle()
        scene.spool.walk = None  # type: ignore[assignment, method-assign]
        assert await controls.schedule("all") == 2


async def test_one_message_is_found_without_reading_the_others() -> None:
    async with desk(always(LATER)) as (controls, scene):
        message = await scene.queue(to("a@remote.test"))
        await scene.settle()
        scene.spool.walk = None  # type: ignore[assignment, method-assign]
        assert len(await entries(controls, message.msgid)) == 1
        assert await controls.suspend(message.envelopes[0].evpid) == 1
        assert await controls.remove("00000001") == 0


async def test_a_removed_envelope_is_gone_and_nobody_is_told() -> None:
    async with desk(always(LATER)) as (controls, scene):
        await scene.queue(to("bob@remote.test"))
        await scene.settle()
        assert await controls.remove("all") == 1
        assert (await entries(controls), scene.told) == ([], [])
        assert scene.changes() == ["removed"]


async def test_mail_of_a_paused_part_waits_visibly_and_can_be_suspended_and_removed() -> None:
    # Such mail once looked as if it were in flight, and suspend did not find it.
    async with desk(always(DELIVERED)) as (controls, scene):
        controls.pause_part("mta")
        first, second = await scene.queue(to("a@one.test")), await scene.queue(to("b@two.test"))
        await scene.settle()
        assert [(each.state, each.flags) for each in await entries(controls)] == [("pending", ("hold",))] * 2
        assert await controls.suspend(first.msgid) == 1
        assert await controls.remove(second.msgid) == 1
        controls.resume_part("mta")
        await scene.settle()
        assert [each.flags for each in await entries(controls)] == [("suspend",)]
        assert await controls.resume(first.msgid) == 1
        await scene.settle()
        assert scene.changes()[-1] == "delivered"


async def test_a_suspended_envelope_stays_suspended_in_the_spool() -> None:
    async with desk(always(LATER)) as (controls, scene):
        message = await scene.queue(to("bob@remote.test"))
        await scene.settle()
        await controls.suspend("all")
        stored = await scene.spool.load(message.msgid)
        assert stored is not None
        assert [state.suspended for state in stored.states.values()] == [True]


async def test_a_paused_listener_is_told_in_the_status() -> None:
    async with desk(always(DELIVERED)) as (controls, _):
        controls.pause_part("smtp")
        assert controls.status().paused == ("smtp",)
        controls.resume_part("smtp")
        assert controls.status().paused == ()


@pytest.mark.parametrize("target", ["", "xyz", "123", "0" * 17])
async def test_a_bad_target_is_named(target: str) -> None:
    async with desk(always(DELIVERED)) as (controls, _):
        with pytest.raises(ValueError, match="not a"):
            await controls.remove(target)


async def test_a_message_that_is_not_here_is_not_found() -> None:
    async with desk(always(DELIVERED)) as (controls, _):
        with pytest.raises(LookupError):
            await controls.envelope("0badcafe00000001")


async def test_followers_see_events_with_their_time() -> None:
    bus = Bus()
    follower = Tracer(bus, lambda: 0.5).follow()
    line = asyncio.ensure_future(anext(follower))
    await asyncio.sleep(0)
    bus.emit(LimitHit(direction="in", limit="rate"))
    assert json.loads(await line) == {
        "ts": "1970-01-01T00:00:00.500000Z", "event": "LimitHit", "direction": "in", "limit": "rate", "session": "",
    }  # fmt: skip
    await follower.aclose()
    bus.emit(LimitHit(direction="in", limit="rate"))
