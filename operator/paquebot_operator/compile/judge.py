"""All objects of a place at once: every MailService compiled, and what belongs to none of them judged too."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from paquebot_operator.compile.conditions import ObjectCondition, Report
from paquebot_operator.compile.filter_refs import judge_filter
from paquebot_operator.compile.objects import ObjectKey, Objects, service_of
from paquebot_operator.compile.scope import Scope, Sought
from paquebot_operator.compile.service import Compiled, compile_service
from paquebot_operator.compile.tables import Kept, Tables

_ANY_TIME = datetime.min.replace(tzinfo=UTC)
"""Filters have no certificates, which are all that time matters for."""


@dataclass(frozen=True)
class Judgement:
    """Compiled services by key, and every finding about any object, sorted, each once."""

    services: Mapping[ObjectKey, Compiled]
    conditions: tuple[ObjectCondition, ...]


def judge(objects: Objects, *, now: datetime) -> Judgement:
    """Compile every MailService; Tables that nobody uses and MailDomains without a service are judged too."""
    services = {key: compile_service(objects, key, now=now) for key in objects.services}
    found = {condition for compiled in services.values() for condition in compiled.conditions}
    found.update(judge_rest(objects).conditions)
    return Judgement(services, tuple(sorted(found)))


@dataclass(frozen=True)
class Rest:
    """Findings about what no service's compilation judges, and the objects that were looked for."""

    conditions: tuple[ObjectCondition, ...]
    sought: frozenset[Sought]


def judge_rest(objects: Objects, kept: Kept | None = None) -> Rest:
    """Judge all Tables, all MailFilters, and MailDomains without a service; ``kept`` saves work, as for ``Tables``."""
    tables = Tables(objects, kept)
    for key in objects.tables:
        tables.resolve(key)
    of_filters, sought = _filters(objects, tables)
    conditions = (*tables.conditions(), *_unattached(objects), *of_filters)
    return Rest(conditions, frozenset({*tables.sources(), *sought}))


def _unattached(objects: Objects) -> list[ObjectCondition]:
    found: list[ObjectCondition] = []
    for key, domain in objects.domains.items():
        service = service_of(domain)
        if service not in objects.services:
            report = Report("MailDomain", key)
            message = f"there is no MailService {service}: create it, or name another"
            report.refuse("ServiceNotFound", "spec.serviceRef", message)
            found.extend(report.conditions())
    return found


def _filters(objects: Objects, tables: Tables) -> tuple[list[ObjectCondition], set[Sought]]:
    """Compile every filter, used or not."""
    found: list[ObjectCondition] = []
    sought: set[Sought] = set()
    for key in objects.filters:
        scope = Scope(objects, tables, Report("MailFilter", key), _ANY_TIME)
        found.extend(judge_filter(key, scope).conditions())
        sought.update(scope.seen)
    return found, sought
