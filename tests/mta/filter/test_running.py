"""Filters over changes of the configuration: kept if they are wanted as before, ended after their last session."""

import asyncio
from collections.abc import Mapping

import pytest

from paquebot_mta.config import filters as config
from paquebot_mta.config.actions import Action, Discard
from paquebot_mta.config.domains import Domain
from paquebot_mta.config.listeners import Listener
from paquebot_mta.config.service import MtaConfig, ServiceShard
from paquebot_mta.filter import build
from paquebot_mta.filter.base import BaseFilter
from paquebot_mta.filter.contract import Filter
from paquebot_mta.filter.running import RunningFilters, Trouble
from paquebot_mta.filter.tools import Places, Tools
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.telemetry.bus import Bus
from tests.mta.accept.filters import make_tools

SESSION = SessionId("1" * 16)


class Watched(BaseFilter):
    def __init__(self, name: str, places: Places) -> None:
        super().__init__(name, frozenset({"connect"}))
        self.places = places
        self.started = self.closed = 0
        self.forgotten: list[SessionId] = []

    async def start(self) -> None:
        self.started += 1

    async def close(self) -> None:
        self.closed += 1

    def forget(self, session: SessionId) -> None:
        self.forgotten.append(session)

    def trouble(self) -> str:
        return "not well" if self.name == "ill" else ""


def _make(name: str, kind: config.Kind, places: Places, tools: Tools) -> Filter:
    return Watched(name, places)


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "MAKERS", {config.Process: _make})


@pytest.fixture
def running() -> RunningFilters:
    return RunningFilters(make_tools(Bus()))


def settings(
    filters: Mapping[str, config.Filter], *names: str, domains: Mapping[str, tuple[str, ...]] | None = None
) -> MtaConfig:
    service = ServiceShard(
        name="t/mail", hostname="mx.test", listeners=(Listener(name="mx", filters=names),), filters=dict(filters)
    )
    hosted = {
        name: Domain(name=name, delivery=Action(discard=Discard()), filters=of_it)
        for name, of_it in (domains or {}).items()
    }
    return MtaConfig(digest="0" * 64, generation=1, service=service, domains=hosted, tables={})


def program(*command: str) -> config.Filter:
    return config.Filter(kind=config.Process(command=command))


async def _settled() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_filter_that_is_wanted_as_before_goes_on(running: RunningFilters) -> None:
    first = running.plan(settings({"a": program("/a"), "b": program("/b")}, "a", "b"), {})
    await running.apply(first)
    second = running.plan(settings({"a": program("/a"), "b": program("/new")}, "a", "b"), {})
    await running.apply(second)
    await _settled()
    kept, gone = first.filters["a"], first.filters["b"]
    assert isinstance(kept, Watched)
    assert isinstance(gone, Watched)
    assert second.filters["a"] is kept
    assert (kept.started, kept.closed) == (1, 0)
    assert second.filters["b"] is not gone
    assert gone.closed == 1


def _slow(name: str, kind: config.Kind, places: Places, tools: Tools) -> Filter:
    return Slow(name, places)


class Slow(Watched):
    """Never gets ready if it is called hung, breaks if it is called broken."""

    async def start(self) -> None:
        self.started += 1
        if self.name == "hung":
            await asyncio.Event().wait()
        if self.name == "broken":
            raise RuntimeError

    async def close(self) -> None:
        assert self.started, "closed before it was started"
        await super().close()


async def test_filters_start_together_and_one_that_hangs_or_breaks_delays_no_other(
    running: RunningFilters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "MAKERS", {config.Process: _slow})
    monkeypatch.setattr("paquebot_mta.filter.running.START_SECONDS", 0.05)
    names = ("hung", "broken", "a", "b")
    plan = running.plan(settings({name: program(f"/{name}") for name in names}, *names), {})
    await asyncio.wait_for(running.apply(plan), 10.0)
    found = {name: each for name, each in plan.filters.items() if isinstance(each, Slow)}
    assert {name: each.started for name, each in found.items()} == dict.fromkeys(names, 1)
    await asyncio.wait_for(running.apply(running.plan(settings({}), {})), 10.0)
    await asyncio.wait_for(running.close(), 10.0)
    assert [each.closed for each in found.values()] == [1, 1, 1, 1]


async def test_a_filter_ends_after_the_last_session_that_has_it(running: RunningFilters) -> None:
    first = running.plan(settings({"a": program("/a")}, "a"), {})
    await running.apply(first)
    screen, asked = first.screens["mx"], first.filters["a"]
    assert isinstance(asked, Watched)
    screen.enter()
    await running.apply(running.plan(settings({}), {}))
    await _settled()
    assert asked.closed == 0
    screen.leave(SESSION)
    await _settled()
    assert (asked.closed, asked.forgotten) == (1, [SESSION])


async def test_a_filter_of_a_plan_that_sessions_still_have_is_kept_through_several_changes(
    running: RunningFilters,
) -> None:
    first = running.plan(settings({"a": program("/a")}, "a"), {})
    await running.apply(first)
    first.screens["mx"].enter()
    second = running.plan(settings({"a": program("/a")}, "a"), {})
    await running.apply(second)
    await running.apply(running.plan(settings({}), {}))
    await _settled()
    asked = first.filters["a"]
    assert isinstance(asked, Watched)
    assert asked.closed == 0
    first.screens["mx"].leave(SESSION)
    await _settled()
    assert asked.closed == 1


async def test_a_chain_is_opened_and_a_filter_in_several_is_one(running: RunningFilters) -> None:
    chain = config.Filter(kind=config.Chain(filters=("a", "b")))
    plan = running.plan(settings({"c": chain, "a": program("/a"), "b": program("/b")}, "b", "c"), {})
    assert [member.name for member in plan.screens["mx"].chain.members] == ["b", "a"]
    assert set(plan.filters) == {"a", "b"}


async def test_places_say_where_a_filter_is_in_use(running: RunningFilters) -> None:
    plan = running.plan(settings({"a": program("/a")}, "a", domains={"one.test": ("a",)}), {})
    asked = plan.filters["a"]
    assert isinstance(asked, Watched)
    assert asked.places == Places(frozenset({"mx"}), frozenset(), frozenset({"one.test"}))


async def test_a_service_without_filters_has_no_screens(running: RunningFilters) -> None:
    assert running.plan(settings({"a": program("/a")}), {}).screens == {}
    assert running.describe() == []


async def test_trouble_counts_where_a_filter_is_in_use(running: RunningFilters) -> None:
    await running.apply(running.plan(settings({"ill": program("/a")}), {}))
    assert running.troubles() == {}
    await running.apply(running.plan(settings({"ill": program("/a")}, "ill"), {}))
    assert running.troubles() == {"ill": Trouble("not well", blocking=True)}
    assert [(each.name, each.kind, each.places) for each in running.describe()] == [
        ("ill", "process", ("listener mx",))
    ]


@pytest.mark.parametrize(
    "harmless",
    [
        config.Filter(kind=config.Process(command=("/a",), on_failure="Proceed")),
        config.Filter(kind=config.Process(command=("/a",)), mode="Shadow"),
    ],
)
async def test_a_filter_that_mail_goes_on_without_takes_no_pod_away(
    running: RunningFilters, harmless: config.Filter
) -> None:
    await running.apply(running.plan(settings({"ill": harmless}, "ill"), {}))
    assert running.troubles() == {"ill": Trouble("not well", blocking=False)}


async def test_a_service_that_all_pods_ask_takes_none_of_them_away(running: RunningFilters) -> None:
    plan = running.plan(settings({"ill": program("/a")}, "ill"), {})
    plan.filters["ill"].shared = True
    await running.apply(plan)
    assert running.troubles() == {"ill": Trouble("not well", blocking=False)}


async def test_a_program_that_minds_only_what_comes_before_a_domain_s_recipients_is_told_of(
    running: RunningFilters,
) -> None:
    await running.apply(running.plan(settings({"a": program("/a")}, domains={"one.test": ("a",)}), {}))
    assert {name: (each.reason[:20], each.blocking) for name, each in running.troubles().items()} == {
        "a": ("it is never asked: a", False)
    }
    assert running.describe()[0].trouble.startswith("it is never asked")
    await running.apply(running.plan(settings({"a": program("/a")}, "a", domains={"one.test": ("a",)}), {}))
    assert running.troubles() == {}


async def test_a_session_counts_until_nothing_is_asked_about_it_and_the_end_gives_that_up(
    running: RunningFilters,
) -> None:
    plan = running.plan(settings({"a": program("/a")}, "a"), {})
    await running.apply(plan)
    asked, screen = plan.filters["a"], plan.screens["mx"]
    assert isinstance(asked, Watched)
    screen.enter()
    assert plan.shadows.begin(SESSION, asyncio.sleep(60)) is not None
    screen.leave(SESSION)
    await _settled()
    assert (plan.sessions, asked.forgotten) == (1, [])
    await running.close()
    assert (plan.sessions, asked.forgotten, asked.closed) == (0, [SESSION], 1)


async def test_the_end_closes_all(running: RunningFilters) -> None:
    plan = running.plan(settings({"a": program("/a")}, "a"), {})
    await running.apply(plan)
    await running.close()
    asked = plan.filters["a"]
    assert isinstance(asked, Watched)
    assert asked.closed == 1


def test_a_kind_that_nobody_makes_is_named(running: RunningFilters) -> None:
    with pytest.raises(ValueError, match=r"'m'.*Milter"):
        running.plan(settings({"m": config.Filter(kind=config.Milter(address="127.0.0.1:1"))}, "m"), {})
