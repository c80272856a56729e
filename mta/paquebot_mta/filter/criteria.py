"""Conditions of built-in filters, each compiled to a test: no text is interpreted while mail flows."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from paquebot_mta.config.check_filters import SERVICES
from paquebot_mta.config.filters import Criterion, Phase
from paquebot_mta.config.tables import Inline, Service
from paquebot_mta.filter.contract import Facts
from paquebot_mta.table.lookup import Table
from paquebot_mta.table.static import StaticTable

Test = Callable[[Facts, str], bool | Awaitable[bool]]
"""Answers for a session and the phase's parameter, at once unless a table has to be asked elsewhere.

Raises TableError.
"""
Key = Callable[[Facts, str], str | None]
"""What is looked at; None where there is nothing, which no set holds."""

UNNAMED = "<unknown>"


@dataclass(frozen=True, slots=True)
class Needed:
    """A list that must hold what is looked at, or a condition doesn't hold: several may be asked as one."""

    key: Key
    service: Service
    regex: bool
    values: tuple[str, ...]


def needed_by(criterion: Criterion, phase: Phase) -> Needed | None:
    """Say what a condition needs in any case; None if that isn't one list."""
    if criterion.kind == "all":
        return next((found for item in criterion.items if (found := needed_by(item, phase)) is not None), None)
    if criterion.kind == "any" and len(criterion.items) == 1:
        return needed_by(criterion.items[0], phase)
    if criterion.kind in SERVICES and criterion.values:
        return Needed(_key_of(criterion.kind, phase), SERVICES[criterion.kind], criterion.regex, criterion.values)
    return None


def answers_at_once(criterion: Criterion, tables: Mapping[str, Table]) -> bool:
    """Whether a condition never waits for a table."""
    named = not criterion.table or isinstance(tables.get(criterion.table), StaticTable)
    return named and all(answers_at_once(item, tables) for item in criterion.items)


def compile_criterion(criterion: Criterion, phase: Phase, tables: Mapping[str, Table]) -> Test:
    """Compile a condition for one phase.

    Raises:
        ValueError: an entry can't be read, or a table is not there or not for this.
    """
    match criterion.kind:
        case "all":
            return _all(tuple(compile_criterion(item, phase, tables) for item in criterion.items))
        case "any":
            return _any(tuple(compile_criterion(item, phase, tables) for item in criterion.items))
        case "not":
            return _not(compile_criterion(criterion.items[0], phase, tables))
        case "fcrdns":
            return lambda facts, _: facts.fcrdns == "pass"
    key = _key_of(criterion.kind, phase)
    if criterion.values or criterion.table:
        return _within(key, SERVICES[criterion.kind], _table_of(criterion, tables))
    return lambda facts, parameter: key(facts, parameter) is not None


def _key_of(kind: str, phase: Phase) -> Key:
    """Say where a criterion finds what it looks at: the phase's own parameter is not among the facts yet."""
    if (kind == "helo" and phase in {"helo", "ehlo"}) or kind == phase:
        return _parameter
    return _KEYS[kind]


def _parameter(_: Facts, parameter: str) -> str:
    return parameter


def _address(facts: Facts, _: str) -> str:
    return facts.client_address


_KEYS: Final[Mapping[str, Key]] = {
    "rdns": lambda facts, _: facts.client_name if facts.client_name not in {"", UNNAMED} else None,
    "src": _address,
    "helo": lambda facts, _: facts.helo or None,
    "auth": lambda facts, _: facts.user or None,
    "mail-from": lambda facts, _: facts.reverse_path,
}


def _table_of(criterion: Criterion, tables: Mapping[str, Table]) -> Table:
    service = SERVICES[criterion.kind]
    if criterion.values:
        return StaticTable(Inline(keys=criterion.values), (service,), "Regex" if criterion.regex else "Wildcard")
    table = tables.get(criterion.table)
    if table is None:
        raise ValueError(f"there is no table {criterion.table!r}")
    if isinstance(table, StaticTable) and service not in table.services:
        raise ValueError(f"table {criterion.table!r} does not offer the service {service}")
    return table


def _within(key: Key, service: Service, table: Table) -> Test:
    if isinstance(table, StaticTable):
        return within_static(key, table.finder(service))

    def ask(facts: Facts, parameter: str) -> bool | Awaitable[bool]:
        subject = key(facts, parameter)
        return False if subject is None else table.check(service, subject)

    return ask


def within_static(key: Key, find: Callable[[str], str | None]) -> Test:
    """Test by what finds keys; the tests that most sessions go through have one call less."""
    if key is _parameter:
        return lambda _, parameter: find(parameter) is not None
    if key is _address:
        return lambda facts, _: find(facts.client_address) is not None
    return lambda facts, parameter: (subject := key(facts, parameter)) is not None and find(subject) is not None


def _not(test: Test) -> Test:
    def holds(facts: Facts, parameter: str) -> bool | Awaitable[bool]:
        found = test(facts, parameter)
        return not found if isinstance(found, bool) else _denied(found)

    return holds


async def _denied(found: Awaitable[bool]) -> bool:
    return not await found


def _all(tests: tuple[Test, ...]) -> Test:
    return tests[0] if len(tests) == 1 else _joined(tests, ends_with=False)


def _any(tests: tuple[Test, ...]) -> Test:
    return tests[0] if len(tests) == 1 else _joined(tests, ends_with=True)


def _joined(tests: tuple[Test, ...], *, ends_with: bool) -> Test:
    """Ask until one gives ``ends_with``; none of them: the other."""

    def holds(facts: Facts, parameter: str) -> bool | Awaitable[bool]:
        for place, test in enumerate(tests):
            found = test(facts, parameter)
            if found is ends_with:
                return ends_with
            if not isinstance(found, bool):
                return rest(found, place + 1, facts, parameter)
        return not ends_with

    async def rest(waiting: Awaitable[bool], place: int, facts: Facts, parameter: str) -> bool:
        if await waiting is ends_with:
            return ends_with
        found = later[place](facts, parameter)
        return found if isinstance(found, bool) else await found

    later = [_joined(tests[place:], ends_with=ends_with) for place in range(1, len(tests) + 1)] if tests else []
    later.insert(0, holds)
    return holds
