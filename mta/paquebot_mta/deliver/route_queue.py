"""The tasks of one route and the connections that carry them.

Slow start: one connection until a greeting succeeded, then as many as the waiting tasks are worth. A connection takes
task after task, is kept a while when there is none, and then closed. When no next hop can be reached and no connection
is left, all that wait are deferred together.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

from msgspec import Struct

from paquebot_mta.deliver import faults
from paquebot_mta.deliver.counts import ConnectionCounts, Key
from paquebot_mta.deliver.faults import SessionFaultError, StaleSessionError
from paquebot_mta.deliver.hops import NextHop
from paquebot_mta.deliver.session import Plan, Session, describe, open_session
from paquebot_mta.deliver.settings import RouteInfo
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
    """What all routes share.

    Attributes:
        counts: of connections, over all routes.
        spawn: starts a coroutine and keeps it.
        on_empty: called with the queue when nothing is left of it.
    """

    counts: ConnectionCounts
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    on_empty: Callable[["RouteQueue"], None]


class RouteQueue:
    """The queue of one route and endpoint."""

    def __init__(self, number: int, plan: Callable[[], Plan], around: Surroundings) -> None:
        """Start without connections; ``plan`` gives the plan of a new session."""
        self._number = number
        self._plan = plan
        self._about = plan()
        self._around = around
        self._jobs: deque[Job] = deque()
        self._idle: list[asyncio.Future[Job | None]] = []
        self._failed_hops: Counter[str] = Counter()
        self._connections = 0
        self._connecting = 0
        self._proven = False
        self._limited = False
        self._closed = False
        self.errors = 0
        """Connections that failed."""

    def submit(self, task: Task) -> asyncio.Future[Receipt]:
        """Queue a task; the future never has an exception."""
        job = Job(task, asyncio.get_running_loop().create_future())
        if self._closed:
            _finish(job, faults.SHUTTING_DOWN, "")
        while self._idle:
            waiter = self._idle.pop()
            if not waiter.done():
                waiter.set_result(job)
                return job.receipt
        if not job.receipt.done():
            self._jobs.append(job)
            self._open_more()
        return job.receipt

    def info(self) -> RouteInfo:
        """Describe it."""
        return RouteInfo(
            id=self._number,
            key=self._about.route.key,
            endpoint=self._about.endpoint.name,
            next_hop=describe(self._about.route.next_hops[0]) if self._about.route.next_hops else "",
            connections=self._connections,
            queued=len(self._jobs),
            state="ok" if self._proven else "new",
            errors=self.errors,
        )

    def close(self) -> None:
        """Defer what waits, and let idle connections go."""
        self._closed = True
        self._defer_all(faults.SHUTTING_DOWN)
        for waiter in self._idle:
            if not waiter.done():
                waiter.set_result(None)

    # Connections.

    def _open_more(self) -> None:
        """Start connections for what waits."""
        while self._wants_more():
            self._connections += 1
            self._connecting += 1
            self._around.spawn(self._carry())

    def _wants_more(self) -> bool:
        """Whether one more connection is worth it (the reference's slow start)."""
        waiting = len(self._jobs)
        if waiting <= self._connecting or self._limited or self._closed:
            return False
        if not self._proven:
            return self._connections == 0
        if self._connections >= self._about.settings.limits.connections_per_route:
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
        keys: tuple[Key, ...] = ()
        try:
            try:
                found = await self._reach()
            finally:
                self._connecting -= 1
            if found is None:
                return
            session, keys = found
            self._proven = True
            await self._use(session)
        finally:
            if keys:
                self._around.counts.release(keys)

    async def _reach(self) -> tuple[Session, tuple[Key, ...]] | None:
        """Open a session to the best next hop that answers; None if limits leave none to try.

        Raises:
            SessionFaultError: of the last hop that was tried.
        """
        fault: SessionFaultError | None = None
        plan = self._plan()
        for hop in self._ranked(plan):
            keys = self._keys(plan, hop)
            if not self._around.counts.take(keys):
                continue
            try:
                session = await open_session(plan, hop)
            except BaseException as error:
                self._around.counts.release(keys)
                if not isinstance(error, SessionFaultError):
                    raise
                fault = self._hop_failed(hop, error, fault)
            else:
                self._failed_hops.pop(hop.address, None)
                return session, keys
        if fault is not None:
            raise fault
        self._wait_for_room()
        return None

    def _hop_failed(
        self, hop: NextHop, error: SessionFaultError, earlier: SessionFaultError | None
    ) -> SessionFaultError:
        """Count it, and choose what to tell: a refusal says more than an unreachable address."""
        self.errors += 1
        self._failed_hops[hop.address] += 1
        return error if earlier is None or error.cause != "connect" else earlier

    def _ranked(self, plan: Plan) -> list[NextHop]:
        """Order by preference (RFC 5321, 5.1), then what failed last, then the fewest connections."""
        counts = self._around.counts
        return sorted(
            plan.route.next_hops,
            key=lambda hop: (hop.preference, self._failed_hops[hop.address], counts.count(("host", hop.address))),
        )

    def _keys(self, plan: Plan, hop: NextHop) -> tuple[Key, ...]:
        domain = self._jobs[0].task.envelopes[0].destination.rpartition("@")[2] if self._jobs else ""
        endpoint = plan.endpoint
        return ("host", hop.address), ("source", endpoint.source), ("relay", endpoint.name), ("domain", domain)

    def _wait_for_room(self) -> None:
        """All next hops are at a limit: go on when a connection of anyone's is closed."""
        self._limited = True
        self._around.counts.wait(self._room)

    def _room(self) -> None:
        self._limited = False
        self._open_more()

    def _unreachable(self, fault: SessionFaultError) -> None:
        """A connection could not be opened: if it was the only one, nobody will carry what waits."""
        self._proven = False
        if self._connections > 1:
            return
        if fault.cause in {"connect", "timeout", "eof"}:
            self._defer_all(Reply(451, f"{_NETWORK}: {fault.reply.text}", "4.4.1"))
        else:
            self._defer_all(fault.reply)

    def _defer_all(self, reply: Reply) -> None:
        hops = self._about.route.next_hops
        relay = describe(hops[-1]) if hops else ""
        while self._jobs:
            _finish(self._jobs.popleft(), reply, relay)

    # Tasks.

    async def _use(self, session: Session) -> None:
        """Carry tasks until there are none, or the session is of no more use.

        Raises:
            SessionFaultError: it carried none: to open another one at once would never end.
        """
        served = 0
        try:
            while session.usable and (job := await self._obtain(session)) is not None:
                self._open_more()
                if not await self._serve(session, job):
                    # The kept connection was gone: nothing was sent.
                    self._jobs.appendleft(job)
                    break
                served += 1
        finally:
            await session.quit()
        if not served and self._jobs:
            raise SessionFaultError("eof", faults.CLOSED)

    async def _obtain(self, session: Session) -> Job | None:
        """Take a task that waits, or wait for one."""
        if (job := self._next_job()) is not None:
            return job
        return await self._idle_job(session)

    def _next_job(self) -> Job | None:
        while self._jobs:
            job = self._jobs.popleft()
            if not job.receipt.done():
                return job
        return None

    async def _idle_job(self, session: Session) -> Job | None:
        """Wait for a task; None after the keep-alive time, or when the next hop closes."""
        if self._closed:
            return None
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Job | None] = loop.create_future()

        def give_up() -> None:
            if not waiter.done():
                waiter.set_result(None)

        timer = loop.call_later(self._about.settings.limits.keepalive_seconds, give_up)
        session.watch(give_up)
        self._idle.append(waiter)
        try:
            return await waiter
        finally:
            timer.cancel()
            session.watch(None)
            if waiter in self._idle:
                self._idle.remove(waiter)

    async def _serve(self, session: Session, job: Job) -> bool:
        """Deliver one task; false if the kept connection turned out to be gone."""
        if not session.usable:
            return False
        try:
            receipt = await session.deliver(job.task)
        except StaleSessionError:
            return False
        except asyncio.CancelledError:
            _finish(job, faults.SHUTTING_DOWN, describe(session.hop))
            raise
        except Exception as error:
            self._about.emit(faults.fault_notice("relay", error))
            _finish(job, faults.INTERNAL, describe(session.hop))
        else:
            if not job.receipt.done():
                job.receipt.set_result(receipt)
        return True


def _finish(job: Job, reply: Reply, relay: str) -> None:
    """Defer a whole task."""
    if not job.receipt.done():
        outcome = Deferred(reply)
        job.receipt.set_result(Receipt({each.evpid: outcome for each in job.task.envelopes}, relay))
