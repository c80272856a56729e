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
        self._addresses: dict[tuple[str, str], str] = {}
        self._local_parts: dict[str, str] = {}
        self._domains: dict[str, str] = {}
        self._any: str | None = None
        self._wild: list[tuple[str, re.Pattern[str], str]] = []
        for entry in entries:
            local_part, _, domain = entry.lower().rpartition("@") if "@" in entry else (entry.lower(), "", "")
            if "*" in domain:
                self._wild.append((local_part, compile_wildcard(domain), entry))
            else:
                self._add(local_part, domain, entry)

    def _add(self, local_part: str, domain: str, entry: str) -> None:
        if local_part and domain:
            self._addresses[local_part, domain] = entry
        elif local_part:
            self._local_parts[local_part] = entry
        elif domain:
            self._domains[domain] = entry
        else:
            self._any = entry

    def find(self, address: str) -> str | None:
        """Give the entry for ``local-part@domain`` (unquoted), the most specific first; empty is the null path."""
        local_part, _, domain = address.lower().rpartition("@")
        # Every message asks this, filters do several times: a table without a kind of entries isn't asked for it.
        if self._addresses or self._local_parts or self._wild:
            names = (local_part, strip_tag(local_part) if DELIMITER in local_part else local_part)
            return self._find_exact(names, domain) or self._find_wild(names, domain)
        return self._domains.get(domain) or self._any

    def _find_exact(self, names: tuple[str, str], domain: str) -> str | None:
        addresses, local_parts = self._addresses, self._local_parts
        found = addresses.get((names[0], domain)) or addresses.get((names[1], domain))
        found = found or local_parts.get(names[0]) or local_parts.get(names[1])
        return found or self._domains.get(domain) or self._any

    def _find_wild(self, names: tuple[str, str], domain: str) -> str | None:
        for local_part, pattern, entry in self._wild:
            if (not local_part or local_part in names) and pattern.fullmatch(domain):
                return entry
        return None
