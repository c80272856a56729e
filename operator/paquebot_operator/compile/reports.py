"""Subscribers of report events, into the contract's."""

from collections.abc import Iterable

from paquebot_mta.config import reports as contract
from paquebot_operator.api.reports import ReportSubscriber


def compile_reports(subscribers: Iterable[ReportSubscriber]) -> dict[str, contract.Subscriber]:
    """Give the contract's subscribers by name."""
    return {each.name: _compile(each) for each in subscribers}


def _compile(subscriber: ReportSubscriber) -> contract.Subscriber:
    file = subscriber.file
    plain = contract.Subscriber()
    return contract.Subscriber(
        command=subscriber.command or (),
        socket=subscriber.socket or "",
        file=file.path if file is not None else "",
        subsystems=subscriber.subsystems,
        events=subscriber.events,
        max_bytes=file.max_bytes if file is not None else plain.max_bytes,
        keep=file.keep if file is not None else plain.keep,
    )
