"""Domains of a service: each compiled, remembered while nothing changes, kept as it was where it can't be used."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from paquebot_mta.config.codec import digest, encode
from paquebot_mta.config.domains import Domain
from paquebot_mta.config.filters import Filter
from paquebot_mta.config.service import Certificate
from paquebot_mta.config.tables import Table
from paquebot_operator.api.maildomain import MailDomain
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.compile.alone import fits
from paquebot_operator.compile.conditions import ObjectCondition
from paquebot_operator.compile.domains import Claim, claims_of, compile_domain
from paquebot_operator.compile.last_good import Kept as LastUsed
from paquebot_operator.compile.last_good import LastGood, Used
from paquebot_operator.compile.objects import ObjectKey, Objects, key_of, service_of
from paquebot_operator.compile.scope import Scope, Sought
from paquebot_operator.compile.tables import Kept, Tables
from paquebot_operator.compile.tenancy import is_guest, may_keep

REVISION_DIGITS = 16


@dataclass(frozen=True)
class Unit:
    """One MailDomain compiled.

    Attributes:
        source, before, seen: what it was made from: the object, findings about its claim, all that it refers to.
        name: that it claims; empty if it is none.
        allowed: whether the name is its own to use.
        domain: None if it can't be used.
        revision: of the domain with its tables, secrets left out; empty without a domain.
    """

    source: MailDomain
    before: tuple[ObjectCondition, ...]
    seen: Mapping[Sought, object]
    name: str
    allowed: bool
    domain: Domain | None
    tables: Mapping[str, Table]
    certificates: Mapping[str, Certificate]
    filters: Mapping[str, Filter]
    conditions: tuple[ObjectCondition, ...]
    revision: str


@dataclass
class Memory:
    """Results of before, of one service. To be dropped now and then: certificates expire without any change.

    Attributes:
        made: MailDomains as each was compiled by itself.
        units: the same as they are used: one that there is no room for is refused.
    """

    tables: Kept = field(default_factory=dict)
    made: dict[ObjectKey, Unit] = field(default_factory=dict)
    units: dict[ObjectKey, Unit] = field(default_factory=dict)


class Part(NamedTuple):
    """What is used of a MailDomain: its entry of now, or the last good one."""

    unit: Unit
    domain: Domain
    used: Used


@dataclass
class Attached:
    """Domains that are used, with what they use.

    Attributes:
        parts: of what the rest was put together.
        entries: what is used of each MailDomain; none for those that are left out.
        kept: MailDomains whose last good entry is used.
    """

    parts: list[Part] = field(default_factory=list)
    domains: list[Domain] = field(default_factory=list)
    tables: dict[str, Table] = field(default_factory=dict)
    certificates: dict[str, Certificate] = field(default_factory=dict)
    filters: dict[str, Filter] = field(default_factory=dict)
    conditions: list[ObjectCondition] = field(default_factory=list)
    entries: dict[ObjectKey, tuple[str, str]] = field(default_factory=dict)
    kept: set[ObjectKey] = field(default_factory=set)
    sought: set[Sought] = field(default_factory=set)

    def without_kept(self) -> "Attached":
        """The same but for the kept entries: if those don't fit beside the others any more."""
        gone = {self.entries[key][0] for key in self.kept}
        return Attached(
            parts=[part for part in self.parts if part.domain.name not in gone],
            domains=[domain for domain in self.domains if domain.name not in gone],
            tables=self.tables,
            certificates=self.certificates,
            filters=self.filters,
            conditions=self.conditions,
            entries={key: entry for key, entry in self.entries.items() if key not in self.kept},
            sought=self.sought,
        )


def attach(
    service: MailService, objects: Objects, tables: Tables, memory: Memory, last: LastGood | None, now: datetime
) -> Attached:
    """Compile the service's domains; one that was good and can't be used any more stays as ``last`` has it."""
    mine = (domain for domain in objects.domains.values() if service_of(domain) == key_of(service))
    units = [_unit(claim, objects, tables, memory, now) for claim in claims_of(service, mine)]
    memory.units = memory.made = {key_of(unit.source): unit for unit in units}
    attached, broken = Attached(), []
    for unit in units:
        attached.conditions.extend(unit.conditions)
        attached.sought.update(unit.seen)
        if unit.domain is not None:
            use(attached, Part(unit, unit.domain, unit))
        elif unit.allowed and last is not None:
            broken.append(unit)
    for unit in broken:
        part = last_part(unit, last, objects)
        if part is not None and fits(part.domain, _newer(part.used, attached)):
            use(attached, part)
            attached.kept.add(key_of(unit.source))
    return attached


def revision_of(domain: Domain, tables: Mapping[str, Table]) -> str:
    """Name an entry by its content: no part of it is a secret, for anyone may read it in a status."""
    shown = (encode(tables[name]) for name in sorted(tables) if "credentials" not in tables[name].services)
    return digest(b"\0".join([encode(domain), *shown]))[:REVISION_DIGITS]


def _unit(claim: Claim, objects: Objects, tables: Tables, memory: Memory, now: datetime) -> Unit:
    before = tuple(claim.report.found)
    known = memory.made.get(key_of(claim.source))
    if known is not None and known.source is claim.source and known.before == before and _same(known, objects, tables):
        return known
    allowed = bool(claim.name) and not claim.report.refused()
    scope = Scope(objects, tables, claim.report, now)
    domain = compile_domain(claim, scope)
    return Unit(
        source=claim.source,
        before=before,
        seen=scope.seen,
        name=claim.name,
        allowed=allowed,
        domain=domain,
        tables=scope.used_tables,
        certificates=scope.used_certificates,
        filters=scope.used_filters,
        conditions=claim.report.conditions(),
        revision="" if domain is None else revision_of(domain, scope.used_tables),
    )


def _same(unit: Unit, objects: Objects, tables: Tables) -> bool:
    return all(_find(sought, objects, tables) is found for sought, found in unit.seen.items())


def _find(sought: Sought, objects: Objects, tables: Tables) -> object:
    kind, key = sought
    if kind == "Table":
        return tables.resolve(key)
    holders: dict[str, Mapping[ObjectKey, object]] = {
        "Secret": objects.secrets, "ConfigMap": objects.config_maps, "MailFilter": objects.filters,
    }  # fmt: skip
    return holders[kind].get(key)


def _newer(used: Used, attached: Attached) -> LastUsed:
    """What a kept entry would use beside the good ones: theirs, where both have something of one name."""
    return LastUsed(
        {name: attached.tables.get(name, each) for name, each in used.tables.items()},
        {name: attached.certificates.get(name, each) for name, each in used.certificates.items()},
        {name: attached.filters.get(name, each) for name, each in used.filters.items()},
    )


def use(attached: Attached, part: Part) -> None:
    """Add what is used of a MailDomain."""
    unit, domain, used = part
    attached.parts.append(part)
    attached.domains.append(domain)
    # What a good domain uses is newer than what a kept one used: kept ones come last and take nothing away.
    attached.tables.update({name: table for name, table in used.tables.items() if name not in attached.tables})
    attached.certificates.update({n: each for n, each in used.certificates.items() if n not in attached.certificates})
    attached.filters.update({name: each for name, each in used.filters.items() if name not in attached.filters})
    revision = unit.revision if domain is unit.domain else revision_of(domain, used.tables)
    attached.entries[key_of(unit.source)] = domain.name, revision


def last_part(unit: Unit, last: LastGood | None, objects: Objects) -> Part | None:
    """The last good entry of a MailDomain; None if there is none, or it may not stay."""
    entry = last.entry(unit.name, key_of(unit.source)) if last is not None else None
    if last is None or entry is None:
        return None
    used = last.used_by(entry)
    if not objects.local and not may_keep(entry, used, guest=is_guest(unit.source)):
        return None
    return Part(unit, entry, used)
