"""One MailService with all that belongs to it, compiled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter

from msgspec import structs

from paquebot_mta.config.codec import dump, load
from paquebot_mta.config.errors import ConfigError
from paquebot_mta.config.service import MtaConfig, ServiceShard
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.compile import names, tuning
from paquebot_operator.compile.actions import compile_action
from paquebot_operator.compile.attached import Attached, Memory, attach
from paquebot_operator.compile.conditions import ObjectCondition, Report
from paquebot_operator.compile.greylists import warn_of_greylists
from paquebot_operator.compile.last_good import LastGood
from paquebot_operator.compile.listeners import compile_listeners
from paquebot_operator.compile.objects import ObjectKey, Objects, key_of
from paquebot_operator.compile.outbound import compile_outbound
from paquebot_operator.compile.relay_guard import is_open_relay
from paquebot_operator.compile.reports import compile_reports
from paquebot_operator.compile.room import fitted, is_too_big, refuse_big
from paquebot_operator.compile.rules import compile_rules
from paquebot_operator.compile.scope import Scope, Sought
from paquebot_operator.compile.tables import Tables

# As ObjectCondition orders itself, but faster.
_ORDER = attrgetter("kind", "namespace", "name", "type", "status", "reason", "field", "message", "severity")


@dataclass(frozen=True)
class Compiled:
    """What became of a MailService.

    Attributes:
        files: the configuration, name to bytes; empty if there is none: what is in force stays.
        config: the same as values, read back from ``files``.
        conditions: of the service, its domains and the tables that they use; sorted.
        entries: MailDomains that are in the configuration, each with domain name and revision.
        kept: those of them whose last good entry is used; the service's own key if its last good part is.
        sought: kind and key of every object that was looked for, there or not.
    """

    files: Mapping[str, bytes]
    config: MtaConfig | None
    conditions: tuple[ObjectCondition, ...]
    entries: Mapping[ObjectKey, tuple[str, str]] = field(default_factory=dict)
    kept: frozenset[ObjectKey] = frozenset()
    sought: frozenset[Sought] = frozenset()

    @property
    def owners(self) -> Mapping[str, ObjectKey]:
        """The MailDomain that each domain comes from."""
        return {name: key for key, (name, _) in self.entries.items()}


def compile_service(
    objects: Objects, key: ObjectKey, *, now: datetime, last: LastGood | None = None, memory: Memory | None = None
) -> Compiled:
    """Compile the MailService ``key``.

    Equal objects give equal bytes, in whatever order they came; ``now`` (aware) decides about warnings only. With
    ``last`` whatever can't be used stays as it was there: a domain's entry, or the service's own part. ``memory`` saves
    work and changes nothing.

    Raises KeyError if there is no such service.
    """
    memory = Memory() if memory is None else memory
    service, tables = objects.services[key], Tables(objects, memory.tables)
    scope = Scope(objects, tables, Report("MailService", key), now)
    attached = attach(service, objects, tables, memory, last, now)
    own = _shard(service, scope)
    warn_of_greylists(service, _joined(own, attached), scope)
    refuse_big(own, scope.report)
    written, writer = None, _Writer(objects, memory, last)
    if not scope.report.refused():
        generation = service.metadata.generation
        written = writer.write(own, attached, generation, None if attached.kept else scope.report)
        if written is None and attached.kept:
            attached = attached.without_kept()
            written = writer.write(own, attached, generation, scope.report)
    kept = set[ObjectKey]()
    if written is None and last is not None:
        kept.add(key)
        written = writer.write(_kept_shard(last, attached), attached, last.config.generation, None)
    files, config, attached = written if written is not None else ({}, None, attached)
    kept |= attached.kept
    conditions = {*scope.report.conditions(), *attached.conditions, *tables.conditions()}
    return Compiled(
        files,
        config,
        tuple(sorted(conditions, key=_ORDER)),
        attached.entries if written is not None else {},
        frozenset(kept),
        frozenset({*attached.sought, *scope.seen, *tables.sources()}),
    )


def _kept_shard(last: LastGood, attached: Attached) -> ServiceShard:
    """The service's part as it was; tables that domains brought up to date are new."""
    shard = last.config.service
    newer = {name: attached.tables.get(name, table) for name, table in shard.tables.items()}
    return structs.replace(shard, tables=newer)


def _joined(own: ServiceShard, attached: Attached) -> ServiceShard:
    """The service's part with what its domains use: where both have a certificate or filter, the domain's is newer."""
    return structs.replace(
        own, certificates=own.certificates | attached.certificates, filters=own.filters | attached.filters
    )


def _shard(service: MailService, scope: Scope) -> ServiceShard:
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
        rules=compile_rules(spec.rules, scope),
        actions=actions,
        tables=scope.used_tables,
        certificates=scope.used_certificates,
        filters=scope.used_filters,
        queue=tuning.compile_queue(spec.queue, scope),
        limits=tuning.compile_limits(spec.limits),
        outbound=outbound,
        resolver=tuning.compile_resolver(spec.resolver, scope),
        bounce=tuning.compile_bounce(spec.bounce, hostname, scope),
        logging=tuning.compile_logging(spec.logging, scope),
        reports=compile_reports(spec.reports),
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


_Written = tuple[dict[str, bytes], MtaConfig, Attached]
"""Files, the same as values, and the domains in them."""


@dataclass(frozen=True)
class _Writer:
    """Spells configurations; who has no room is left out."""

    objects: Objects
    memory: Memory
    last: LastGood | None

    def write(self, own: ServiceShard, attached: Attached, generation: int, report: Report | None) -> _Written | None:
        """The files, read back by the contract's own reader; None if that refuses them, and the report says why."""
        files = _spelled(own, attached, generation)
        if is_too_big(files):
            attached = fitted(attached, own, self.last, self.objects, self.memory)
            files = _spelled(own, attached, generation)
        try:
            return (files, load(files), attached) if not is_too_big(files) else None
        except ConfigError as error:
            if report is not None:
                for fault in error.faults:
                    report.refuse("InvalidConfiguration", fault.path, fault.reason)
            return None


def _spelled(own: ServiceShard, attached: Attached, generation: int) -> dict[str, bytes]:
    of_domains = {name: table for name, table in attached.tables.items() if name not in own.tables}
    return dump(_joined(own, attached), attached.domains, generation, of_domains)
