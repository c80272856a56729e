"""Which limits of the configuration hold for a domain that mail is relayed to."""

import re
from collections.abc import Iterable

from paquebot_mta.config.patterns import compile_wildcard
from paquebot_mta.config.service import DestinationLimits


class Destinations:
    """Finds the first entry whose pattern matches, at once.

    Raises:
        ValueError: a pattern can't be read.
    """

    def __init__(self, entries: Iterable[DestinationLimits]) -> None:
        self._exact: dict[str, tuple[int, DestinationLimits]] = {}
        self._patterns: list[tuple[int, re.Pattern[str], DestinationLimits]] = []
        for place, entry in enumerate(entries):
            if "*" in entry.domain:
                self._patterns.append((place, compile_wildcard(entry.domain), entry))
            else:
                self._exact.setdefault(entry.domain, (place, entry))

    def find(self, domain: str) -> DestinationLimits | None:
        """Give the limits of a domain in lower-case A-labels, None if there are none of its own."""
        exact = self._exact.get(domain)
        for place, pattern, entry in self._patterns:
            if exact is not None and exact[0] < place:
                break
            if pattern.fullmatch(domain):
                return entry
        return exact[1] if exact is not None else None
