"""The events that `bench.telemetry` times are those of whole messages: all counted, sessions and transactions end."""

import json
from collections.abc import Callable, Iterable

import pytest

from bench.telemetry import SCENARIOS, new_connection
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import Event
from paquebot_mta.telemetry.log import Log
from paquebot_mta.telemetry.metrics import Metrics, exposition
from paquebot_mta.telemetry.sink import MemorySink

LINES = {
    "new connection": ["smtp-in.link-connect", "smtp-in.tx-commit", "queue.committed", "smtp-in.link-disconnect"],
    "reused": ["smtp-in.tx-commit", "queue.committed"],
    "end to end": ["smtp-in.tx-commit", "queue.committed", "smtp-out.tx-commit", "delivery.delivered"],
}


@pytest.mark.parametrize(("name", "make"), SCENARIOS.items())
def test_a_message_makes_the_log_lines_of_a_message(name: str, make: Callable[[int], Iterable[Event]]) -> None:
    bus, sink = Bus(), MemorySink()
    bus.subscribe(Metrics())
    bus.subscribe(Log(sink))
    for event in make(1):
        bus.emit(event)
    assert bus.dropped == 0
    assert [json.loads(line)["event"] for line in sink.lines] == LINES[name]


def test_a_session_of_its_own_leaves_nothing_open() -> None:
    metrics = Metrics()
    for event in new_connection(1):
        metrics.consume(event)
    text = exposition(metrics.registry).decode()
    assert 'paquebot_smtp_sessions_active{direction="in",endpoint="mx"} 0.0' in text
    assert 'paquebot_smtp_transactions_active{direction="in"} 0.0' in text
    assert 'paquebot_smtp_transactions_finished_total{direction="in",endpoint="mx",result="commit"} 1.0' in text
