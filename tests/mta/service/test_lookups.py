"""DNS exchanges on the bus."""

from typing import get_args

import pytest

from paquebot_mta.resolver.dns_resolver import Exchange
from paquebot_mta.resolver.questions import Status
from paquebot_mta.service.lookups import tell_lookups
from paquebot_mta.telemetry.events import DnsLookup, Event


@pytest.mark.parametrize("status", get_args(Status))
def test_each_exchange_becomes_one_event(status: Status) -> None:
    events: list[Event] = []
    tell_lookups(events.append)(Exchange("MX", status, 0.25))
    result = "ok" if status == "nodata" else status
    assert events == [DnsLookup(type="MX", result=result, duration_seconds=0.25)]
