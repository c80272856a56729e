"""Where a pod lacks a program nobody is asked less than before; everything else is as the new configuration says."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from paquebot_mta.config.actions import Action, Maildir, Relay
from paquebot_mta.config.domains import Domain
from paquebot_mta.config.filters import Builtin, Chain, Criterion, Filter, FilterAction, Process
from paquebot_mta.config.listeners import Listener
from paquebot_mta.config.service import MtaConfig, ServiceShard
from paquebot_mta.config.tables import Inline, Table
from paquebot_mta.filter.lacking import lacking_programs, without

BOXES = Action(maildir=Maildir(path="/mail/%{user}"))
LACKING = frozenset({"program"})


def builtin(text: str, table: str = "") -> Filter:
    when = Criterion(kind="src", table=table) if table else Criterion(kind="all")
    return Filter(kind=Builtin(phase="rcpt-to", when=when, action=FilterAction(kind="reject", text=text)))


FILTERS = {
    "spam": builtin("spam", "networks"),
    "other": builtin("other"),
    "all": Filter(kind=Chain(filters=("spam", "other"))),
}
PROGRAM = Filter(kind=Process(socket="/nowhere/program/socket"))


def settings(
    filters: dict[str, Filter], *, mx: tuple[str, ...], domains: dict[str, tuple[str, ...]], relay: tuple[str, ...] = ()
) -> MtaConfig:
    service = ServiceShard(
        name="test/mail",
        hostname="mx.example.test",
        listeners=(Listener(name="mx", port=25, filters=mx),),
        filters=filters,
        actions={"out": Action(relay=Relay(filters=relay))},
    )
    hosted = {name: Domain(name=name, delivery=BOXES, filters=each) for name, each in domains.items()}
    tables = {"networks": Table(services=("netaddr",), inline=Inline(keys=("192.0.2.0/24",)))}
    return MtaConfig(digest="0" * 64, generation=1, service=service, domains=hosted, tables=tables)


BEFORE = settings(FILTERS, mx=("all",), domains={"one.test": ("spam",), "two.test": ()}, relay=())


def changed(new: MtaConfig) -> MtaConfig:
    return without(LACKING, new, BEFORE)


def test_a_program_without_its_container_is_known(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    filters = {
        "there": Filter(kind=Process(socket=f"{tmp_path}/there/socket")),
        "lacking": Filter(kind=Process(socket=f"{tmp_path}/lacking/socket")),
        "child": Filter(kind=Process(command=("/bin/x",))),
        "spam": FILTERS["other"],
    }
    assert lacking_programs(settings(filters, mx=(), domains={})) == {"lacking"}


def test_a_listener_keeps_what_it_asked_though_the_program_was_to_take_its_place() -> None:
    # The old filters, chain and table are gone from the new configuration.
    new = replace(settings({"program": PROGRAM}, mx=("program",), domains={"one.test": (), "new.test": ()}), tables={})
    merged = changed(new)
    assert merged.service.listeners[0].filters == ("all",)
    assert merged.service.filters == FILTERS
    assert "networks" in merged.tables
    assert merged.domains["one.test"].filters == ()
    assert "new.test" in merged.domains
    assert "two.test" not in merged.domains


def test_a_chain_that_has_the_program_is_as_it_was() -> None:
    chain = Filter(kind=Chain(filters=("program", "other")))
    new = settings(
        {**FILTERS, "program": PROGRAM, "all": chain, "other": builtin("newer")},
        mx=("all",),
        domains={},
        relay=("all",),
    )
    merged = changed(new)
    assert merged.service.filters["all"] == FILTERS["all"]
    assert merged.service.filters["other"] == builtin("newer"), "what can change does"
    assert "program" not in merged.service.filters
    assert merged.service.actions["out"].relay == Relay(), "it only heard"


@pytest.mark.parametrize("name", ["one.test", "two.test"])
def test_a_domain_that_was_there_stays_as_it_was_and_a_new_one_waits(name: str) -> None:
    domains = {name: ("program",), "new.test": ("other", "program"), "free.test": ("other",)}
    merged = changed(settings({**FILTERS, "program": PROGRAM}, mx=("other",), domains=domains))
    assert merged.domains == {
        name: BEFORE.domains[name],
        "free.test": Domain(name="free.test", delivery=BOXES, filters=("other",)),
    }
    assert merged.service.listeners[0].filters == ("other",)


def test_a_new_listener_with_the_program_is_not_there_yet() -> None:
    new = settings({**FILTERS, "program": PROGRAM}, mx=("other",), domains={})
    more = (*new.service.listeners, Listener(name="more", port=26, filters=("program",)))
    merged = changed(replace(new, service=replace(new.service, listeners=more)))
    assert [each.name for each in merged.service.listeners] == ["mx"]
