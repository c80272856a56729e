"""Checks of rules."""

import re
from collections import Counter
from collections.abc import Container
from typing import Final

from paquebot_mta.config.check_tables import Names, network_fault
from paquebot_mta.config.patterns import regex_fault
from paquebot_mta.config.rules import For, From, Match, Pattern, Reject, Rule

_STATUS: Final = re.compile(r"[45]\.[0-9]{1,3}\.[0-9]{1,3}")


def check_rules(rules: tuple[Rule, ...], actions: Container[str], names: Names) -> None:
    """Check each rule: unique name, an outcome that exists, criteria that can be read."""
    called = Counter(rule.name for rule in rules)
    for place, rule in enumerate(rules):
        path = f"service.rules[{place}]"
        unique = bool(rule.name) and called[rule.name] == 1
        names.faults.check(that=unique, path=f"{path}.name", reason="empty, or another rule has this name")
        _check_outcome(rule, path, actions, names)
        _check_match(rule.match, f"{path}.match", names)


def _check_outcome(rule: Rule, path: str, actions: Container[str], names: Names) -> None:
    if rule.outcome == "Action":
        known = rule.action in actions
        names.faults.check(that=known, path=f"{path}.action", reason=f"there is no action {rule.action!r}")
    else:
        names.faults.check(that=not rule.action, path=f"{path}.action", reason="only for the outcome Action")
    _check_reject(rule.reject, f"{path}.reject", names)


def _check_reject(reject: Reject, path: str, names: Names) -> None:
    names.faults.check(that=400 <= reject.code <= 599, path=f"{path}.code", reason="must be 400 to 599")
    agrees = bool(_STATUS.fullmatch(reject.status)) and reject.status[0] == str(reject.code)[0]
    names.faults.check(
        that=agrees, path=f"{path}.status", reason="not an enhanced status code of the reply code's class"
    )
    names.faults.check(that=reject.text.isprintable(), path=f"{path}.text", reason="has control characters")


def _check_match(match: Match, path: str, names: Names) -> None:
    _check_from(match.from_, f"{path}.from", names)
    _check_for(match.for_, f"{path}.for", names)
    for name, pattern in (
        ("tag", match.tag),
        ("helo", match.helo),
        ("authUsers", match.auth_users),
        ("mailFrom", match.mail_from),
        ("rcptTo", match.rcpt_to),
    ):
        _check_pattern(pattern, f"{path}.{name}", names)


def _check_from(from_: From, path: str, names: Names) -> None:
    criteria = (from_.any, from_.local, from_.auth or from_.users, from_.networks, from_.rdns)
    given = sum(bool(criterion) for criterion in criteria)
    names.faults.check(that=given == 1, path=path, reason=f"exactly one criterion must be given, not {given}")
    _check_pattern(from_.users, f"{path}.users", names)
    _check_pattern(from_.rdns, f"{path}.rdns", names)
    _check_pattern(from_.networks, f"{path}.networks", names)
    values = from_.networks.values if from_.networks and not from_.networks.regex else ()
    for place, value in enumerate(values):
        where = f"{path}.networks.values[{place}]"
        names.faults.add_if(where, network_fault(value))


def _check_for(for_: For, path: str, names: Names) -> None:
    given = sum(bool(criterion) for criterion in (for_.any, for_.hosted, for_.local, for_.domains))
    names.faults.check(that=given == 1, path=path, reason=f"exactly one criterion must be given, not {given}")
    _check_pattern(for_.domains, f"{path}.domains", names)


def _check_pattern(pattern: Pattern | None, path: str, names: Names) -> None:
    if pattern is None:
        return
    names.table(pattern.table, f"{path}.table")
    given = bool(pattern.values or pattern.table)
    names.faults.check(that=given, path=path, reason="values or a table must be given")
    for place, value in enumerate(pattern.values if pattern.regex else ()):
        names.faults.add_if(f"{path}.values[{place}]", regex_fault(value))
