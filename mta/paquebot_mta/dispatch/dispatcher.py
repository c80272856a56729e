"""The loop: takes what is due from the schedule, has it carried, and settles the outcome."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from paquebot_mta.config.service import MtaConfig
from paquebot_mta.deliver.transport import Receipt, Task
from paquebot_mta.dispatch.ages import Ages
from paquebot_mta.dispatch.courier import Courier, same_for_all
from paquebot_mta.dispatch.groups import Group, group, is_local
from paquebot_mta.dispatch.holds import Holds, Part
from paquebot_mta.dispatch.settle import Settler
from paquebot_mta.mail.envelope import EnvelopeState, Message, Stored
from paquebot_mta.mail.ids import Evpid, Msgid, msgid_of
from paquebot_mta.mail.outcome import Deferred
from paquebot_mta.mail.reply import Reply
from paquebot_mta.schedule.due import Schedule
from paquebot_mta.spool.store import Lost, Spool, SpoolError, Waiting
from paquebot_mta.telemetry.bus import Emit
from paquebot_mta.telemetry.events import Notice, QueueEvent

FRESH_MESSAGES = 10_000
"""Messages kept in memory between acceptance and first attempt; any others are loaded from the spool."""
PER_DESTINATION = 250
"""Envelopes in flight for one destination; what is more waits as ids."""
STARTED_AT_ONCE, FEWEST_AT_ONCE = 100, 10
"""Envelopes, at most and at least; then others have their turn."""
FEWEST_IN_FLIGHT = 10 * FEWEST_AT_ONCE
"""Envelopes that may be in flight however long turns are; a tenth of what may be is started at once."""
LONGEST_TURN_SECONDS = 0.01
"""Of the event loop: fewer may be in flight when a turn took longer, for every session waits so long in each step."""
SHORTEST_REST_SECONDS = 0.005
"""While more is due: each end of a delivery makes room for one more, and one by one costs more than some together."""
HASTENED_AT_ONCE = 1_000
SHORTEST_SLEEP_SECONDS, LONGEST_SLEEP_SECONDS = 0.05, 60.0
TROUBLED_SLEEP_SECONDS = 0.5
"""Between looks at a queue that can't be written."""
CLOCK_TOLERANCE_SECONDS = 60.0
"""Clocks of machines differ; what is this much ahead was not written a moment ago, but by a clock that was wrong."""
FAULT = Deferred(Reply(451, "Temporary Error", "4.3.0"))


class Dispatcher:
    """Joins spool, schedule and couriers. One for each process."""

    def __init__(
        self,
        *,
        spool: Spool,
        courier: Courier,
        settler: Settler,
        schedule: Schedule,
        config: Callable[[], MtaConfig],
        emit: Emit,
        clock: Callable[[], float],
    ) -> None:
        """All that it joins; ``clock`` gives seconds since 1970. ``courier`` may be exchanged at any time."""
        self._spool, self.courier, self._settler = spool, courier, settler
        self._config, self._emit, self._clock = config, emit, clock
        self.schedule = schedule
        self.holds = Holds(PER_DESTINATION)
        self.ages = Ages()
        self.last_run_at = clock()
        self._fresh: dict[Msgid, Stored] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._active = 0
        self._window = FEWEST_IN_FLIGHT
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = False

    def enqueue(self, message: Message) -> None:
        """Take over a message that was just made durable: its first attempt is due now."""
        stored = Stored(message, {envelope.evpid: EnvelopeState() for envelope in message.envelopes})
        if len(self._fresh) < FRESH_MESSAGES:
            self._fresh[message.msgid] = stored
        for evpid in stored.states:
            self.ages.add(evpid, message.created_at, attempted=False)
            self.schedule.add(evpid, message.created_at)
        self._wake.set()

    async def recover(self) -> int:
        """Schedule everything that the start has found; says how many envelopes that is."""
        found = 0
        async for waiting in self._spool.recovered():
            found += self._take_in(waiting)
        self._wake.set()
        return found

    async def follow(self) -> None:
        """Take in what is adopted from dead processes, and let go of everything when our own mail was adopted."""
        async for change in self._spool.changes():
            if isinstance(change, Lost):
                await self._let_go()
            else:
                self._take_in(change)
            self._wake.set()

    def _take_in(self, waiting: Waiting) -> int:
        """Schedule a message; says how many envelopes it has."""
        for evpid, state in waiting.states.items():
            self._restore(evpid, state, waiting.created_at)
        number = len(waiting.states)
        self._emit(QueueEvent(change="recovered", msgid=waiting.msgid, envelopes=number, size=waiting.size))
        return number

    async def _let_go(self) -> None:
        """Somebody else delivers all this now: break off what is in flight, and forget the rest."""
        self.schedule.clear()
        self.ages.clear()
        self._fresh.clear()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.holds.clear()
        self.schedule.clear()  # tasks that were broken off gave their envelopes back
        self._active = 0

    def forget(self, evpid: Evpid) -> None:
        """An envelope left the queue."""
        self.schedule.forget(evpid)
        self.ages.forget(evpid)

    def suspend(self, evpid: Evpid) -> bool:
        """Hold a waiting envelope back until it is resumed; False if it is in flight or not here."""
        if self.holds.forget(evpid):
            self.schedule.hold(evpid, self._clock())
            return True
        return self.schedule.suspend(evpid)

    def wake(self) -> None:
        """Look at the schedule again: someone changed it."""
        self._wake.set()

    async def flush(self, evpids: Sequence[Evpid]) -> int:
        """Try pending envelopes at once; says how many."""
        hastened = 0
        for at in range(0, len(evpids), HASTENED_AT_ONCE):
            hastened += self.schedule.hasten(evpids[at : at + HASTENED_AT_ONCE], self._clock())
            self._wake.set()
            await asyncio.sleep(0)  # a long queue must not stop the sessions
        return hastened

    async def run(self) -> None:
        """Work until ``drain``."""
        while not self._stopping:
            self._wake.clear()
            self._start_due()
            await self._sleep()
        if self._timer is not None:
            self._timer.cancel()

    async def drain(self, grace_seconds: float) -> None:
        """Start nothing more; let what is in flight end within the grace time, then break it off (it stays queued)."""
        self._stopping = True
        self._wake.set()
        self._settler.hurry()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def pause(self, part: Part) -> None:
        """Let no relaying (``mta``) or local delivery (``mda``) start."""
        self.holds.pause(part)

    def resume(self, part: Part) -> None:
        """Go on with it."""
        self._release(self.holds.resume(part))

    def _restore(self, evpid: Evpid, state: EnvelopeState, created_at: float) -> None:
        """Enter a recovered envelope."""
        now = self._clock()
        self.ages.add(evpid, min(created_at, now), attempted=state.attempts > 0)
        # Written when the clock was wrong: it is right now, or as wrong as it was.
        is_of_the_future = max(created_at, state.last_attempt_at) > now + CLOCK_TOLERANCE_SECONDS
        due_at = now if is_of_the_future else state.due_at or created_at
        if state.suspended:
            self.schedule.hold(evpid, due_at)
        else:
            self.schedule.add(evpid, due_at)

    def _start_due(self) -> None:
        """Start a task for each message that has due envelopes, as far as there is room."""
        self.last_run_at = self._clock()
        by_message: dict[Msgid, list[Evpid]] = {}
        for evpid in self.schedule.take(self.last_run_at, min(self._room(), self._at_once())):
            by_message.setdefault(msgid_of(evpid), []).append(evpid)
        self._active += sum(map(len, by_message.values()))
        if others := [msgid for msgid in by_message if msgid not in self._fresh]:
            self._spawn(self._start_many({msgid: by_message.pop(msgid) for msgid in others}))
        for msgid, evpids in by_message.items():
            fresh = self._fresh.pop(msgid)
            self._start(self._admitted(fresh if self._spool.has(msgid) else None, evpids))

    def _room(self) -> int:
        """How many envelopes more may be in flight: none while the queue could not keep what becomes of them."""
        return 0 if self._spool.trouble() else max(0, min(self._window, self._most_in_flight()) - self._active)

    def _at_once(self) -> int:
        return min(max(self._window // 10, FEWEST_AT_ONCE), STARTED_AT_ONCE)

    def _most_in_flight(self) -> int:
        return self._config().service.outbound.limits.in_flight

    async def _sleep(self) -> None:
        """Wait for a wake-up, or until the next envelope is due; without room only the end of a task helps."""
        due_at = self.schedule.next_due()
        delay = LONGEST_SLEEP_SECONDS if due_at is None else due_at - self._clock()
        troubled = bool(self._spool.trouble())
        if delay <= 0 and self._active < self._most_in_flight() and not troubled:
            await self._give_way()
            return
        shortest = TROUBLED_SLEEP_SECONDS if troubled else SHORTEST_SLEEP_SECONDS
        self._wake_within(min(max(delay, shortest), LONGEST_SLEEP_SECONDS))
        await self._wake.wait()
        if delay <= 0:
            await asyncio.sleep(SHORTEST_REST_SECONDS)

    async def _give_way(self) -> None:
        """Let sessions and deliveries that are under way have at least as much of the event loop as was started now.

        And learn from its turns how many it can carry: many answers of next hops that are there at the same time hold
        sessions up. Next hops that are slow leave turns short, and so many more may be in flight.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        await asyncio.sleep(0)
        took = loop.time() - started
        rest = max(took, SHORTEST_REST_SECONDS)
        await asyncio.sleep(rest)
        self._adapt(loop.time() - started - rest)

    def _adapt(self, turn_seconds: float) -> None:
        """Step by step, each way: most of what is in flight may wait for dead hosts, and is not why turns are long."""
        if turn_seconds > LONGEST_TURN_SECONDS:
            self._window = min(self._window, max(self._active - FEWEST_AT_ONCE, FEWEST_IN_FLIGHT))
        elif self._active + self._at_once() > self._window:
            self._window = min(self._window + FEWEST_AT_ONCE // 2, self._most_in_flight())

    def _wake_within(self, seconds: float) -> None:
        """Make sure that the sleep ends in time; a timer that ends it early may stay, and is mostly there."""
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = loop.call_at(at, self._ring)

    def _ring(self) -> None:
        """Wake up. The clock can't tell whether the timer has done its work: uvloop's run up to a millisecond early."""
        self._timer = None
        self._wake.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine as a task that is kept until it ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start_many(self, due: dict[Msgid, list[Evpid]]) -> None:
        """Load messages together; what can't be read so is tried alone, to learn why."""
        try:
            loaded = await self._spool.load_many(list(due))
        except SpoolError:
            loaded = {}
        for msgid, evpids in due.items():
            if (stored := loaded.get(msgid)) is None:
                self._spawn(self._load_alone(msgid, evpids))
                continue
            self._start(self._admitted(stored, evpids))

    async def _load_alone(self, msgid: Msgid, evpids: list[Evpid]) -> None:
        """Load one message and start its transactions."""
        try:
            stored = await self._spool.load(msgid)
        except SpoolError as error:
            self._put_off(msgid, evpids, str(error))
            return
        self._start(self._admitted(stored if self._spool.has(msgid) else None, evpids))

    def _start(self, groups: Iterable[Group]) -> None:
        """Start transactions, each as a task."""
        for each in groups:
            self._spawn(self._attempt(each))

    def _admitted(self, stored: Stored | None, evpids: list[Evpid]) -> list[Group]:
        """Split the due envelopes into transactions, and answer those that may start; what is gone is forgotten."""
        groups = list(group(stored, evpids, self._config())) if stored is not None else []
        known = {envelope.evpid for each in groups for envelope in each.envelopes}
        for evpid in set(evpids) - known:
            self.forget(evpid)
        self._ended(len(evpids) - len(known))
        return [each for each in groups if self._admit(each)]

    def _admit(self, each: Group) -> bool:
        """Whether the transaction may start; if not, its ids wait in the holds."""
        evpids = [envelope.evpid for envelope in each.envelopes]
        if self.holds.enter(each.destination, _part(each), evpids):
            return True
        self._ended(len(evpids))
        return False

    def _put_off(self, msgid: Msgid, evpids: Iterable[Evpid], cause: str) -> None:
        """The spool can't be read: look again in a minute; nothing is lost, nothing is bounced."""
        evpids = tuple(evpids)
        self._emit(Notice(level="error", event="queue.fault", details={"msgid": msgid, "cause": cause}))
        for evpid in evpids:
            self.schedule.add(evpid, self._clock() + LONGEST_SLEEP_SECONDS)
        self._ended(len(evpids))

    async def _attempt(self, each: Group) -> None:
        """One transaction, from route to settled outcome."""
        started = self._clock()
        task = Task(
            message=each.stored.message,
            envelopes=each.envelopes,
            reverse_path=each.reverse_path,
            content=lambda: self._spool.content(each.stored.message.msgid),
            before_final_dot=lambda: self._before_final_dot(each),
        )
        try:
            receipt = await self._deliver(each, task)
            if not self._spool.has(task.message.msgid):
                return self._forget_all(each)
            verdicts = await self._settler.settle(each, receipt, started)
            for verdict in verdicts:
                self._reschedule(verdict.envelope.evpid, verdict.result.state.due_at, gone=bool(verdict.result.final))
        finally:
            self._release(self.holds.leave(each.destination, len(each.envelopes)))
            self._ended(len(each.envelopes))

    def _forget_all(self, each: Group) -> None:
        """The message isn't ours any more: whoever has it tells what becomes of it."""
        for envelope in each.envelopes:
            self.forget(envelope.evpid)

    async def _deliver(self, each: Group, task: Task) -> Receipt:
        """Carry it; a fault of ours is a deferral, never a loss and never a bounce."""
        try:
            return await self.courier.deliver(each, task)
        except Exception as error:
            details = {"msgid": task.message.msgid, "cause": f"{type(error).__name__}: {error}"[:500]}
            self._emit(Notice(level="error", event="service.fault", details=details))
            return same_for_all(task, FAULT)

    async def _before_final_dot(self, each: Group) -> bool:
        """Note the intent, and ask whether the queue is still ours: in this order, one look at the volume does both."""
        self._spool.intend([envelope.evpid for envelope in each.envelopes])
        return await self._spool.owned() and self._spool.has(each.stored.message.msgid)

    def _reschedule(self, evpid: Evpid, due_at: float, *, gone: bool) -> None:
        """Forget it, or enter its next attempt."""
        if gone:
            self.forget(evpid)
        else:
            self.ages.attempted(evpid)
            self.schedule.add(evpid, due_at)

    def _release(self, evpids: Iterable[Evpid]) -> None:
        """Make held envelopes due."""
        now = self._clock()
        for evpid in evpids:
            self.schedule.add(evpid, now)
        self._wake.set()

    def _ended(self, count: int) -> None:
        """Count envelopes that are not in flight any more."""
        self._active -= count
        self._wake.set()


def _part(each: Group) -> Part:
    """What can be paused: local deliveries or relaying."""
    return "mda" if is_local(each.action) else "mta"
