"""The event loop's side of the committer: append and wait, with a deadline and the circuit in front."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from paquebot_mta.spool.committer import Committer, Placed, append_of, question
from paquebot_mta.spool.health import Circuit
from paquebot_mta.spool.options import fault
from paquebot_mta.spool.segment import Home, NewRecord
from paquebot_mta.spool.store import SpoolError

_TICK_SECONDS: Final = 0.001
"""What is nearer counts as over: uvloop's timers are that coarse, and one so near could not tell its time."""
NOTE_SYNC_SECONDS: Final = 0.005
"""A note that no commit has made durable by then is synced for its own sake: slow next hops leave time for it."""


class Log:
    """Our own log."""

    def __init__(
        self,
        home: Home,
        committer: Committer,
        circuit: Circuit,
        loop: asyncio.AbstractEventLoop,
        wait_seconds: float,
    ) -> None:
        """``home`` gets to know each segment when something durable lies in it."""
        self._home = home
        self._committer = committer
        self._circuit = circuit
        self._loop = loop
        self._wait_seconds = wait_seconds
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_note_due = False
        self._commits_at_note = 0

    def note(self, records: Sequence[NewRecord], on_placed: Callable[[Placed], None] | None = None) -> None:
        """Append without waiting; dropped while the volume is out of order.

        Without ``on_placed`` it is synced with what else is committed, or a little later, on a full volume with the
        ballast's space.
        """
        if self._circuit.refusal() is not None:
            return
        if on_placed is None:
            self._committer.submit(append_of(records, essential=True))
            self._sync_note_later()
            return

        def settle(outcome: Placed | SpoolError) -> None:
            if isinstance(outcome, Placed):
                self.register(outcome)
                on_placed(outcome)

        self._committer.submit(append_of(records, settle))

    def _sync_note_later(self) -> None:
        self._commits_at_note = self._committer.commits
        if not self._is_note_due:
            self._is_note_due = True
            self._loop.call_later(NOTE_SYNC_SECONDS, self._sync_note)

    def _sync_note(self) -> None:
        """Sync, unless that has been done: one commit may have begun before the note, two have not."""
        self._is_note_due = False
        if self._committer.commits < self._commits_at_note + 2 and self._circuit.refusal() is None:
            self._committer.submit(append_of((), lambda _: None))

    async def append(
        self, records: Sequence[NewRecord], on_settled: Callable[[Placed | None], None], *, essential: bool = False
    ) -> None:
        """Append and wait until it is durable and still ours.

        ``on_settled`` is called exactly once, with the place or None, and even if the caller was cancelled meanwhile:
        what is durable must be known.

        Raises:
            SpoolError: it is not durable, or nobody knows within the deadline.
        """
        refusal = self._circuit.refusal()
        if refusal is not None:
            on_settled(None)
            raise refusal
        waiter: asyncio.Future[None] = self._loop.create_future()

        def settle(outcome: Placed | SpoolError) -> None:
            self.settle(waiter, outcome, on_settled)

        self._committer.submit(append_of(records, settle, essential=essential))
        await self.within_deadline(waiter)

    async def begin_anew(self) -> None:
        """Seal the present segment, and go on in a new one.

        Raises:
            SpoolError: the volume is out of order.
        """
        self._committer.end_segment()
        await self.append((), lambda placed: None)

    def settle(
        self,
        waiter: "asyncio.Future[None]",
        outcome: Placed | SpoolError,
        on_settled: Callable[[Placed | None], None],
    ) -> None:
        """Spread the news: the books first, then whoever waits."""
        if isinstance(outcome, SpoolError):
            on_settled(None)
            if not waiter.done():
                waiter.set_exception(outcome)
            return
        self.register(outcome)
        on_settled(outcome)
        if not waiter.done():
            waiter.set_result(None)

    async def within_deadline(self, waiter: "asyncio.Future[None]") -> None:
        """Wait for the volume, but not for ever.

        Raises:
            SpoolError: the waiter failed or the deadline passed.
        """
        # All waits are equally long, so a queue and one timer do for all: a timer for each costs more than the wait.
        waiting, deadline = self._waiting, self._loop.time() + self._wait_seconds
        while waiting and waiting[0][1].done():
            waiting.popleft()
        waiting.append((deadline, waiter))
        if self._timer is None or self._timer.when() > deadline:
            self._set_timer(deadline)
        await waiter

    def _set_timer(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        """Give up what has waited long enough, and set the timer for the next one."""
        waiting, now = self._waiting, self._loop.time() + _TICK_SECONDS
        while waiting and (waiting[0][1].done() or waiting[0][0] <= now):
            _, waiter = waiting.popleft()
            if not waiter.done():
                waiter.set_exception(fault("the volume did not answer in time"))
        self._timer = None
        if waiting:
            self._set_timer(waiting[0][0])

    async def owned(self) -> bool:
        """Ask the volume whether the log is still ours, together with whatever is committed meanwhile.

        Raises:
            SpoolError: nobody knows.
        """
        waiter: asyncio.Future[None] = self._loop.create_future()

        def settle(outcome: Placed | SpoolError) -> None:
            if waiter.done():
                return
            if isinstance(outcome, SpoolError):
                waiter.set_exception(outcome)
            else:
                waiter.set_result(None)

        self._committer.submit(question(settle))
        await self.within_deadline(waiter)
        return not self._circuit.lost

    def register(self, placed: Placed) -> None:
        """Keep track of a segment from its first durable record on."""
        self._home.segments.setdefault(placed.segment.segment_id, placed.segment)
