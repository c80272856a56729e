"""Report events as numbered lines: ``SEQUENCE|report|0.7|...``, for one subscriber.

Numbers begin with 1 and count what the subscriber wants, whether it got it or not: a gap is what it lost. Without it
a line is what a filter is told (smtpd-filters(7)).
"""

from collections.abc import Callable

from paquebot_mta.config.reports import Subscriber
from paquebot_mta.filter.process.lines import report_line
from paquebot_mta.telemetry.bus import Handler
from paquebot_mta.telemetry.events import Report

Put = Callable[[bytes], None]
"""Takes a line, its LF included; never blocks, never raises."""


class Stream:
    """A consumer of the event bus that spells what is wanted.

    Attributes:
        sequence: of the last line.
    """

    def __init__(self, settings: Subscriber, put: Put, clock: Callable[[], float]) -> None:
        """Hand lines to ``put``; ``clock`` gives seconds since 1970."""
        self._directions = frozenset(subsystem.removeprefix("smtp-") for subsystem in settings.subsystems)
        self._events = frozenset(settings.events)
        self._put = put
        self._clock = clock
        self.sequence = 0

    def handler_of(self, kind: type) -> Handler | None:
        """Choose what takes the events of a class; see ``Chooser``."""
        if not issubclass(kind, Report) or (self._events and kind.name not in self._events):
            return None
        return self._take

    def _take(self, event: Report) -> None:
        if event.direction in self._directions:
            self.sequence += 1
            self._put(b"%d|%b" % (self.sequence, report_line(event, self._clock())))
