"""The bus: who wants a class of events is asked once, and asked again when that may have changed."""

from paquebot_mta.telemetry.bus import Bus, Handler
from paquebot_mta.telemetry.events import Attempt, Event, LimitHit, MxLookup
from paquebot_mta.telemetry.log import Log
from paquebot_mta.telemetry.privacy import Privacy
from paquebot_mta.telemetry.sink import MemorySink
from tests.mta.telemetry.samples import MSGID, others, reports

ATTEMPT = Attempt(direction="in", outcome="accepted")
LIMIT = LimitHit(direction="in", limit="rate")


class Picky:
    """Wants attempts only."""

    def __init__(self) -> None:
        self.asked: list[type] = []
        self.seen: list[Event] = []

    def handler_of(self, kind: type) -> Handler | None:
        """Note what was asked."""
        self.asked.append(kind)
        return self.seen.append if kind is Attempt else None


def test_a_consumer_gets_the_classes_it_wants_and_is_asked_once_for_each() -> None:
    bus, picky, everything = Bus(), Picky(), list[Event]()
    bus.subscribe(picky)
    bus.subscribe(everything.append)
    for event in (ATTEMPT, LIMIT, ATTEMPT, LIMIT):
        bus.emit(event)
    assert picky.seen == [ATTEMPT, ATTEMPT]
    assert picky.asked == [Attempt, LimitHit]
    assert everything == [ATTEMPT, LIMIT, ATTEMPT, LIMIT]


def test_who_comes_later_or_leaves_is_heard_at_once() -> None:
    bus, seen = Bus(), list[Event]()
    consumer = seen.append
    bus.emit(ATTEMPT)
    bus.subscribe(consumer)
    bus.emit(ATTEMPT)
    bus.unsubscribe(consumer)
    bus.emit(ATTEMPT)
    assert seen == [ATTEMPT]


def test_a_consumer_that_raises_loses_its_event_and_no_one_elses() -> None:
    bus, seen = Bus(), list[Event]()

    def broken(event: Event) -> None:
        raise ValueError(event)

    bus.subscribe(broken)
    bus.subscribe(seen.append)
    bus.emit(ATTEMPT)
    assert (seen, bus.dropped) == ([ATTEMPT], 1)


def test_a_consumer_that_comes_while_an_event_is_handed_out_gets_the_next_one() -> None:
    bus, seen = Bus(), list[Event]()
    bus.subscribe(lambda _: bus.subscribe(seen.append) if not seen else None)
    bus.emit(ATTEMPT)
    assert seen == []
    bus.emit(LIMIT)
    assert seen == [LIMIT]


def test_events_too_quiet_for_the_log_never_reach_it() -> None:
    log = Log(MemorySink(), level="info")
    quiet = {type(event).name for event in reports("in") if log.handler_of(type(event)) is None}
    steps = {"link-greeting", "link-identify", "tx-begin", "tx-envelope", "tx-reset"}
    assert quiet == {*steps, "protocol-client", "protocol-server", "filter-report"}
    assert all(log.handler_of(type(event)) is None for event in (ATTEMPT, LIMIT, MxLookup(result="ok")))


def test_a_log_that_gets_louder_is_asked_again() -> None:
    bus, sink = Bus(), MemorySink()
    log = Log(sink, level="error", privacy=Privacy("Full"))
    bus.subscribe(log)
    commit = next(event for event in others() if getattr(event, "change", "") == "committed")
    bus.emit(commit)
    log.configure("debug", Privacy("Full"))
    bus.choose_again()
    bus.emit(commit)
    (line,) = sink.lines
    assert MSGID.encode() in line
