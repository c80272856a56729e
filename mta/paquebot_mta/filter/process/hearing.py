"""Which sessions a filter hears of, and the reports of them that it wants; a consumer of the event bus.

A filter hears of all sessions of its listeners and relay actions from their begin. Others (of a recipient's domain, or
begun before it was there) it learns of by being asked: it is told how they came so far, and then of further steps.
In sessions of other listeners it never hears of other domains' recipients, nor of the dialogue. A session of which
a report was lost, because the filter doesn't read fast enough, is over for it: a gap would mislead it.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from paquebot_mta.filter.contract import Facts, FilterError
from paquebot_mta.filter.process.introduce import reports_of
from paquebot_mta.filter.process.keeper import Line
from paquebot_mta.filter.process.lines import Version, report_line
from paquebot_mta.filter.tools import Places
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.telemetry.bus import Handler
from paquebot_mta.telemetry.events import Direction, LinkConnect, LinkDisconnect, Report, TxRcpt

_PRIVATE: Final = frozenset({"protocol-client", "protocol-server", "tx-envelope", "filter-report", "filter-response"})
"""What a guest isn't told: it may hold what concerns others."""
MAX_LOST_SESSIONS: Final = 10_000
"""A filter that lost reports of so many sessions before it read anything again is ended: it would never learn of all
their ends, and what must be remembered of them would grow for ever."""


class Hearing:
    """What one running filter hears.

    Args:
        line: the filter.
        places: whose sessions are its own.

    Attributes:
        lost: reports that it did not take in time.
    """

    def __init__(self, line: Line, places: Places, version: Version, clock: Callable[[], float]) -> None:
        self._channel = line.channel
        self._wanted = {"in": line.registration.incoming, "out": line.registration.outgoing}
        self._endpoints = {"in": places.listeners, "out": places.relays}
        self._domains = places.domains
        self._version = version
        self._clock = clock
        self._own: set[SessionId] = set()
        self._guests: set[SessionId] = set()
        self._gone: dict[SessionId, tuple[Direction, str]] = {}
        self.lost = 0

    def __len__(self) -> int:
        """Sessions that it knows."""
        return len(self._own) + len(self._guests)

    def handler_of(self, kind: type) -> Handler | None:
        """Choose what takes the events of a class; see ``Chooser``."""
        if not issubclass(kind, Report) or not self._is_wanted(kind):
            return None
        if issubclass(kind, LinkConnect):
            return self._connected
        if issubclass(kind, LinkDisconnect):
            return self._disconnected
        return self._writer(kind.name)

    def introduce(self, facts: Facts) -> None:
        """Make sure that the filter knows a session; raises FilterError."""
        session = facts.session
        if session in self._own or session in self._guests or not self._wanted["in"]:
            return
        self._make_room()
        if session in self._gone or not self._channel.has_room:
            raise FilterError("it lost reports of this session, as it doesn't read fast enough", "timeout")
        known = self._own if facts.endpoint in self._endpoints["in"] else self._guests
        known.add(session)
        for event in reports_of(facts):
            if event.name in self._wanted["in"] and self._may_hear(event):
                self._channel.write(report_line(event, self._clock(), self._version))

    def forget(self, sessions: Iterable[SessionId]) -> None:
        """Sessions are over, whether that was reported or not."""
        for session in sessions:
            self._own.discard(session)
            self._guests.discard(session)

    def _is_wanted(self, kind: type[Report]) -> bool:
        if kind in {LinkConnect, LinkDisconnect}:
            return bool(self._wanted["in"] or self._wanted["out"])
        return kind.name in self._wanted["in"] or kind.name in self._wanted["out"]

    def _writer(self, name: str) -> Callable[[Any], None]:
        """Make what writes reports of one name; half of all events go through it, so it binds what it needs."""
        directions = frozenset(direction for direction, wanted in self._wanted.items() if name in wanted)
        own, guests, write, gone = self._own, self._guests, self._write, self._gone
        put, clock, version = self._channel.put, self._clock, self._version

        def take(event: Report) -> None:
            if event.session in own:
                if event.direction in directions and (gone or not put(report_line(event, clock(), version))):
                    write(event)
            elif event.session in guests and event.direction in directions and self._may_hear(event):
                write(event)

        return take

    def _connected(self, event: LinkConnect) -> None:
        if event.endpoint in self._endpoints[event.direction] and self._wanted[event.direction]:
            self._own.add(event.session)
            if event.name in self._wanted[event.direction]:
                self._write(event)

    def _disconnected(self, event: LinkDisconnect) -> None:
        if event.session in self._own or event.session in self._guests:
            if event.name in self._wanted[event.direction]:
                self._write(event)
            self.forget((event.session,))

    def _may_hear(self, event: Report) -> bool:
        """Whether a report of a session is this filter's business."""
        if event.session in self._own:
            return True
        if isinstance(event, TxRcpt):
            return event.address.rpartition("@")[2].lower() in self._domains
        return event.name not in _PRIVATE

    def _write(self, event: Report) -> None:
        if self._gone:
            self._make_room()
        if self._channel.has_room:
            self._channel.write(report_line(event, self._clock(), self._version))
            return
        self.lost += 1
        self.forget((event.session,))
        if event.name != LinkDisconnect.name or LinkDisconnect.name in self._wanted[event.direction]:
            self._gone[event.session] = (event.direction, event.endpoint)
        if len(self._gone) > MAX_LOST_SESSIONS:
            self._gone.clear()
            self._channel.end(f"it hangs: it didn't read and lost reports of {MAX_LOST_SESSIONS} sessions", "timeout")

    def _make_room(self) -> None:
        """Tell that the sessions with lost reports are over, as soon as there is room for that."""
        while self._gone and self._channel.has_room:
            session, (direction, endpoint) = self._gone.popitem()
            if LinkDisconnect.name in self._wanted[direction]:
                end = LinkDisconnect(direction=direction, session=session, endpoint=endpoint, reason="error")
                self._channel.write(report_line(end, self._clock(), self._version))
