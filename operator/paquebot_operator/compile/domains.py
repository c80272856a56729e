"""MailDomains of a service: who may attach, who was first, and what they become."""

from collections.abc import Iterable
from dataclasses import dataclass

from paquebot_mta.config.domains import Domain
from paquebot_mta.config.filters import Process
from paquebot_operator.api.maildomain import MailDomain
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.compile import names
from paquebot_operator.compile.actions import compile_action
from paquebot_operator.compile.alone import domain_faults, refuse
from paquebot_operator.compile.conditions import Report
from paquebot_operator.compile.filter_refs import compile_domain_refs
from paquebot_operator.compile.objects import ObjectKey, key_of
from paquebot_operator.compile.scope import Scope
from paquebot_operator.compile.targets import compile_aliases, compile_targets, warn_unknown
from paquebot_operator.compile.tenancy import REASON, guest_filter_fault, is_guest

LAST = "9999"


@dataclass(frozen=True)
class Claim:
    """A MailDomain that may attach, and the name that it claims (empty if that is no domain)."""

    source: MailDomain
    name: str
    report: Report


def claims_of(service: MailService, domains: Iterable[MailDomain]) -> list[Claim]:
    """Judge who may attach and which name each claims; of several the oldest keeps a name.

    The claim counts even if the domain is refused for something else: a fault of one tenant gives nothing to another.
    """
    claims = [_claim(service, domain) for domain in sorted(domains, key=_age)]
    winners: dict[str, Claim] = {}
    for claim in claims:
        if not claim.name or claim.report.refused():
            continue
        winner = winners.setdefault(claim.name, claim)
        if winner is not claim:
            message = f"{claim.name} is claimed by the older MailDomain {_shown(winner, claim)}: remove one of them"
            claim.report.refuse("DomainConflict", "spec.domain", message)
    return claims


def compile_domain(claim: Claim, scope: Scope) -> Domain | None:
    """Compile one domain; None if it is refused, and the report says why."""
    spec, report = claim.source.spec, claim.report
    if report.refused():
        return None
    guest = is_guest(claim.source) and not scope.objects.local
    places = enumerate(spec.mailboxes)
    boxes = {names.local_part(box, claim.name, f"spec.mailboxes[{place}]", report) for place, box in places}
    domain = Domain(
        name=claim.name,
        delivery=compile_action(spec.delivery, "spec.delivery", scope, guest=guest),
        mailboxes=tuple(sorted(boxes)),
        mailbox_table=scope.table(spec.mailbox_table_ref, "spec.mailboxTableRef", "userinfo"),
        accept_any_mailbox=spec.accept_any_mailbox,
        aliases=compile_aliases(spec.aliases, claim.name, report),
        alias_table=scope.table(spec.alias_table_ref, "spec.aliasTableRef", "alias"),
        catch_all=compile_targets(spec.catch_all, claim.name, "spec.catchAll", report),
        delimiter=spec.sub_address_delimiter,
        filters=_filters(claim, scope, guest=guest),
    )
    warn_unknown(domain, report)
    if not report.refused():
        refuse(domain_faults(domain, scope.used), report)
    return None if report.refused() else domain


def _filters(claim: Claim, scope: Scope, *, guest: bool) -> tuple[str, ...]:
    """Filters of a domain; what a guest's would do in the pods of the service is not everybody's."""
    spec, path = claim.source.spec, "spec.filterRefs"
    found = compile_domain_refs(spec.filter_refs, path, scope)
    for each in scope.used_filters.values() if guest else ():
        if reason := guest_filter_fault(each):
            is_program = isinstance(each.kind, Process)
            claim.report.refuse("ProgramNotAllowed" if is_program else REASON, path, reason)
    return found


def _claim(service: MailService, domain: MailDomain) -> Claim:
    report = Report("MailDomain", key_of(domain))
    if not _may_attach(service, domain.metadata.namespace):
        message = f"MailService {key_of(service)} does not allow this namespace: see its spec.allowedDomains"
        report.refuse("NamespaceNotAllowed", "spec.serviceRef", message)
    return Claim(domain, names.domain_name(domain.spec.domain, "spec.domain", report), report)


def _may_attach(service: MailService, namespace: str) -> bool:
    allowed = service.spec.allowed_domains.namespaces
    own = namespace == service.metadata.namespace
    return own or allowed.from_ == "All" or (allowed.from_ == "Selector" and namespace in allowed.names)


def _age(domain: MailDomain) -> tuple[str, str, ObjectKey]:
    return domain.metadata.creation_timestamp or LAST, domain.metadata.uid, key_of(domain)


def _shown(winner: Claim, loser: Claim) -> str:
    """The winner's key; another namespace's names are not shown."""
    same = winner.report.key.namespace == loser.report.key.namespace
    return str(winner.report.key) if same else "of another namespace"
