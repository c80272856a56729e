"""Where names without a domain live: Postmaster (RFC 5321, 4.5.1) and users that programs of this machine name."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from paquebot_mta.config.rules import Rule
from paquebot_mta.config.service import MtaConfig


@dataclass(frozen=True, slots=True)
class Homes:
    """Host names are seldom mail domains: mail to a user of ``mx.example.test`` is for ``example.test``, as a rule.

    Attributes:
        served: domains that are hosted, or that a rule names: what lives there is delivered.
        hosted: those that are hosted; first: the first of them by name, empty without any.
    """

    served: AbstractSet[str] = frozenset()
    hosted: AbstractSet[str] = frozenset()
    first: str = ""

    def of(self, hostname: str) -> str:
        """Give the domain for a host: itself if it is served, the hosted one it lies under, the first, itself."""
        name = hostname.lower()
        if name in self.served:
            return name
        above = name
        while above := above.partition(".")[2]:
            if above in self.hosted:
                return above
        return self.first or name


NOWHERE: Final = Homes()
"""Nothing is hosted: each host is its own."""


def build_homes(config: MtaConfig) -> Homes:
    """Find the domains of a configuration."""
    hosted = frozenset(config.domains)
    named = {name for rule in config.service.rules for name in _named(rule, config.service.hostname)}
    return Homes(hosted | named, hosted, min(hosted, default=""))


def _named(rule: Rule, hostname: str) -> tuple[str, ...]:
    """Give the domains that a rule takes mail for by their very names."""
    local, domains = rule.match.for_.local, rule.match.for_.domains
    if rule.outcome != "Action":
        return ()
    if local is not None and not local.negate:
        return (hostname.lower(),)
    if domains is None or domains.negate or domains.regex:
        return ()
    return tuple(name.lower() for name in domains.values)
