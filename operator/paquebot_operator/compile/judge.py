"""All objects of a place at once: every MailService compiled, and what belongs to none of them judged too."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from paquebot_operator.compile.conditions import ObjectCondition, Report
from paquebot_operator.compile.objects import ObjectKey, Objects, service_of
from paquebot_operator.compile.scope import Sought
from paquebot_operator.compile.service import Compiled, compile_service
from paquebot_operator.compile.tables import Kept, Tables


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
    return Rest((*tables.conditions(), *_unattached(objects), *_filters(objects)), frozenset(tables.sources()))


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


def _filters(objects: Objects) -> list[ObjectCondition]:
    """Chains lead to filters that are there, and never to chains: their order would not be plain to see."""
    found: list[ObjectCondition] = []
    for key, item in objects.filters.items():
        report = Report("MailFilter", key)
        for place, ref in enumerate(item.spec.chain or ()):
            below, where = objects.filters.get(ObjectKey(key.namespace, ref.name)), f"spec.chain[{place}]"
            if below is None:
                report.unresolved("FilterNotFound", where, f"there is no MailFilter {ref.name} in this namespace")
            elif below.spec.chain is not None:
                report.unresolved("NestedChain", where, f"MailFilter {ref.name} is a chain itself: name its filters")
        found.extend(report.conditions())
    return found
