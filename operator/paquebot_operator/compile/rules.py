"""Rules of a MailService, into the contract's."""

from paquebot_mta.config import rules as contract
from paquebot_mta.config.check_keys import key_faults
from paquebot_mta.config.tables import Service
from paquebot_operator.api import matches
from paquebot_operator.compile import names
from paquebot_operator.compile.scope import Scope
from paquebot_operator.compile.tables import is_network


def compile_rules(rules: tuple[matches.ServiceRule, ...], scope: Scope) -> tuple[contract.Rule, ...]:
    """Compile all rules, in order."""
    return tuple(_rule(rule, f"spec.rules[{place}]", scope) for place, rule in enumerate(rules))


def _rule(rule: matches.ServiceRule, path: str, scope: Scope) -> contract.Rule:
    match = _match(rule.match, f"{path}.match", scope)
    if rule.action is not None:
        return contract.Rule(name=rule.name, match=match, outcome="Action", action=rule.action)
    if rule.reject is None:
        return contract.Rule(name=rule.name, match=match, outcome="Domain")
    return contract.Rule(name=rule.name, match=match, outcome="Reject", reject=_reject(rule.reject))


def _reject(reject: matches.Reject) -> contract.Reject:
    return contract.Reject(code=reject.code, status=reject.status, text=reject.text)


def _match(match: matches.Match, path: str, scope: Scope) -> contract.Match:
    return contract.Match(
        from_=_from(match.from_, f"{path}.from", scope),
        for_=_for(match.for_, f"{path}.for", scope),
        tag=_pattern(match.tag, f"{path}.tag", "string", scope),
        helo=_pattern(match.helo, f"{path}.helo", "domain", scope),
        auth=_flag(match.auth),
        auth_users=_pattern(match.auth_users, f"{path}.authUsers", "string", scope),
        tls=_flag(match.tls),
        mail_from=_pattern(match.mail_from, f"{path}.mailFrom", "mailaddr", scope),
        rcpt_to=_pattern(match.rcpt_to, f"{path}.rcptTo", "mailaddr", scope),
    )


def _from(from_: matches.From, path: str, scope: Scope) -> contract.From:
    known = from_.authenticated
    if from_.networks is not None:
        _check_networks(from_.networks, f"{path}.networks", scope)
    return contract.From(
        any=from_.any is not None,
        local=_flag(from_.local),
        auth=contract.Flag(negate=known.negate) if known is not None and known.users is None else None,
        users=_pattern(known.users, f"{path}.authenticated.users", "string", scope) if known is not None else None,
        networks=_pattern(from_.networks, f"{path}.networks", "netaddr", scope),
        rdns=_pattern(from_.rdns, f"{path}.rdns", "domain", scope),
    )


def _for(for_: matches.For, path: str, scope: Scope) -> contract.For:
    return contract.For(
        any=for_.any is not None,
        hosted=_flag(for_.hosted),
        local=_flag(for_.local),
        domains=_pattern(for_.domains, f"{path}.domains", "domain", scope),
    )


def _flag(flag: matches.Flag | None) -> contract.Flag | None:
    return contract.Flag(negate=flag.negate) if flag is not None else None


def _pattern(pattern: matches.Pattern | None, path: str, service: Service, scope: Scope) -> contract.Pattern | None:
    if pattern is None:
        return None
    for place, reason in key_faults(pattern.values, (service,), "Regex" if pattern.regex else "Wildcard"):
        scope.report.refuse(names.INVALID, f"{path}.values[{place}]", reason)
    table = scope.table(pattern.table_ref, f"{path}.tableRef", service)
    return contract.Pattern(values=pattern.values, table=table, regex=pattern.regex, negate=pattern.negate)


def _check_networks(pattern: matches.Pattern, path: str, scope: Scope) -> None:
    if pattern.regex:
        scope.report.refuse(names.INVALID, f"{path}.regex", "networks are no regular expressions")
    for place, value in enumerate(pattern.values):
        if not is_network(value):
            message = "not a network such as 192.0.2.0/24 or 2001:db8::/32"
            scope.report.refuse(names.INVALID, f"{path}.values[{place}]", message)
