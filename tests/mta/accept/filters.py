"""Filters in front of the test server: built-in ones by configuration, others scripted in Python."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from msgspec import structs

from paquebot_mta.config.actions import Action, Discard
from paquebot_mta.config.domains import Domain
from paquebot_mta.config.filters import Builtin, Criterion, Filter, FilterAction, Phase, Process
from paquebot_mta.config.service import MtaConfig
from paquebot_mta.filter.base import BaseFilter
from paquebot_mta.filter.builtin import build_builtin
from paquebot_mta.filter.chain import Load
from paquebot_mta.filter.contract import NO_CHANGES, Changes, Content, Facts, FilterError, LineFilter
from paquebot_mta.filter.contract import Filter as RunningFilter
from paquebot_mta.filter.decisions import PROCEED, Decision
from paquebot_mta.filter.hold import Holder
from paquebot_mta.filter.running import Plan, Screen
from paquebot_mta.filter.tools import Places, Tools
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.resolver.memory import MemoryResolver
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import Event

ALWAYS = Criterion(kind="all")


def builtin(phase: Phase, action: FilterAction, when: Criterion = ALWAYS, mode: str = "Enforce") -> Filter:
    return Filter(kind=Builtin(phase=phase, when=when, action=action), mode=mode)  # type: ignore[arg-type]


def action(kind: str, **values: str | int) -> FilterAction:
    return FilterAction(kind=kind, **values)  # type: ignore[arg-type]


@dataclass
class Asked:
    phase: Phase
    parameter: str
    facts: Facts


class Scripted(BaseFilter):
    """Answers by a function, and remembers what it was asked; stands for a program."""

    def __init__(
        self,
        phases: Sequence[Phase] = (),
        answer: Callable[[Phase, str], Decision] = lambda phase, parameter: PROCEED,
        judgement: Callable[[bytes], tuple[Decision, Changes]] | None = None,
        lines: "Callable[[], LineFilter] | None" = None,
    ) -> None:
        super().__init__("scripted", frozenset(phases))
        self.asked: list[Asked] = []
        self.forgotten: list[SessionId] = []
        self._answer, self._judgement, self._lines = answer, judgement, lines
        self.judges_content = judgement is not None
        self.streams = lines is not None
        self.kind = "proc"

    async def decide(self, phase: Phase, facts: Facts, parameter: str) -> Decision:
        self.asked.append(Asked(phase, parameter, replace(facts, recipients=list(facts.recipients))))
        return self._answer(phase, parameter)

    async def judge(self, facts: Facts, content: Content) -> tuple[Decision, Changes]:
        whole = b"".join([await content.read(at, 1000) for at in range(0, content.size, 1000)])
        assert len(whole) == content.size
        self.asked.append(Asked("commit", whole.decode("latin-1"), replace(facts, recipients=list(facts.recipients))))
        return self._judgement(whole) if self._judgement is not None else (PROCEED, NO_CHANGES)

    def open_lines(self, facts: Facts) -> LineFilter:
        if self._lines is None:
            raise FilterError("no lines")
        return self._lines()

    def forget(self, session: SessionId) -> None:
        self.forgotten.append(session)

    def heard(self) -> list[tuple[Phase, str]]:
        return [(each.phase, each.parameter) for each in self.asked]


class Lines:
    """A stream that gives each line through a function, all at the end."""

    def __init__(self, change: Callable[[bytes], bytes], *, fail: bool = False) -> None:
        self._change, self._fail = change, fail
        self._lines: list[bytes] = []
        self.aborted = False

    async def feed(self, content: bytes) -> bytes:
        assert content.endswith(b"\r\n")
        self._lines += content.split(b"\r\n")[:-1]
        return b""

    async def finish(self) -> bytes:
        if self._fail:
            raise FilterError("gone", "crash")
        return b"".join(self._change(line) + b"\r\n" for line in self._lines)

    def abort(self) -> None:
        self.aborted = True


@dataclass
class Filters:
    """Filters by name, used by the listeners in that order unless named by a domain; ``shadows`` are on trial only."""

    by_name: Mapping[str, Filter | Scripted]
    domains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    folder: Path | None = None
    shadows: tuple[str, ...] = ()
    events: list[Event] = field(default_factory=list)

    def __call__(self, config: MtaConfig) -> Mapping[str, Screen]:
        return make_plan(self, config).screens


def make_plan(filters: Filters, config: MtaConfig) -> Plan:
    bus = Bus()
    bus.subscribe(filters.events.append)
    tools = make_tools(bus, filters.folder)
    of_domains = {name for names in filters.domains.values() for name in names}
    listeners = tuple(
        structs.replace(each, filters=tuple(name for name in filters.by_name if name not in of_domains))
        for each in config.service.listeners
    )
    configs = {
        name: structs.replace(_config(each), mode="Shadow") if name in filters.shadows else _config(each)
        for name, each in filters.by_name.items()
    }
    service = structs.replace(config.service, listeners=listeners, filters=configs)
    domains = {
        name: Domain(name=name, delivery=Action(discard=Discard()), filters=names)
        for name, names in filters.domains.items()
    }
    settings = structs.replace(config, service=service, domains=domains)
    running = dict(_running(filters.by_name, tools))
    return Plan(settings, running, {name: Load() for name in running}, tools)


def make_tools(bus: Bus, folder: Path | None = None) -> Tools:
    seeded = random.Random(3)
    return Tools(
        bus=bus,
        resolver=lambda: MemoryResolver({}),
        tables=dict,
        wall_clock=lambda: 1_700_000_000.0,
        monotonic=lambda: 5.0,
        randbits=seeded.getrandbits,
        holder=Holder(folder),
    )


def _config(each: Filter | Scripted) -> Filter:
    if isinstance(each, Filter):
        return each
    return Filter(kind=Process(command=("scripted",)))


def _running(by_name: Mapping[str, Filter | Scripted], tools: Tools) -> Iterator[tuple[str, RunningFilter]]:
    for name, each in by_name.items():
        if isinstance(each, Scripted):
            each.name = name
            yield name, each
        else:
            yield name, build_builtin(name, each.kind, Places(), tools)
