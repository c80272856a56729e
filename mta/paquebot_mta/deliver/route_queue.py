"""The tasks that go one way and the connections that carry them.

Slow start: one connection until a greeting succeeded, then as many more at a time as there are already, while the
waiting tasks are worth it. A connection takes task after task, is kept a while when there is none, and then closed.
When no next hop can be used and no connection is left, all that wait are deferred together.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from msgspec import Struct

from paquebot_mta.deliver import faults
from paquebot_mta.deliver.counts import Bound, Key
from paquebot_mta.deliver.faults import SessionFaultError, StaleSessionError
from paquebot_mta.deliver.host_route import Rest
from paquebot_mta.deliver.pace import Pace
from paquebot_mta.deliver.plan import Plan, describe
from paquebot_mta.deliver.reach import Blocked, Reach, Reached
from paquebot_mta.deliver.session import Session
from paquebot_mta.deliver.settings import QueueInfo
from paquebot_mta.deliver.transport import Receipt, Task
from paquebot_mta.mail.outcome import Deferred
from paquebot_mta.mail.reply import Reply

_NETWORK: Final = "Network error on destination MXs"
_FEW: Final = 2
"""Connections that may be opened whatever the number of tasks; beyond them, one for each two tasks."""


class Job(Struct, frozen=True, eq=False):
    """A task and who waits for its receipt."""

    task: Task
    receipt: asyncio.Future[Receipt]


class Surroundings(Struct, frozen=True):
    """What a queue works with.

    Attributes:
        reach: opens sessions.
        pace: of starting messages, None for any.
        spawn: starts a coroutine and keeps it.
        on_empty: called with the queue when nothing is left of it.
    """

    reach: Reach
    pace: Pace | None
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    on_empty: Callable[["RouteQueue"], None]


class RouteQueue:
    """The queue of one route, endpoint and destination."""

    def __init__(self, plan: Callable[[], Plan], around: Surroundings) -> None:
        """Start without connections; ``plan`` gives the plan of a new session."""
        self._plan = plan
        self._about = plan()
        self._around = around
        self._jobs: deque[Job] = deque()
        self._idle: list[asyncio.Future[Job | None]] = []
        self._connections = 0
        self._connecting = 0
        self._ready = 0
        self._limited = False
        self._offered: Key | None = None
        self._paced = False
        self._closed = False

    def submit(self, task: Task) -> asyncio.Future[Receipt]:
        """Queue a task; the future never has an exception."""
        job = Job(task, asyncio.get_running_loop().create_future())
        if self._closed:
            _finish(job, Deferred(faults.SHUTTING_DOWN))
        else:
            self._jobs.append(job)
            self._pump()
        return job.receipt

    def info(self) -> QueueInfo:
        """Describe it."""
        about = self._about
        return QueueInfo(about.route.key, about.endpoint.name, self._connections, self._ready, len(self._jobs))

    def addresses(self) -> frozenset[str]:
        """Where its tasks may go."""
        return frozenset(hop.address for hop in self._plan().route.next_hops)

    def close(self) -> None:
        """Defer what waits, and let idle connections go."""
        self._closed = True
        self._defer_all(faults.SHUTTING_DOWN)
        for waiter in self._idle:
            if not waiter.done():
                waiter.set_result(None)

    # Connections.

    def _pump(self) -> None:
        """Give what waits to idle connections, and open more for the rest."""
        while self._idle and (job := self._next_job()) is not None:
            waiter = self._idle.pop()
            if waiter.done():
                self._put_back(job)
            else:
                waiter.set_result(job)
        self._open_more()

    def _open_more(self) -> None:
        """Start connections for what waits."""
        while self._wants_more():
            self._connections += 1
            self._connecting += 1
            self._around.spawn(self._carry())

    def _wants_more(self) -> bool:
        """Whether one more connection is worth it (the reference's slow start)."""
        waiting = len(self._jobs)
        if waiting <= self._connecting or len(self._idle) >= waiting or self._limited or self._closed:
            return False
        if self._connecting >= max(1, self._ready) or self._must_pause():
            return False
        return self._connections <= _FEW or self._connections < waiting / 2

    async def _carry(self) -> None:
        """Open one connection and carry tasks over it until it is of no more use."""
        try:
            await self._carry_on()
        except SessionFaultError as fault:
            self._unreachable(fault)
        except Exception as error:
            self._about.emit(faults.fault_notice("relay", error))
            self._unreachable(SessionFaultError("internal", faults.INTERNAL))
        finally:
            self._connections -= 1
            self._open_more()
            if not self._connections and not self._jobs:
                self._around.on_empty(self)

    async def _carry_on(self) -> None:
        found: Reached | Blocked | Rest | None = None
        offered, self._offered = self._offered, None
        try:
            found = await self._around.reach.open(self._plan(), self._domain())
        finally:
            self._connecting -= 1
            self._pass_on(offered, found)
        if isinstance(found, Rest):
            self._hold_back(found)
        elif isinstance(found, Blocked):
            self._wait_for_room(found)
        else:
            self._ready += 1
            try:
                await self._use(found.session, found.target.bounds)
            finally:
                self._ready -= 1
                self._around.reach.leave(found)

    def _pass_on(self, offered: Key | None, found: Reached | Blocked | Rest | None) -> None:
        """Offer room that was not taken to the next, unless somebody else was quicker."""
        bounds = found.target.bounds if isinstance(found, Reached) else found.full if isinstance(found, Blocked) else ()
        if offered is not None and all(each.key != offered for each in bounds):
            self._around.reach.counts.offer(offered)

    def _domain(self) -> str:
        return self._jobs[0].task.envelopes[0].destination.rpartition("@")[2] if self._jobs else ""

    def _wait_for_room(self, blocked: Blocked) -> None:
        """All next hops are at a limit: go on when there is room, or after a delay."""
        counts = self._around.reach.counts
        if len(counts.full(blocked.full)) < len(blocked.full):
            return  # there is room by now: whoever searches next finds it
        self._limited = True
        counts.wait(blocked.full, self._room)
        if not math.isinf(blocked.seconds):
            asyncio.get_running_loop().call_later(blocked.seconds, self._try_again)

    def _room(self, key: Key) -> bool:
        """There is room on a key: look for a connection, unless there is no need any more."""
        before = self._connecting
        self._try_again()
        if self._connecting == before:
            return False
        self._offered = key
        return True

    def _try_again(self) -> None:
        self._limited = False
        self._open_more()

    def _unreachable(self, fault: SessionFaultError) -> None:
        """A connection could not be opened: if it was the only one, nobody will carry what waits."""
        if self._connections > 1:
            return
        if fault.cause in {"connect", "timeout", "eof"}:
            self._defer_all(Reply(451, f"{_NETWORK}: {fault.reply.text}", "4.4.1"), fault)
        else:
            self._defer_all(fault.reply, fault)

    def _hold_back(self, rest: Rest) -> None:
        """All next hops rest: what waits has to wait as long, in the queue on the volume."""
        if self._connections > 1:
            return
        relay = f"{rest.route.key.address} ({rest.route.name})"
        while self._jobs:
            if not (job := self._jobs.popleft()).receipt.done():
                _finish(job, Deferred(rest.reply, rest.held()), relay)

    def _defer_all(self, reply: Reply, fault: SessionFaultError | None = None) -> None:
        hops = self._about.route.next_hops
        relay = fault.relay if fault is not None and fault.relay else describe(hops[-1]) if hops else ""
        while self._jobs:
            _finish(self._jobs.popleft(), Deferred(reply), relay, reached=fault is not None and fault.reached)

    # Tasks.

    async def _use(self, session: Session, bounds: Sequence[Bound]) -> None:
        """Carry tasks until there are none, or the session is of no more use.

        Raises:
            SessionFaultError: it was dead from the start: to open another one at once would never end.
        """
        served, waited = 0, False
        try:
            while session.usable:
                if (job := self._next_job()) is None:
                    waited = True
                    if (job := await self._idle_job(session, bounds)) is None:
                        break
                self._open_more()
                if not await self._serve(session, job):
                    self._put_back(job)
                    break
                served += 1
        finally:
            dead = session.dead
            await session.quit()
        if dead and not served and not waited and self._jobs:
            raise SessionFaultError("eof", faults.CLOSED, describe(session.hop))

    def _next_job(self) -> Job | None:
        """Take a task that waits and may be started now."""
        while self._jobs and self._jobs[0].receipt.done():
            self._jobs.popleft()
        if not self._jobs or self._must_pause():
            return None
        if self._around.pace is not None:
            self._around.pace.started(self._around.reach.now())
        return self._jobs.popleft()

    def _put_back(self, job: Job) -> None:
        """Nothing of it was sent: it is the next one."""
        if self._around.pace is not None:
            self._around.pace.given_back()
        if self._closed:
            _finish(job, Deferred(faults.SHUTTING_DOWN))
        else:
            self._jobs.appendleft(job)

    def _must_pause(self) -> bool:
        """Whether the destination's rate allows no start now; if so, look again when it does."""
        if (pace := self._around.pace) is None or not (seconds := pace.wait_seconds(self._around.reach.now())):
            return False
        if not self._paced:
            self._paced = True
            asyncio.get_running_loop().call_later(seconds, self._resume)
        return True

    def _resume(self) -> None:
        self._paced = False
        self._pump()

    async def _idle_job(self, session: Session, bounds: Sequence[Bound]) -> Job | None:
        """Wait for a task; None after the keep-alive time, when the next hop closes, or when others need the place."""
        counts = self._around.reach.counts
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Job | None] = loop.create_future()

        def give_up() -> None:
            if not waiter.done():
                waiter.set_result(None)

        if self._closed or not counts.spare(bounds, give_up):
            return None
        timer = loop.call_later(self._about.settings.limits.keepalive_seconds, give_up)
        session.watch(give_up)
        self._idle.append(waiter)
        try:
            return await waiter
        finally:
            timer.cancel()
            counts.unspare(bounds, give_up)
            session.watch(None)
            if waiter in self._idle:
                self._idle.remove(waiter)

    async def _serve(self, session: Session, job: Job) -> bool:
        """Deliver one task; false if the connection turned out to be gone before anything was sent."""
        if not session.usable:
            return False
        try:
            receipt = await session.deliver(job.task)
        except StaleSessionError:
            return False
        except asyncio.CancelledError:
            _finish(job, Deferred(faults.SHUTTING_DOWN), describe(session.hop), reached=True)
            raise
        except Exception as error:
            self._about.emit(faults.fault_notice("relay", error))
            _finish(job, Deferred(faults.INTERNAL), describe(session.hop), reached=True)
        else:
            if not job.receipt.done():
                job.receipt.set_result(receipt)
        return True


def _finish(job: Job, outcome: Deferred, relay: str = "", *, reached: bool = False) -> None:
    """Defer a whole task."""
    if not job.receipt.done():
        outcomes = {each.evpid: outcome for each in job.task.envelopes}
        job.receipt.set_result(Receipt(outcomes, relay, reached=reached))
