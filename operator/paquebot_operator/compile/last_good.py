"""What a service ran before, to go on with where its objects can't be used now."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from paquebot_mta.config.domains import Domain
from paquebot_mta.config.filters import Filter
from paquebot_mta.config.service import Certificate, MtaConfig
from paquebot_mta.config.tables import Table
from paquebot_operator.compile.objects import ObjectKey


@dataclass(frozen=True)
class LastGood:
    """The configuration that was written last.

    Attributes:
        owners: which MailDomain each domain came from; a name's new owner never inherits what the former had.
    """

    config: MtaConfig
    owners: Mapping[str, ObjectKey]

    def entry(self, name: str, owner: ObjectKey) -> Domain | None:
        """The entry of a domain, if it came from this MailDomain."""
        return self.config.domains.get(name) if self.owners.get(name) == owner else None

    def used_by(self, domain: Domain) -> "Kept":
        """Tables, certificates and filters that an entry names, and what those name."""
        service, tables = self.config.service, self.config.tables
        filters: dict[str, Filter] = {}
        waiting: list[Domain | Filter] = [domain]
        texts: set[str] = set()
        while waiting:
            found = set(_texts(waiting.pop()))
            fresh = {name: service.filters[name] for name in found if name in service.filters and name not in filters}
            filters |= fresh
            waiting.extend(fresh.values())
            texts |= found
        return Kept(
            {name: tables[name] for name in sorted(texts) if name in tables},
            {name: service.certificates[name] for name in sorted(texts) if name in service.certificates},
            filters,
        )


class Used(Protocol):
    """What a domain's entry needs beside itself, by name."""

    @property
    def tables(self) -> Mapping[str, Table]:
        """Lookup data."""

    @property
    def certificates(self) -> Mapping[str, Certificate]:
        """Certificates and bundles."""

    @property
    def filters(self) -> Mapping[str, Filter]:
        """Filters, those of chains too."""


@dataclass(frozen=True)
class Kept:
    """What an entry of the last good configuration needs (implements ``Used``)."""

    tables: Mapping[str, Table]
    certificates: Mapping[str, Certificate]
    filters: Mapping[str, Filter]


def _texts(value: Domain | Filter) -> Iterator[str]:
    waiting = [msgspec.to_builtins(value)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
