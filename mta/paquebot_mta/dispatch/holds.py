"""Envelopes that are due but must wait: their destination has enough in flight, or that kind of delivery is paused.

A destination that is dead or slow keeps only so many envelopes busy; the rest waits here as bare ids, so it never takes
the places of other destinations (OpenSMTPD's hold queue).
"""

from collections.abc import Sequence
from itertools import islice
from typing import Literal

from paquebot_mta.dispatch.groups import Destination
from paquebot_mta.mail.ids import Evpid

Part = Literal["mta", "mda"]


class Holds:
    """Counts what is in flight for each destination and keeps the overflow, first in, first out."""

    def __init__(self, limit: int) -> None:
        """``limit``: envelopes in flight for one destination."""
        self._limit = limit
        self._inflight: dict[Destination, int] = {}
        self._waiting: dict[Destination, dict[Evpid, None]] = {}
        self._places: dict[Evpid, Destination] = {}
        self._parts: dict[Destination, Part] = {}
        self._paused: set[Part] = set()

    def enter(self, destination: Destination, part: Part, evpids: Sequence[Evpid]) -> bool:
        """Ask for places; False means that the ids are kept here until ``leave`` or ``resume`` releases them."""
        busy = self._inflight.get(destination, 0)
        if part in self._paused or busy >= self._limit:
            self._parts[destination] = part
            self._waiting.setdefault(destination, {}).update(dict.fromkeys(evpids))
            self._places.update(dict.fromkeys(evpids, destination))
            return False
        self._inflight[destination] = busy + len(evpids)
        return True

    def leave(self, destination: Destination, count: int) -> list[Evpid]:
        """Give places back; answers the ids that may be tried now."""
        busy = self._inflight.get(destination, 0) - count
        if busy > 0:
            self._inflight[destination] = busy
        else:
            self._inflight.pop(destination, None)
        return self._release(destination, self._limit - max(busy, 0))

    def __contains__(self, evpid: Evpid) -> bool:
        return evpid in self._places

    def forget(self, evpid: Evpid) -> bool:
        """Drop a waiting id; False if it does not wait here."""
        if (destination := self._places.pop(evpid, None)) is None:
            return False
        waiting = self._waiting[destination]
        del waiting[evpid]
        if not waiting:
            del self._waiting[destination], self._parts[destination]
        return True

    def clear(self) -> None:
        """Nothing is in flight or waits any more; what is paused stays paused."""
        for kept in (self._inflight, self._waiting, self._places, self._parts):
            kept.clear()

    def pause(self, part: Part) -> None:
        """Let nothing of that kind start."""
        self._paused.add(part)

    def resume(self, part: Part) -> list[Evpid]:
        """Let it start again; answers the ids that may be tried now."""
        self._paused.discard(part)
        released: list[Evpid] = []
        for destination in [each for each, kind in self._parts.items() if kind == part]:
            released += self._release(destination, self._limit - self._inflight.get(destination, 0))
        return released

    def paused(self) -> tuple[Part, ...]:
        """What is paused now."""
        return tuple(sorted(self._paused))

    def waiting(self) -> int:
        """How many envelopes wait here."""
        return len(self._places)

    def _release(self, destination: Destination, room: int) -> list[Evpid]:
        """Take out as many waiting ids as there is room for."""
        waiting = self._waiting.get(destination)
        if not waiting or self._parts.get(destination) in self._paused:
            return []
        released = list(islice(waiting, room))
        for evpid in released:
            self.forget(evpid)
        return released
