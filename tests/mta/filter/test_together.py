"""The one test of several built-in filters: what it may never miss, and what it saves."""

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.config.filters import Builtin, Criterion, FilterAction, Phase
from paquebot_mta.filter.builtin import BuiltinFilter
from paquebot_mta.filter.chain import GO_ON, Chain, Member, Verdict
from paquebot_mta.filter.contract import Facts
from paquebot_mta.filter.tools import Tools
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.telemetry.events import Event

PHASE: Phase = "mail-from"
TOOLS = cast(Tools, SimpleNamespace(tables=dict))
WORDS = ("a.test", "A.test", "b.test", "*.c.test", "x.c.test")
ADDRESSES = ("joe@a.test", "", "ann@x.c.test", "ann@B.test", "@")
KINDS = {
    "src": st.sampled_from(("192.0.2.0/24", "2001:db8::/32", "198.51.100.7")),
    "rdns": st.sampled_from(WORDS),
    "helo": st.sampled_from(WORDS),
    "mail-from": st.sampled_from(("@a.test", "joe", "ann@B.test", "@*.c.test")),
}


def lists(kind: str) -> st.SearchStrategy[Criterion]:
    values = st.lists(KINDS[kind], min_size=1, max_size=3, unique_by=str.lower)
    return values.map(lambda found: Criterion(kind=kind, values=tuple(found)))  # type: ignore[arg-type]


def patterns() -> st.SearchStrategy[Criterion]:
    return st.sampled_from(("^joe", "test$", "^$")).map(lambda text: Criterion(kind="helo", values=(text,), regex=True))


LEAVES = st.one_of(
    *(lists(kind) for kind in KINDS), patterns(), st.sampled_from((Criterion(kind="fcrdns"), Criterion(kind="auth")))
)
CRITERIA = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(("all", "any")), st.lists(inner, max_size=3)).map(
            lambda found: Criterion(kind=found[0], items=tuple(found[1]))
        ),
        inner.map(lambda found: Criterion(kind="not", items=(found,))),
    ),
    max_leaves=5,
)
SESSIONS = st.builds(
    Facts,
    session=st.just(SessionId("0" * 16)),
    endpoint=st.just("mx"),
    client_address=st.sampled_from(("192.0.2.7", "198.51.100.7", "2001:db8::1", "203.0.113.1", "local")),
    client_name=st.sampled_from(("<unknown>", *WORDS)),
    fcrdns=st.sampled_from(("pass", "fail")),
    helo=st.sampled_from(("", "joe", *WORDS)),
    user=st.sampled_from(("", "alice")),
)


def builtin(criterion: Criterion, phase: Phase = PHASE) -> BuiltinFilter:
    return BuiltinFilter("f", Builtin(phase=phase, when=criterion, action=FilterAction(kind="reject")), TOOLS)


def chain_of(filters: list[BuiltinFilter], emit: Callable[[Event], None] = lambda _: None) -> Chain:
    return Chain(tuple(Member(filter=each) for each in filters), emit, lambda: 0.0)


@given(st.lists(CRITERIA, min_size=1, max_size=6), SESSIONS, st.sampled_from(ADDRESSES))
async def test_members_that_are_tested_together_decide_as_each_would_alone(
    criteria: list[Criterion], facts: Facts, address: str
) -> None:
    filters = [builtin(each) for each in criteria]
    refused = any([each.test(facts, address) for each in filters])
    verdict = await chain_of(filters).decide(PHASE, facts, address)
    assert (verdict.refusal is not None) is refused


def test_nobody_is_waited_for_where_no_condition_holds() -> None:
    events: list[Event] = []
    lists = [Criterion(kind="mail-from", values=(f"@spam-{number}.test",)) for number in range(20)]
    chain = chain_of([builtin(each) for each in lists], events.append)
    facts = Facts(session=SessionId("0" * 16), endpoint="mx", client_address="192.0.2.7")
    assert chain.decide_at_once(PHASE, facts, "joe@a.test") is GO_ON
    assert chain.decide_at_once("data", facts) is GO_ON
    assert len(events) == 2, "one response a phase, and nothing of single filters"


async def test_names_that_differ_only_in_case_are_asked_list_by_list() -> None:
    lists = [Criterion(kind="helo", values=(name,)) for name in ("bad.test", "BAD.test")]
    facts = Facts(session=SessionId("0" * 16), endpoint="mx", client_address="192.0.2.7", helo="bad.test")
    assert isinstance(verdict := await chain_of([builtin(each) for each in lists]).decide(PHASE, facts), Verdict)
    assert verdict.refusal is not None


@pytest.mark.parametrize("members", [1, 4, 20])
def test_lists_of_one_kind_are_looked_up_once(members: int, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []
    chance = random.Random(members)
    lists = [Criterion(kind="src", values=(f"10.{chance.randrange(256)}.{each}.0/24",)) for each in range(members)]
    filters = [builtin(each) for each in lists]
    for each in filters:
        monkeypatch.setattr(each, "test", lambda facts, _: looked_up.append(facts.client_address))
    facts = Facts(session=SessionId("0" * 16), endpoint="mx", client_address="192.0.2.7")
    assert chain_of(filters).decide_at_once(PHASE, facts, "joe@a.test") is GO_ON
    assert looked_up == []
