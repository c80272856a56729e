"""The heap of due times."""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Literal

from paquebot_mta.mail.ids import Evpid

State = Literal["pending", "inflight", "suspended"]
Due = tuple[float, int, Evpid]
"""Time, number in the order of adding, and the envelope: one object for heap and table."""


class Schedule:
    """Envelopes by due time (seconds since 1970): each is pending, in flight or suspended.

    Changing a time leaves the old heap entry behind; it is skipped when it comes up, and the heap is rebuilt when most
    of it is such leftovers, so memory stays proportional to the envelopes.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._heap: list[Due] = []
        self._pending: dict[Evpid, Due] = {}
        self._inflight: set[Evpid] = set()
        self._suspended: dict[Evpid, float] = {}
        self._sequence = count()

    def add(self, evpid: Evpid, due_at: float) -> None:
        """Make an envelope pending, whatever it was before; equal times keep the order of adding."""
        self._inflight.discard(evpid)
        self._suspended.pop(evpid, None)
        self._push(evpid, due_at)

    def take(self, now: float, limit: int) -> list[Evpid]:
        """Give out at most ``limit`` envelopes that are due, oldest first; they are in flight from now on."""
        taken: list[Evpid] = []
        while self._heap and len(taken) < limit and self._heap[0][0] <= now:
            due = heappop(self._heap)
            evpid = due[2]
            if self._pending.get(evpid) is due:
                del self._pending[evpid]
                self._inflight.add(evpid)
                taken.append(evpid)
        return taken

    def forget(self, evpid: Evpid) -> None:
        """Drop an envelope; unknown ones are ignored."""
        self._pending.pop(evpid, None)
        self._suspended.pop(evpid, None)
        self._inflight.discard(evpid)

    def clear(self) -> None:
        """Drop everything."""
        for kept in (self._heap, self._pending, self._inflight, self._suspended):
            kept.clear()

    def hasten(self, evpids: Iterable[Evpid], now: float) -> int:
        """Make pending envelopes due at once (a flush); says how many there were."""
        hastened = [evpid for evpid in evpids if evpid in self._pending]
        for evpid in hastened:
            self._push(evpid, now)
        return len(hastened)

    def pending(self) -> list[Evpid]:
        """Envelopes that wait for their time."""
        return list(self._pending)

    def suspend(self, evpid: Evpid) -> bool:
        """Hold a pending envelope back; False if it is not pending."""
        if (entry := self._pending.pop(evpid, None)) is None:
            return False
        self._suspended[evpid] = entry[0]
        return True

    def resume(self, evpid: Evpid) -> bool:
        """Let a suspended envelope go on; False if it is not suspended."""
        if (due_at := self._suspended.pop(evpid, None)) is None:
            return False
        self._push(evpid, due_at)
        return True

    def hold(self, evpid: Evpid, due_at: float) -> None:
        """Keep an envelope suspended from the start (its stored state says so)."""
        self.forget(evpid)
        self._suspended[evpid] = due_at

    def next_due(self) -> float | None:
        """When the next pending envelope is due, None if there is none."""
        while self._heap and self._pending.get(self._heap[0][2]) is not self._heap[0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def state(self, evpid: Evpid) -> State | None:
        """What an envelope is doing, None if it is not here."""
        if evpid in self._pending:
            return "pending"
        if evpid in self._inflight:
            return "inflight"
        return "suspended" if evpid in self._suspended else None

    def due_at(self, evpid: Evpid) -> float | None:
        """When a pending or suspended envelope is due."""
        entry = self._pending.get(evpid)
        return entry[0] if entry else self._suspended.get(evpid)

    def counts(self) -> dict[State, int]:
        """How many envelopes are in each state."""
        return {"pending": len(self._pending), "inflight": len(self._inflight), "suspended": len(self._suspended)}

    def _push(self, evpid: Evpid, due_at: float) -> None:
        """Enter a due time and forget any earlier one."""
        due = self._pending[evpid] = (due_at, next(self._sequence), evpid)
        heappush(self._heap, due)
        if len(self._heap) > 64 + 2 * len(self._pending):
            self._heap = list(self._pending.values())
            heapify(self._heap)
