"""Envelopes whose final dot may have been sent while no result is stored: what INTENT records are about.

A death makes each of them a possible duplicate, counted by its INTENT. So that record must not go with the segment in
which it stands by chance: it is stored again before that one is removed, and pins the segments of its messages.
"""

from collections.abc import Callable, Iterable

from paquebot_mta.mail.ids import Evpid, msgid_of
from paquebot_mta.spool.committer import Placed
from paquebot_mta.spool.format import Kind
from paquebot_mta.spool.index import Index
from paquebot_mta.spool.log import Log
from paquebot_mta.spool.records import Intended, encode
from paquebot_mta.spool.segment import NO_MESSAGE, NewRecord


class InFlight:
    """Of one journal; used on the event loop."""

    def __init__(self, log: Log, index: Index, generation: Callable[[], int]) -> None:
        """``generation``: the journal's present one."""
        self._log = log
        self._index = index
        self._generation = generation
        self._evpids: set[Evpid] = set()

    def begin(self, evpids: Iterable[Evpid]) -> None:
        """Their INTENT is on its way to the log."""
        self._evpids.update(evpids)

    def end(self, evpids: Iterable[Evpid]) -> frozenset[Evpid]:
        """Their results are. Returns those that were in flight: to be begun again if that fails."""
        ended = frozenset(self._evpids.intersection(evpids))
        self._evpids -= ended
        return ended

    async def keep(self, *more: NewRecord) -> None:
        """Store INTENT again for all that is in flight, and ``more``; what was submitted before is durable then, too.

        Raises:
            SpoolError: nobody knows whether it is.
        """
        entries = {evpid: self._index.get(msgid_of(evpid)) for evpid in self._evpids}
        evpids = tuple(evpid for evpid, entry in entries.items() if entry is not None)
        segments = [entry.segment for entry in entries.values() if entry is not None]

        def on_settled(placed: Placed | None) -> None:
            if placed is not None:
                placed.segment.pin(segments)

        payload = encode(Intended(evpids, generation=self._generation()))
        intents = [NewRecord(Kind.INTENT, NO_MESSAGE, payload)] if evpids else []
        await self._log.append([*intents, *more], on_settled, essential=True)
