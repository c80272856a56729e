"""Rules of the loop between queue and next hops."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from msgspec.structs import replace

from paquebot_mta.deliver.transport import Task
from paquebot_mta.dispatch import dispatcher as module
from paquebot_mta.mail.envelope import Envelope, Notify, Stored
from paquebot_mta.mail.ids import Evpid, Msgid
from paquebot_mta.mail.outcome import Outcome
from paquebot_mta.spool.options import fault
from tests.mta.dispatch.plant import DELIVERED, LATER, NEVER, Answer, Scene, always
from tests.mta.dispatch.samples import envelope, evpid

DAY = 86_400


def to(address: str, number: int = 1, action: str = "out") -> Callable[[str], Envelope]:
    def make(msgid: str) -> Envelope:
        sample = envelope(number, address, action)
        return Envelope(evpid(number, msgid), sample.recipient, sample.destination, action)

    return make


@asynccontextmanager
async def running(answer: Answer) -> AsyncIterator[Scene]:
    scene = Scene(answer)
    task = asyncio.create_task(scene.dispatcher.run())
    try:
        yield scene
    finally:
        await scene.dispatcher.drain(0.05)
        await task


async def test_a_fresh_message_is_tried_at_once_and_forgotten_when_it_is_delivered() -> None:
    async with running(always(DELIVERED)) as scene:
        message = await scene.queue(to("bob@remote.test"))
        await scene.settle()
        assert scene.changes() == ["delivered"]
        assert await scene.spool.load(message.msgid) is None
        assert scene.dispatcher.schedule.counts() == {"pending": 0, "inflight": 0, "suspended": 0}


async def test_a_deferred_envelope_is_tried_again_at_its_time_and_not_before() -> None:
    async with running(always(LATER)) as scene:
        await scene.queue(to("bob@remote.test"))
        await scene.advance(1)
        await scene.advance(398)
        assert scene.results() == ["Deferred"]
        scene.answer = always(DELIVERED)
        await scene.advance(2)
        assert scene.results() == ["Deferred", "Delivered"]


async def test_a_flush_tries_deferred_mail_at_once() -> None:
    async with running(always(LATER)) as scene:
        message = await scene.queue(to("bob@remote.test"))
        await scene.settle()
        scene.answer = always(DELIVERED)
        assert await scene.dispatcher.flush([message.envelopes[0].evpid]) == 1
        await scene.settle()
        assert scene.results() == ["Deferred", "Delivered"]


async def test_each_recipient_has_an_outcome_of_its_own() -> None:
    async def answer(task: Task) -> dict[Evpid, Outcome]:
        outcomes: dict[str, Outcome] = {"a@one.test": DELIVERED, "b@one.test": NEVER}
        return {each.evpid: outcomes[each.destination] for each in task.envelopes}

    async with running(answer) as scene:
        message = await scene.queue(to("a@one.test", 1), to("b@one.test", 2), to("c@gone.test", 3))
        await scene.settle()
        assert sorted(scene.changes()) == ["bounced", "bounced", "delivered"]
        assert await scene.spool.load(message.msgid) is None


async def test_the_sender_is_told_before_the_failure_is_final() -> None:
    async with running(always(NEVER)) as scene:
        await scene.queue(to("bob@remote.test"))
        await scene.settle()
        assert scene.spool.story == ["told failure", "stored bounced"]


@pytest.mark.parametrize(("reached", "named"), [(True, "192.0.2.1 (mx)"), (False, "")])
async def test_the_sender_is_told_of_a_server_only_if_it_was_reached(reached: bool, named: str) -> None:
    async with running(always(NEVER)) as scene:
        scene.tried, scene.reached = "192.0.2.1 (mx)", reached
        await scene.queue(to("bob@remote.test"))
        await scene.settle()
        assert [each.remote for each in scene.told] == [named]


async def test_a_fault_of_ours_is_a_deferral_and_never_a_bounce() -> None:
    async def crash(task: Task) -> dict[Evpid, Outcome]:
        raise RuntimeError("a bug")

    async with running(crash) as scene:
        await scene.queue(to("bob@remote.test"))
        await scene.settle()
        assert (scene.results(), scene.told) == (["Deferred"], [])
        assert scene.notices() == ["service.fault"]


async def test_an_outcome_that_the_transport_forgot_is_a_deferral() -> None:
    async def forget(task: Task) -> dict[Evpid, Outcome]:
        return {}

    async with running(forget) as scene:
        await scene.queue(to("bob@remote.test"))
        await scene.settle()
        assert scene.results() == ["Deferred"]


async def test_a_result_is_stored_as_soon_as_the_volume_takes_it_and_the_mail_is_not_sent_twice() -> None:
    async with running(always(DELIVERED)) as scene:
        scene.spool.broken = 1
        await scene.queue(to("bob@remote.test"))
        await scene.settle()
        assert scene.spool.story == []
        await asyncio.sleep(1.1)
        assert scene.spool.story == ["stored delivered"]
        assert len(scene.tasks) == 1


async def test_an_action_that_is_not_configured_any_more_keeps_its_mail() -> None:
    async with running(always(DELIVERED)) as scene:
        await scene.queue(to("bob@remote.test", action="gone"))
        await scene.settle()
        assert (scene.results(), scene.tasks) == (["Deferred"], [])


async def test_paused_relaying_waits_while_local_mail_goes_on() -> None:
    async with running(always(DELIVERED)) as scene:
        scene.dispatcher.pause("mta")
        await scene.queue(to("bob@remote.test"))
        await scene.queue(to("alice@local.test", action="drop"))
        await scene.settle()
        assert scene.changes() == ["discarded"]
        scene.dispatcher.resume("mta")
        await scene.settle()
        assert scene.changes() == ["discarded", "delivered"]


async def test_a_destination_that_hangs_leaves_room_for_the_others() -> None:
    release = asyncio.Event()

    async def hang(task: Task) -> dict[Evpid, Outcome]:
        if task.envelopes[0].destination.endswith("@dead.test"):
            await release.wait()
        return await always(DELIVERED)(task)

    async with running(hang) as scene:
        for _ in range(module.PER_DESTINATION + 5):
            await scene.queue(to("x@dead.test"))
        await scene.queue(to("y@alive.test"))
        await scene.settle()
        assert scene.changes() == ["delivered"]
        assert scene.dispatcher.holds.waiting() == 5
        release.set()
        await scene.settle()
        assert len(scene.changes()) == module.PER_DESTINATION + 6


async def test_a_drain_leaves_unfinished_mail_in_the_queue() -> None:
    async def hang(task: Task) -> dict[Evpid, Outcome]:
        await asyncio.Event().wait()
        return {}

    async with running(hang) as scene:
        message = await scene.queue(to("bob@remote.test"))
        await scene.settle()
    stored = await scene.spool.load(message.msgid)
    assert stored is not None
    assert list(stored.states) == [message.envelopes[0].evpid]


async def test_the_final_dot_is_asked_for_and_noted() -> None:
    async def with_dot(task: Task) -> dict[Evpid, Outcome]:
        assert await task.before_final_dot()
        return await always(DELIVERED)(task)

    async with running(with_dot) as scene:
        message = await scene.queue(to("bob@remote.test"))
        await scene.settle()
        assert scene.spool.intended == [message.envelopes[0].evpid]


async def test_what_a_restart_finds_is_tried_when_it_is_due() -> None:
    scene = Scene(always(DELIVERED))
    message = await scene.queue(to("bob@remote.test"))
    again = Scene(always(DELIVERED))
    again.spool = scene.spool
    again.dispatcher._spool = scene.spool
    assert await again.dispatcher.recover() == 1
    assert again.dispatcher.schedule.state(message.envelopes[0].evpid) == "pending"
    assert again.dispatcher.ages.oldest_unattempted() == message.created_at


@pytest.mark.parametrize("accepted_at", ["right", "wrong"])
async def test_what_was_put_off_by_a_clock_that_was_wrong_is_due_at_the_start(accepted_at: str) -> None:
    """It waited until the right clock got where the wrong one had been."""
    async with running(always(LATER)) as scene:
        message = await scene.queue(to("bob@remote.test"))
        if accepted_at == "right":
            await scene.advance(2 * DAY)
        await scene.settle()
    again = Scene(always(DELIVERED))
    again.spool = scene.spool
    again.dispatcher._spool = scene.spool
    again.now = scene.now - 2 * DAY
    assert await again.dispatcher.recover() == 1
    due_at = again.dispatcher.schedule.due_at(message.envelopes[0].evpid)
    assert due_at is not None
    assert due_at <= again.now


async def test_recovered_mail_is_loaded_together_and_delivered() -> None:
    async with running(always(LATER)) as scene:
        for number in range(module.STARTED_AT_ONCE + 5):
            await scene.queue(to(f"user{number}@remote.test"))
        await scene.settle()
        assert len(scene.results()) == module.STARTED_AT_ONCE + 5
        scene.answer = always(DELIVERED)
        asked: list[int] = []
        load_many = scene.spool.load_many

        async def counted(msgids: Sequence[Msgid]) -> dict[Msgid, Stored]:
            asked.append(len(msgids))
            return await load_many(msgids)

        scene.spool.load_many = counted  # type: ignore[method-assign]
        await scene.advance(401)
        assert scene.results().count("Delivered") == module.STARTED_AT_ONCE + 5
        assert sum(asked) == module.STARTED_AT_ONCE + 5
        assert len(asked) <= 2 + 5 // module.FEWEST_AT_ONCE + module.STARTED_AT_ONCE // module.FEWEST_AT_ONCE


async def test_a_timer_that_ran_early_is_set_again() -> None:
    # uvloop's timers run up to a millisecond early. One that had run was taken for one that would yet: mail that was
    # due a moment later lay until something else happened.
    async with running(always(LATER)) as scene:
        await scene.queue(to("bob@remote.test"))
        await scene.settle()
        early = scene.dispatcher._timer
        assert early is not None
        assert early.when() > asyncio.get_running_loop().time()
        early._run()
        await scene.settle()
        assert scene.dispatcher._timer not in (None, early)


async def started_together(scene: Scene, messages: int) -> list[int]:
    """Queue so many at once; answers how many were started in each turn of the loop that started any."""
    for number in range(messages):
        await scene.queue(to(f"user{number}@remote.test"))
    found = [0]
    while found[-1] < messages:
        await asyncio.sleep(0)
        found.append(len(scene.tasks))
    return [after - before for before, after in pairwise(found) if after > before]


async def reached(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(10.0):
        while not ready():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)


async def test_what_is_due_at_once_is_started_in_parts_between_which_others_have_their_turn() -> None:
    async with running(always(LATER)) as scene:
        steps = await started_together(scene, 3 * module.STARTED_AT_ONCE)
        assert max(steps) <= module.STARTED_AT_ONCE


async def test_few_are_in_flight_while_turns_of_the_event_loop_are_long() -> None:
    async def slow(task: Task) -> dict[Evpid, Outcome]:
        time.sleep(1.5 * module.LONGEST_TURN_SECONDS / module.FEWEST_AT_ONCE)  # noqa: ASYNC251 - as much work takes
        return await always(LATER)(task)

    async with running(slow) as scene:
        scene.dispatcher._window = 2 * module.FEWEST_IN_FLIGHT
        steps = await started_together(scene, module.FEWEST_IN_FLIGHT)
        assert steps[-1] <= module.FEWEST_AT_ONCE < steps[0]
        assert scene.dispatcher._window == module.FEWEST_IN_FLIGHT


async def test_next_hops_that_are_slow_let_more_be_in_flight() -> None:
    end = asyncio.Event()

    async def late(task: Task) -> dict[Evpid, Outcome]:
        await end.wait()
        return await always(LATER)(task)

    async with running(late) as scene:
        messages = 2 * module.FEWEST_IN_FLIGHT
        async with asyncio.timeout(10.0):
            await started_together(scene, messages)
        assert scene.dispatcher._active == messages
        end.set()


async def test_hosts_that_hang_keep_nobody_from_being_in_flight_though_turns_are_long() -> None:
    end = asyncio.Event()

    async def answer(task: Task) -> dict[Evpid, Outcome]:
        if any("dead" in envelope.recipient for envelope in task.envelopes):
            await end.wait()
        else:
            time.sleep(1.5 * module.LONGEST_TURN_SECONDS / module.FEWEST_AT_ONCE)  # noqa: ASYNC251 - as much work takes
        return await always(LATER)(task)

    async with running(answer) as scene:
        for number in range(2 * module.FEWEST_IN_FLIGHT):
            await scene.queue(to(f"user{number}@dead.test"))
        await reached(lambda: scene.dispatcher._active == 2 * module.FEWEST_IN_FLIGHT)
        others = 5 * module.FEWEST_AT_ONCE
        for number in range(others):
            await scene.queue(to(f"user{number}@remote.test"))
        await reached(lambda: len(scene.results()) == others)
        assert scene.dispatcher._window >= 2 * module.FEWEST_IN_FLIGHT - module.FEWEST_AT_ONCE
        end.set()


async def test_what_is_in_flight_has_a_limit_though_turns_are_short() -> None:
    """The configuration's: no more is started, however long the others take."""
    end = asyncio.Event()

    async def late(task: Task) -> dict[Evpid, Outcome]:
        await end.wait()
        return await always(LATER)(task)

    async with running(late) as scene:
        limits = replace(scene.config.service.outbound.limits, in_flight=3)
        outbound = replace(scene.config.service.outbound, limits=limits)
        scene.config = replace(scene.config, service=replace(scene.config.service, outbound=outbound))
        for number in range(5):
            await scene.queue(to(f"user{number}@remote.test"))
        await scene.settle()
        assert scene.dispatcher._active == len(scene.tasks) == 3
        end.set()
        await scene.settle()
        assert len(scene.results()) == 5


async def test_what_can_not_be_loaded_together_is_loaded_alone() -> None:
    async with running(always(LATER)) as scene:
        await scene.queue(to("bob@remote.test"))
        await scene.settle()
        scene.answer = always(DELIVERED)

        async def broken(msgids: Sequence[Msgid]) -> dict[Msgid, Stored]:
            raise fault("the volume does not answer")

        scene.spool.load_many = broken  # type: ignore[method-assign]
        await scene.advance(401)
        assert scene.results() == ["Deferred", "Delivered"]


@pytest.mark.parametrize(("action", "relayed"), [("out", True), ("smart", True), ("lmtp", False), ("drop", False)])
async def test_only_a_next_hop_on_the_way_relays_an_lmtp_server_delivers(action: str, relayed: bool) -> None:
    def wanted(msgid: str) -> Envelope:
        sample = envelope(1, "bob@remote.test", action)
        return Envelope(evpid(1, msgid), sample.recipient, sample.destination, action, notify=Notify.SUCCESS)

    async with running(always(DELIVERED)) as scene:
        await scene.queue(wanted)
        await scene.settle()
        assert [(each.kind, each.relayed) for each in scene.told] == [("success", relayed)]


async def test_while_the_queue_can_not_be_written_nothing_starts() -> None:
    """What is delivered meanwhile would be delivered again by the next start, as nothing could be kept of it."""
    async with running(always(DELIVERED)) as scene:
        scene.spool.trouble_now = "the queue's volume is out of order"
        await scene.queue(to("bob@remote.test"))
        await scene.settle()
        assert scene.changes() == []
        scene.spool.trouble_now = ""
        scene.dispatcher.wake()
        await scene.settle()
        assert scene.changes() == ["delivered"]
