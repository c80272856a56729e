"""What types can't say of a configuration: references, unions, ranges. Collects faults, never stops at the first."""

import re
from collections.abc import Mapping
from typing import Final

from paquebot_mta.config.check_actions import check_action
from paquebot_mta.config.check_destinations import check_destinations
from paquebot_mta.config.check_filters import check_filters
from paquebot_mta.config.check_listeners import check_listeners
from paquebot_mta.config.check_reports import check_reports
from paquebot_mta.config.check_rules import check_rules
from paquebot_mta.config.check_tables import Names, check_table
from paquebot_mta.config.domains import Domain, DomainShard
from paquebot_mta.config.errors import Faults
from paquebot_mta.config.key_ring import key_ring_fault
from paquebot_mta.config.service import MtaConfig, ServiceShard

_DOMAIN: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
)
_HOST: Final = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_ERROR_TARGET: Final = re.compile(r":?error:(?!\s*[45][0-9][0-9](?:\s|\Z))", re.IGNORECASE)
_LARGEST: Final = 2**40


def validate(config: MtaConfig, shards: Mapping[str, DomainShard], faults: Faults) -> None:
    """Check a whole configuration.

    Args:
        config: all of it, tables merged.
        shards: the domain shards as they came, for the paths of faults.
        faults: where to note them.
    """
    service = config.service
    names = Names(config.tables, service.certificates, faults, service.filters)
    _check_service(service, faults)
    check_listeners(service.listeners, names)
    check_filters(service.filters, "service.filters", names)
    for name, action in service.actions.items():
        check_action(action, f"service.actions.{name}", names)
    check_destinations(service.outbound.destinations, "service.outbound.destinations", names)
    check_reports(service.reports, "service.reports", faults)
    check_rules(service.rules, service.actions, names)
    for name, table in service.tables.items():
        check_table(table, f"service.tables.{name}", faults)
    for shard, content in shards.items():
        for name, table in content.tables.items():
            check_table(table, f"{shard}.tables.{name}", faults)
        for place, domain in enumerate(content.domains):
            check_domain(domain, f"{shard}.domains[{place}]", names)


def _check_service(service: ServiceShard, faults: Faults) -> None:
    faults.check(that=bool(_HOST.fullmatch(service.hostname)), path="service.hostname", reason="not a host name")
    for name, certificate in service.certificates.items():
        that = "-----BEGIN " in certificate.chain_pem
        faults.check(that=that, path=f"service.certificates.{name}.chainPem", reason="no PEM in it")
    percent = service.queue.minimum_free_percent
    faults.check(that=0 <= percent < 100, path="service.queue.minimumFreePercent", reason="not between 0 and 99")
    if service.queue.key_ring:
        faults.add_if("service.queue.keyRing", key_ring_fault(service.queue.key_ring))
    for path, numbers, least in (
        ("service.queue.retry", service.queue.retry, 1),
        ("service.queue.ttlSeconds", service.queue.ttl_seconds, 1),
        ("service.queue.warnAfterSeconds", service.queue.warn_after_seconds, 1),
        ("service.limits", service.limits, 0),
        ("service.outbound.limits", service.outbound.limits, 0),
        ("service.outbound.timeouts", service.outbound.timeouts, 1),
        ("service.outbound.delays", service.outbound.delays, 0),
        ("service.outbound.penalties", service.outbound.penalties, 0),
        ("service.outbound.port", service.outbound.port, 1),
        ("service.resolver.timeoutSeconds", service.resolver.timeout_seconds, 0.001),
        ("service.resolver.cacheEntries", service.resolver.cache_entries, 0),
    ):
        _check_numbers(numbers, path, least, faults)


def _check_numbers(value: object, path: str, least: float, faults: Faults) -> None:
    """Check a number, or all numbers of a value, against what can't be meant."""
    if isinstance(value, int | float):
        faults.check(that=least <= value <= _LARGEST, path=path, reason=f"{value} is out of range, at least {least}")
    elif isinstance(value, tuple):
        for place, item in enumerate(value):
            _check_numbers(item, f"{path}[{place}]", least, faults)
    else:
        fields: tuple[str, ...] = getattr(value, "__struct_fields__", ())
        wire_names: tuple[str, ...] = getattr(value, "__struct_encode_fields__", ())
        for name, wire_name in zip(fields, wire_names, strict=True):
            _check_numbers(getattr(value, name), f"{path}.{wire_name}", least, faults)


def check_domain(domain: Domain, path: str, names: Names) -> None:
    """Check a domain; ``names`` knows what it may refer to."""
    faults = names.faults
    named = bool(_DOMAIN.fullmatch(domain.name))
    faults.check(that=named, path=f"{path}.name", reason=f"{domain.name!r} is not a domain in lower-case A-labels")
    check_action(domain.delivery, f"{path}.delivery", names)
    names.table(domain.mailbox_table, f"{path}.mailboxTable", "userinfo")
    names.table(domain.alias_table, f"{path}.aliasTable", "alias")
    names.filters(domain.filters, f"{path}.filters")
    folded = all(mailbox and mailbox == mailbox.lower() for mailbox in domain.mailboxes)
    faults.check(that=folded, path=f"{path}.mailboxes", reason="local-parts must be folded to lower case, not empty")
    faults.check(that=len(domain.delimiter) <= 1, path=f"{path}.delimiter", reason="one character, or none")
    for local_part, targets in domain.aliases.items():
        _check_targets(targets, f'{path}.aliases["{local_part}"]', faults)
    _check_targets(domain.catch_all, f"{path}.catchAll", faults)


def _check_targets(targets: tuple[str, ...], path: str, faults: Faults) -> None:
    """Check what the contract promises of targets; their grammar is the expansion's."""
    for place, target in enumerate(targets):
        where = f"{path}[{place}]"
        faults.check(that=bool(target.strip()) and target.isprintable(), path=where, reason="empty, or unprintable")
        wrong = _ERROR_TARGET.match(target.strip())
        faults.check(that=not wrong, path=where, reason="an error target starts with a code of 400 to 599")
