"""Tables whose data is in memory: answers at once, so that rules need not await them."""

import re
from collections.abc import Callable, Mapping, Sequence

from paquebot_mta.config.check_keys import UNFOLDED, MatchMode
from paquebot_mta.config.patterns import MAX_SUBJECT_CHARACTERS, compile_regex, compile_wildcard
from paquebot_mta.config.tables import Inline, Service
from paquebot_mta.table.mailaddr import MailaddrIndex
from paquebot_mta.table.networks import NetworkIndex

Finder = Callable[[str], str | None]
"""Gives the entry that a key belongs to."""


class StaticTable:
    """A list of keys, a mapping, or both, in memory (implements ``Table``).

    How a key is compared is the service's matter first (``netaddr``: networks; ``domain`` and ``mailaddr``: ``*``
    stands for one label), then the match mode's. Keys are folded, but for credentials and regular expressions.

    Raises:
        ValueError: an entry does not fit its service; the message names the entry.
    """

    def __init__(self, data: Inline, services: tuple[Service, ...], mode: MatchMode = "Exact") -> None:
        self._keys = (*data.keys, *data.entries)
        if "" in self._keys:
            raise ValueError("entry '': a key can't be empty")
        self._entries = dict(data.entries)
        self._finders: dict[Service, Finder] = {}
        for service in services:
            self._finders[service] = _finder(self._keys, service, mode)

    @property
    def services(self) -> frozenset[Service]:
        """What it may be asked for."""
        return frozenset(self._finders)

    @property
    def entries(self) -> Mapping[str, str]:
        """The mapping as it was given."""
        return self._entries

    def finder(self, service: Service) -> Finder:
        """Give what finds keys of a service, for those who ask often; it finds nothing if the table doesn't have it."""
        return self._finders.get(service, lambda _: None)

    def has(self, service: Service, key: str) -> bool:
        """As ``check``, at once."""
        finder = self._finders.get(service)
        return finder is not None and finder(key) is not None

    def value(self, service: Service, key: str) -> str | None:
        """As ``lookup``, at once."""
        finder = self._finders.get(service)
        entry = finder(key) if finder else None
        return None if entry is None else self._entries.get(entry)

    async def check(self, service: Service, key: str) -> bool:
        """Whether the key is in the table; never for a service that the table does not have."""
        return self.has(service, key)

    async def lookup(self, service: Service, key: str) -> str | None:
        """The value of a key."""
        return self.value(service, key)

    async def fetch(self, service: Service) -> Sequence[str]:
        """All keys as they were written."""
        return self._keys if service in self._finders else ()


def _finder(keys: tuple[str, ...], service: Service, mode: MatchMode) -> Finder:
    if mode == "Regex" or service == "regex":
        return _regex_finder(keys)
    if mode == "Network" or service == "netaddr":
        return NetworkIndex(keys).find
    if service == "mailaddr":
        return MailaddrIndex(keys).find
    if service == "domain" or mode == "Wildcard":
        return _wildcard_finder(keys)
    return {key: key for key in keys}.get if service in UNFOLDED else _folded_finder(keys)


def _folded_finder(keys: tuple[str, ...]) -> Finder:
    folded: dict[str, str] = {}
    for key in keys:
        if folded.setdefault(key.lower(), key) != key:
            raise ValueError(f"entry {key!r} is there twice, as upper and lower case are the same")
    return lambda key: folded.get(key.lower())


def _wildcard_finder(keys: tuple[str, ...]) -> Finder:
    exact = _folded_finder(tuple(key for key in keys if "*" not in key))
    patterns = [(compile_wildcard(key), key) for key in keys if "*" in key]
    if not patterns:
        return exact

    def find(key: str) -> str | None:
        return exact(key) or _first(patterns, re.Pattern.fullmatch, key.lower())

    return find


def _regex_finder(keys: tuple[str, ...]) -> Finder:
    patterns = [(compile_regex(key), key) for key in keys]
    if len(patterns) == 1:
        ((pattern, entry),) = patterns
        search = pattern.search
        return lambda key: entry if len(key) <= MAX_SUBJECT_CHARACTERS and search(key) is not None else None
    return lambda key: _first(patterns, re.Pattern.search, key)


def _first(
    patterns: list[tuple[re.Pattern[str], str]],
    match: Callable[[re.Pattern[str], str], re.Match[str] | None],
    subject: str,
) -> str | None:
    if len(subject) > MAX_SUBJECT_CHARACTERS:
        return None
    return next((key for pattern, key in patterns if match(pattern, subject)), None)
