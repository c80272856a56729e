"""The single criteria of a rule, each compiled to a test of one question. Knows nothing of rules' order or outcomes."""

from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address

from msgspec import Struct

from paquebot_mta.config.rules import Flag, For, From, Match, Pattern
from paquebot_mta.config.tables import Inline, Service
from paquebot_mta.expand.results import Facts
from paquebot_mta.mail.address import Address
from paquebot_mta.table.lookup import Table
from paquebot_mta.table.static import StaticTable

_NO_NAME = frozenset({"", "<unknown>"})


class Question(Struct, frozen=True):
    """What one RCPT asks of the rules; ``reverse_path`` None is the null reverse-path."""

    facts: Facts
    reverse_path: Address | None
    recipient: Address


Criterion = Callable[[Question], bool | Awaitable[bool]]
"""Answers at once unless a table has to be asked elsewhere; raises ``TableError`` if that fails."""


class Surroundings(Struct, frozen=True):
    """What criteria refer to: tables by name, hosted domains, and our own host name."""

    tables: Mapping[str, Table]
    hosted: frozenset[str]
    hostname: str


def compile_match(match: Match, around: Surroundings) -> tuple[Criterion, ...]:
    """Compile all criteria in the order tag, from, for, helo, auth, tls, mail-from, rcpt-to.

    Raises:
        ValueError: a criterion is missing or unclear, or names a table that is not there or not for its service.
    """
    found = (
        _pattern(match.tag, "string", around, lambda question: question.facts.tag),
        _from(match.from_, around),
        _for(match.for_, around),
        _pattern(match.helo, "domain", around, lambda question: question.facts.helo),
        _flag(match.auth, lambda question: question.facts.user != ""),
        _user_in(match.auth_users, around),
        _flag(match.tls, lambda question: question.facts.tls),
        _pattern(match.mail_from, "mailaddr", around, _reverse_path_key),
        _pattern(match.rcpt_to, "mailaddr", around, lambda question: question.recipient.key),
    )
    return tuple(criterion for criterion in found if criterion is not None)


def is_local(facts: Facts) -> bool:
    """Whether the session comes from this machine, or the mail from ourselves."""
    return facts.local or facts.client_address == "local" or _is_loopback(facts.client_address)


def _is_loopback(address: str) -> bool:
    if not address.startswith(("127.", "::1", "::ffff:127.")):
        return False
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback


def _reverse_path_key(question: Question) -> str:
    return question.reverse_path.key if question.reverse_path else ""


def _from(criterion: From, around: Surroundings) -> Criterion | None:
    """Compile ``from``; None for ``any``."""
    found = (
        _flag(criterion.local, lambda question: is_local(question.facts)),
        _flag(criterion.auth, lambda question: question.facts.user != ""),
        _user_in(criterion.users, around),
        _pattern(criterion.networks, "netaddr", around, lambda q: q.facts.client_address),
        _named(criterion.rdns, around),
    )
    return _only_one("from", criterion.any, found)


def _for(criterion: For, around: Surroundings) -> Criterion | None:
    """Compile ``for``; None for ``any``."""
    ours = frozenset({around.hostname.lower(), "localhost"})
    found = (
        _flag(criterion.hosted, lambda question: question.recipient.domain in around.hosted),
        _flag(criterion.local, lambda question: question.recipient.domain in ours),
        _pattern(criterion.domains, "domain", around, lambda q: q.recipient.domain),
    )
    return _only_one("for", criterion.any, found)


def _only_one(name: str, matches_any: bool, found: tuple[Criterion | None, ...]) -> Criterion | None:
    given = [criterion for criterion in found if criterion is not None]
    if len(given) + matches_any != 1:
        raise ValueError(f"{name}: exactly one criterion must be set")
    return given[0] if given else None


def _flag(flag: Flag | None, holds: Callable[[Question], bool]) -> Criterion | None:
    if flag is None:
        return None
    return (lambda question: not holds(question)) if flag.negate else holds


def _user_in(pattern: Pattern | None, around: Surroundings) -> Criterion | None:
    """Never holds without a user, negated or not: "all but bob" must not mean the whole world."""
    inner = _pattern(pattern, "string", around, lambda question: question.facts.user)
    return inner and (lambda question: inner(question) if question.facts.user else False)


def _named(pattern: Pattern | None, around: Surroundings) -> Criterion | None:
    """Never holds without a verified name, negated or not (as the reference has it)."""
    inner = _pattern(pattern, "domain", around, lambda question: question.facts.client_name)
    return inner and (lambda question: False if question.facts.client_name in _NO_NAME else inner(question))


def _pattern(
    pattern: Pattern | None, service: Service, around: Surroundings, key: Callable[[Question], str]
) -> Criterion | None:
    if pattern is None:
        return None
    tables = _tables_of(pattern, service, around)
    static = tuple(table for table in tables if isinstance(table, StaticTable))
    others = tuple(table for table in tables if not isinstance(table, StaticTable))
    negate = pattern.negate

    def holds(question: Question) -> bool:
        subject = key(question)
        return any(table.has(service, subject) for table in static) is not negate

    async def ask(question: Question) -> bool:
        if holds(question) is not negate:
            return not negate
        subject = key(question)
        found = [await table.check(service, subject) for table in others]
        return any(found) is not negate

    return ask if others else holds


def _tables_of(pattern: Pattern, service: Service, around: Surroundings) -> tuple[Table, ...]:
    """Give the literal values as a table, and the named one."""
    tables: list[Table] = []
    if pattern.values:
        tables.append(StaticTable(Inline(keys=pattern.values), (service,), "Regex" if pattern.regex else "Wildcard"))
    if pattern.table:
        tables.append(named_table(around.tables, pattern.table, service))
    if not tables:
        raise ValueError("a pattern needs values or a table")
    return tuple(tables)


def named_table(tables: Mapping[str, Table], name: str, service: Service) -> Table:
    """Find a table that may be asked for a service.

    Raises:
        ValueError: there is none, or it does not offer the service.
    """
    table = tables.get(name)
    if table is None:
        raise ValueError(f"there is no table {name!r}")
    if isinstance(table, StaticTable) and service not in table.services:
        raise ValueError(f"table {name!r} does not offer the service {service}")
    return table
