"""Subscribers of report events reach the contract; what has no way out, or two, is refused."""

from typing import get_args

import msgspec
import pytest

from paquebot_mta.config import reports as contract
from paquebot_mta.config.check_reports import check_reports
from paquebot_mta.config.errors import Faults
from paquebot_mta.telemetry.labels import EVENTS
from paquebot_operator.api.reports import EventName, ReportSubscriber
from paquebot_operator.compile.reports import compile_reports


def test_each_kind_of_subscriber_is_compiled() -> None:
    text = (
        b'[{"name": "a", "command": ["cat", "-"]}, {"name": "b", "socket": "/s", "events": ["tx-commit"]},'
        b' {"name": "c", "file": {"path": "/f", "maxBytes": 65536, "keep": 0}, "subsystems": ["smtp-out"]}]'
    )
    found = compile_reports(msgspec.json.decode(text, type=tuple[ReportSubscriber, ...]))
    assert found == {
        "a": contract.Subscriber(command=("cat", "-")),
        "b": contract.Subscriber(socket="/s", events=("tx-commit",)),
        "c": contract.Subscriber(file="/f", max_bytes=65_536, keep=0, subsystems=("smtp-out",)),
    }


@pytest.mark.parametrize(
    "bad",
    [
        contract.Subscriber(),
        contract.Subscriber(socket="/a", file="/b"),
        contract.Subscriber(file="/b", max_bytes=0),
        contract.Subscriber(file="/b", keep=-1),
        contract.Subscriber(file="/b", waiting_bytes=0),
    ],
)
def test_a_subscriber_that_makes_no_sense_is_refused(bad: contract.Subscriber) -> None:
    faults = Faults()
    check_reports({"a": bad}, "service.reports", faults)
    assert [fault.path.startswith("service.reports.a") for fault in faults.found] == [True]


def test_the_api_knows_every_event() -> None:
    assert set(get_args(EventName)) == set(EVENTS)
