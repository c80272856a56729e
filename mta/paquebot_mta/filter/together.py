"""One test for several built-in filters: whether any of them may mind, so that the others' tests are not run at all.

Most sessions concern none of a postmaster's filters. Conditions that look at the same thing by lists of their own are
asked as one list then, however many they are. It may say yes where none holds, and never no where one does.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

from paquebot_mta.config.tables import Inline
from paquebot_mta.filter.builtin import BuiltinFilter
from paquebot_mta.filter.contract import Facts
from paquebot_mta.filter.criteria import Needed, Test, within_static
from paquebot_mta.table.static import StaticTable

MayMind = Callable[[Facts, str], object]
"""True or false; never an awaitable."""
_MODES: Final[dict[bool, Literal["Regex", "Wildcard"]]] = {True: "Regex", False: "Wildcard"}


def may_mind(filters: Sequence[BuiltinFilter]) -> MayMind:
    """Make the test of filters that all answer at once."""
    alone = [each.test for each in filters if each.needed is None]
    shared = _grouped(each.needed for each in filters if each.needed is not None)
    tests: tuple[Test, ...] = (*(test for group in shared for test in _joined(group)), *alone)
    return tests[0] if len(tests) == 1 else _any_of(tests)


def _any_of(tests: tuple[Test, ...]) -> MayMind:
    def minds(facts: Facts, parameter: str) -> bool:
        for test in tests:  # noqa: SIM110 - a generator takes longer than most tests
            if test(facts, parameter):
                return True
        return False

    return minds


def _grouped(needs: Iterable[Needed]) -> list[list[Needed]]:
    """Put together what may become one list; of regular expressions only those that are the same."""
    groups: dict[object, list[Needed]] = {}
    for each in needs:
        groups.setdefault((each.key, each.service, each.values if each.regex else None), []).append(each)
    return list(groups.values())


def _joined(group: Sequence[Needed]) -> list[Test]:
    try:
        return [_test_of(group[0], tuple(dict.fromkeys(value for each in group for value in each.values)))]
    except ValueError:  # each list is one, all together are none: a name is there in upper and in lower case
        return [_test_of(each, each.values) for each in group]


def _test_of(needed: Needed, values: tuple[str, ...]) -> Test:
    table = StaticTable(Inline(keys=values), (needed.service,), _MODES[needed.regex])
    return within_static(needed.key, table.finder(needed.service))
