"""One MailService with all that belongs to it, compiled."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from paquebot_mta.config.codec import dump, load
from paquebot_mta.config.domains import Domain
from paquebot_mta.config.errors import ConfigError
from paquebot_mta.config.service import Certificate, MtaConfig, ServiceShard
from paquebot_mta.config.tables import Table
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.compile import names, tuning
from paquebot_operator.compile.actions import compile_action
from paquebot_operator.compile.conditions import ObjectCondition, Report
from paquebot_operator.compile.domains import claims_of, compile_domain
from paquebot_operator.compile.listeners import compile_listeners
from paquebot_operator.compile.objects import ObjectKey, Objects, key_of, service_of
from paquebot_operator.compile.outbound import compile_outbound
from paquebot_operator.compile.relay_guard import is_open_relay
from paquebot_operator.compile.rules import compile_rules
from paquebot_operator.compile.scope import Scope
from paquebot_operator.compile.tables import Tables


@dataclass(frozen=True)
class Compiled:
    """What became of a MailService.

    Attributes:
        files: the configuration, name to bytes; empty if the service is refused: keep the last good one.
        config: the same as values, read back from ``files``.
        conditions: of the service, its domains and the tables that they use; sorted.
    """

    files: Mapping[str, bytes]
    config: MtaConfig | None
    conditions: tuple[ObjectCondition, ...]


@dataclass
class _Attached:
    """Domains that are good, with what they use."""

    domains: list[Domain]
    tables: dict[str, Table]
    certificates: dict[str, Certificate]
    conditions: list[ObjectCondition]


def compile_service(objects: Objects, key: ObjectKey, *, now: datetime) -> Compiled:
    """Compile the MailService ``key``.

    Equal objects give equal bytes, in whatever order they came; ``now`` (aware) decides about warnings only.

    Raises KeyError if there is no such service.
    """
    service, tables = objects.services[key], Tables(objects)
    scope = Scope(objects, tables, Report("MailService", key), now)
    attached = _attach(service, objects, tables, now)
    shard = _shard(service, scope, attached)
    compiled = None if scope.report.refused() else _written(service, shard, attached, scope)
    found = {*scope.report.conditions(), *attached.conditions, *tables.conditions()}
    files, config = compiled if compiled is not None else ({}, None)
    return Compiled(files, config, tuple(sorted(found)))


def _attach(service: MailService, objects: Objects, tables: Tables, now: datetime) -> _Attached:
    mine = (domain for domain in objects.domains.values() if service_of(domain) == key_of(service))
    attached = _Attached([], {}, {}, [])
    for claim in claims_of(service, mine):
        scope = Scope(objects, tables, claim.report, now)
        domain = compile_domain(claim, scope)
        attached.conditions.extend(claim.report.conditions())
        if domain is not None:
            attached.domains.append(domain)
            attached.tables.update(scope.used_tables)
            attached.certificates.update(scope.used_certificates)
    return attached


def _shard(service: MailService, scope: Scope, attached: _Attached) -> ServiceShard:
    spec = service.spec
    hostname = names.domain_name(spec.hostname, "spec.hostname", scope.report)
    actions = {
        action.name: compile_action(action, f"spec.actions[{place}]", scope)
        for place, action in enumerate(spec.actions)
    }
    outbound = compile_outbound(spec.outbound, spec.actions, scope)
    shard = ServiceShard(
        name=str(key_of(service)),
        hostname=hostname,
        listeners=compile_listeners(spec.listeners, hostname, scope),
        rules=compile_rules(spec.rules, actions, scope),
        actions=actions,
        tables=scope.used_tables,
        certificates=scope.used_certificates | attached.certificates,
        queue=tuning.compile_queue(spec.queue),
        limits=tuning.compile_limits(spec.limits),
        outbound=outbound,
        resolver=tuning.compile_resolver(spec.resolver, scope),
        bounce=tuning.compile_bounce(spec.bounce, hostname, scope),
        logging=tuning.compile_logging(spec.logging, scope),
    )
    _guard(service, shard, scope)
    return shard


def _guard(service: MailService, shard: ServiceShard, scope: Scope) -> None:
    if service.spec.allow_open_relay:
        scope.report.warn(
            "Accepted", "OpenRelayAllowed", "spec.allowOpenRelay", "rules may relay anyone's mail anywhere"
        )
        return
    for place, rule in enumerate(shard.rules):
        if is_open_relay(rule, shard.actions, shard.tables):
            message = (
                f"rule {rule.name} relays mail of anyone to anywhere: match from.authenticated, from.local or a few "
                "networks, or for.hosted or named domains; spec.allowOpenRelay: true accepts it as it is"
            )
            scope.report.refuse("OpenRelay", f"spec.rules[{place}]", message)


def _written(
    service: MailService, shard: ServiceShard, attached: _Attached, scope: Scope
) -> tuple[dict[str, bytes], MtaConfig] | None:
    """The files, read back by the contract's own reader; None if that refuses them."""
    of_domains = {name: table for name, table in attached.tables.items() if name not in shard.tables}
    files = dump(shard, attached.domains, service.metadata.generation, of_domains)
    try:
        return files, load(files)
    except ConfigError as error:
        for fault in error.faults:
            scope.report.refuse("InvalidConfiguration", fault.path, fault.reason)
        return None
