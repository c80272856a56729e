"""The service ``mailaddr``: ``user``, ``@domain``, ``user@domain``, ``@``; wildcards in the domain."""

import re
from typing import Final

from paquebot_mta.config.patterns import compile_wildcard

DELIMITER: Final = "+"
"""What separates the sub-address in a key of this service, whatever a hosted domain uses."""


def strip_tag(local_part: str) -> str:
    """Drop the sub-address; a delimiter in front is part of the name."""
    end = local_part.find(DELIMITER, 1)
    return local_part if end < 0 else local_part[:end]


class MailaddrIndex:
    """Finds which entry an address belongs to. An entry with a tag wants that tag, one without takes any.

    Raises:
        ValueError: a domain has too many wildcards.
    """

    def __init__(self, entries: tuple[str, ...]) -> None:
        self._exact: dict[tuple[str, str], str] = {}
        self._wild: list[tuple[str, re.Pattern[str], str]] = []
        for entry in entries:
            local_part, _, domain = entry.lower().rpartition("@") if "@" in entry else (entry.lower(), "", "")
            if "*" in domain:
                self._wild.append((local_part, compile_wildcard(domain), entry))
            else:
                self._exact[local_part, domain] = entry

    def find(self, address: str) -> str | None:
        """Give the entry for ``local-part@domain`` (unquoted), the most specific first; empty is the null path."""
        local_part, _, domain = address.lower().rpartition("@")
        plain = strip_tag(local_part) if DELIMITER in local_part else local_part
        get = self._exact.get  # every message asks this several times: no loop, no calls but the look-ups
        found = get((local_part, domain)) or (plain is not local_part and get((plain, domain)))
        found = found or get((local_part, "")) or (plain is not local_part and get((plain, "")))
        found = found or get(("", domain)) or get(("", ""))
        if found or not self._wild:
            return found or None
        return self._find_wild((local_part, plain), domain)

    def _find_wild(self, names: tuple[str, str], domain: str) -> str | None:
        for local_part, pattern, entry in self._wild:
            if (not local_part or local_part in names) and pattern.fullmatch(domain):
                return entry
        return None
