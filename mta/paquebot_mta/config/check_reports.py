"""Checks of subscribers: exactly one way out, bounds that make sense."""

from collections.abc import Mapping

from paquebot_mta.config.errors import Faults
from paquebot_mta.config.reports import Subscriber


def check_reports(subscribers: Mapping[str, Subscriber], path: str, faults: Faults) -> None:
    """Note what is wrong with subscribers, by name."""
    for name, each in subscribers.items():
        where = f"{path}.{name}"
        ways = sum(map(bool, (each.command, each.socket, each.file)))
        faults.check(that=ways == 1, path=where, reason="wants one of command, socket and file")
        faults.check(that=each.max_bytes > 0, path=f"{where}.maxBytes", reason="must be more than 0")
        faults.check(that=0 <= each.keep <= 1_000, path=f"{where}.keep", reason="not between 0 and 1000")
        faults.check(that=each.waiting_bytes > 0, path=f"{where}.waitingBytes", reason="must be more than 0")
