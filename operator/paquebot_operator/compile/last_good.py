"""What a service ran before, to go on with where its objects can't be used now."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from paquebot_mta.config.domains import Domain
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

    def tables_of(self, domain: Domain) -> dict[str, Table]:
        """Tables that an entry names."""
        return {name: self.config.tables[name] for name in _texts(domain) if name in self.config.tables}

    def certificates_of(self, domain: Domain) -> dict[str, Certificate]:
        """Certificates that an entry names."""
        known = self.config.service.certificates
        return {name: known[name] for name in _texts(domain) if name in known}


def _texts(domain: Domain) -> Iterator[str]:
    waiting = [msgspec.to_builtins(domain)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
