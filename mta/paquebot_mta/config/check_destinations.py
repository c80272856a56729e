"""Checks of what holds for some destinations of relayed mail."""

import re
from collections.abc import Sequence
from typing import Final

from paquebot_mta.config.check_actions import check_tls
from paquebot_mta.config.check_tables import Names
from paquebot_mta.config.service import DestinationLimits

_LABEL: Final = r"[a-z0-9*](?:[a-z0-9*-]{0,61}[a-z0-9*])?"
_PATTERN: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_MAX_STARS: Final = 8


def check_destinations(destinations: Sequence[DestinationLimits], path: str, names: Names) -> None:
    """Check patterns, numbers and names; a pattern that is there twice would never be looked at."""
    seen: set[str] = set()
    for place, each in enumerate(destinations):
        where = f"{path}[{place}]"
        readable = bool(_PATTERN.fullmatch(each.domain)) and each.domain.count("*") <= _MAX_STARS
        names.faults.check(that=readable, path=f"{where}.domain", reason=f"{each.domain!r} is no pattern of a domain")
        once = each.domain not in seen
        names.faults.check(that=once, path=f"{where}.domain", reason=f"{each.domain!r} is there twice")
        seen.add(each.domain)
        _check_numbers(each, where, names)
        if each.tls is not None:
            check_tls(each.tls, f"{where}.tls", names)


def _check_numbers(each: DestinationLimits, where: str, names: Names) -> None:
    for name, number, least in (
        ("connections", each.connections, 1),
        ("messagesPerSession", each.messages_per_session, 1),
        ("messagesPerMinute", each.messages_per_minute, 0.001),
        ("connectionDelaySeconds", each.connection_delay_seconds, 0),
    ):
        fits = number is None or least <= number <= 1_000_000_000
        names.faults.check(that=fits, path=f"{where}.{name}", reason=f"{number} is out of range, at least {least}")
