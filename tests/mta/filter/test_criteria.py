"""Conditions of built-in filters: what each looks at, and how they are joined."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.config.filters import Criterion, Phase
from paquebot_mta.config.tables import Inline, Service
from paquebot_mta.filter.contract import Facts
from paquebot_mta.filter.criteria import compile_criterion
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.table.lookup import Table, TableError
from paquebot_mta.table.static import StaticTable

FACTS = Facts(
    session=SessionId("0" * 16),
    endpoint="mx",
    client_address="192.0.2.7",
    client_name="mail.client.test",
    fcrdns="pass",
    helo="helo.client.test",
    user="alice",
    reverse_path="joe@client.test",
)
NOBODY = replace(FACTS, client_name="<unknown>", fcrdns="error", helo="", user="", reverse_path=None)


async def holds(criterion: Criterion, facts: Facts = FACTS, phase: Phase = "data", parameter: str = "") -> bool:
    found = compile_criterion(criterion, phase, {"slow": Slow(), "networks": NETWORKS})(facts, parameter)
    return found if isinstance(found, bool) else await found


class Slow:
    """A table elsewhere: it has what begins with an a, and is down for what begins with a b."""

    async def check(self, service: Service, key: str) -> bool:
        if key.startswith("b"):
            raise TableError("down")
        return key.startswith("a")

    async def lookup(self, service: Service, key: str) -> str | None:
        return None

    async def fetch(self, service: Service) -> Sequence[str]:
        return ()


NETWORKS: Table = StaticTable(Inline(keys=("192.0.2.0/24",)), ("netaddr",))


@pytest.mark.parametrize(
    ("criterion", "of_somebody", "of_nobody"),
    [
        (Criterion(kind="fcrdns"), True, False),
        (Criterion(kind="rdns"), True, False),
        (Criterion(kind="rdns", values=("*.client.test",)), True, False),
        (Criterion(kind="rdns", values=(r"^mail\.",), regex=True), True, False),
        (Criterion(kind="src", values=("192.0.2.0/29",)), True, True),
        (Criterion(kind="src", values=("2001:db8::/32", "198.51.100.1")), False, False),
        (Criterion(kind="src", table="networks"), True, True),
        (Criterion(kind="helo", values=("HELO.client.test",)), True, False),
        (Criterion(kind="auth"), True, False),
        (Criterion(kind="auth", values=("alice", "bob")), True, False),
        (Criterion(kind="auth", table="slow"), True, False),
        (Criterion(kind="mail-from", values=("@client.test",)), True, False),
        (Criterion(kind="mail-from", values=("other@client.test",)), False, False),
        (Criterion(kind="all"), True, True),
        (Criterion(kind="any"), False, False),
        (Criterion(kind="not", items=(Criterion(kind="auth"),)), False, True),
    ],
)
async def test_a_criterion_looks_at_what_it_is_named_after(
    criterion: Criterion, of_somebody: bool, of_nobody: bool
) -> None:
    assert await holds(criterion) is of_somebody
    assert await holds(criterion, NOBODY) is of_nobody


@pytest.mark.parametrize(
    ("kind", "phase", "parameter"),
    [("helo", "ehlo", "new.test"), ("mail-from", "mail-from", "x@new.test"), ("rcpt-to", "rcpt-to", "y@new.test")],
)
async def test_a_phase_s_own_parameter_comes_before_what_was_known(kind: str, phase: Phase, parameter: str) -> None:
    value = parameter if kind == "helo" else "@new.test"
    assert await holds(Criterion(kind=kind, values=(value,)), phase=phase, parameter=parameter)  # type: ignore[arg-type]


async def test_the_null_reverse_path_can_be_asked_for() -> None:
    empty = Criterion(kind="mail-from", values=("^$",), regex=True)
    assert await holds(empty, phase="mail-from", parameter="")
    assert not await holds(empty)


@given(st.lists(st.lists(st.booleans(), max_size=4), max_size=4), st.booleans(), st.data())
async def test_joined_conditions_are_what_python_says(
    groups: list[list[bool]], negate: bool, data: st.DataObject
) -> None:
    def leaf(value: bool) -> Criterion:
        slow = data.draw(st.booleans())
        if slow:
            return Criterion(kind="auth", table="slow") if value else _not(Criterion(kind="auth", table="slow"))
        return Criterion(kind="fcrdns") if value else _not(Criterion(kind="fcrdns"))

    items = tuple(Criterion(kind="all", items=tuple(leaf(value) for value in group)) for group in groups)
    criterion = Criterion(kind="any", items=items)
    expected = any(all(group) for group in groups)
    assert await holds(_not(criterion) if negate else criterion) is (expected is not negate)


def _not(criterion: Criterion) -> Criterion:
    return Criterion(kind="not", items=(criterion,))


async def test_a_table_that_is_down_is_no_answer() -> None:
    facts = replace(FACTS, user="bob")
    with pytest.raises(TableError):
        await holds(Criterion(kind="auth", table="slow"), facts)


@pytest.mark.parametrize(
    "criterion",
    [Criterion(kind="src", table="nothing"), Criterion(kind="helo", table="networks")],
)
def test_a_table_that_is_not_there_or_not_for_this_is_an_error(criterion: Criterion) -> None:
    with pytest.raises(ValueError, match="table"):
        compile_criterion(criterion, "data", {"networks": NETWORKS})
