"""The filters that run: built off the event loop, kept over changes of the configuration, ended with the last user."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from paquebot_mta.config import filters as config
from paquebot_mta.config.service import MtaConfig
from paquebot_mta.filter.build import build_filters
from paquebot_mta.filter.builtin import BuiltinFilter
from paquebot_mta.filter.chain import Chain, Load, Member, Refusing
from paquebot_mta.filter.contract import Filter
from paquebot_mta.filter.places import open_chains, places_of
from paquebot_mta.filter.process.process_filter import ProcessFilter
from paquebot_mta.filter.shadows import Shadows
from paquebot_mta.filter.tools import Places, Tools
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.table.lookup import Table
from paquebot_mta.telemetry.events import Notice

START_SECONDS: Final = 5.0
"""How long all filters of a new configuration together may take to be ready before it is in force all the same."""
_UNASKED: Final = "it is never asked: a domain's filters see nothing before RCPT TO; let a listener name it"
_REASONS: Final[Mapping[type, Refusing]] = {config.Dnsbl: "dnsbl", config.Greylist: "greylist"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a filter that is in use can't answer.

    Attributes:
        blocking: mail is better sent to another pod: it is this one's own program, and its phases fail meanwhile. A
            service that all pods ask would take all of them away, with listeners that have nothing to do with it.
    """

    reason: str
    blocking: bool


@dataclass(frozen=True, kw_only=True)
class FilterInfo:
    """One filter, for people.

    Attributes:
        places: ``listener NAME``, ``domain NAME``, ``relay NAME``.
        trouble: why it can't answer, empty while all is well.
    """

    name: str
    kind: str
    mode: str
    places: tuple[str, ...]
    trouble: str
    load: Load


class Plan:
    """All filters of one configuration, and who uses them.

    Attributes:
        filters: by name; of_domains: the same, as domains use them.
        screens: of listeners, by name; none where nobody is asked.
        sessions: how many use it now. shadows: what is asked without anybody waiting.
    """

    def __init__(
        self, settings: MtaConfig, filters: Mapping[str, Filter], loads: Mapping[str, Load], tools: Tools
    ) -> None:
        self.settings = settings.service.filters
        self.filters = filters
        self.of_domains = {name: each.at_recipients() for name, each in filters.items()}
        self.places = places_of(settings)
        self.loads = loads
        self.sessions = 0
        self.shadows = Shadows()
        self.on_idle: Callable[[], None] = lambda: None
        self._tools = tools
        domains = {
            name: self._chain(domain.filters, settings, of_domain=True)
            for name, domain in settings.domains.items()
            if domain.filters
        }
        self.screens = {
            listener.name: Screen(self, self._chain(listener.filters, settings), domains, tools)
            for listener in settings.service.listeners
            if listener.filters or domains
        }

    def _chain(self, names: tuple[str, ...], settings: MtaConfig, *, of_domain: bool = False) -> Chain:
        flat = open_chains(names, settings.service.filters)
        filters = self.of_domains if of_domain else self.filters
        members = tuple(self._member(filters[name], settings.service.filters[name]) for name in flat)
        bus, monotonic = self._tools.bus, self._tools.monotonic
        return Chain(members, bus.emit, monotonic, hangs_up=not of_domain, shadows=self.shadows)

    def _member(self, asked: Filter, each: config.Filter) -> Member:
        kind = each.kind
        process = isinstance(kind, config.Process)
        return Member(
            filter=asked,
            mode=each.mode,
            on_failure=getattr(kind, "on_failure", "TempFail"),
            sees_credentials=isinstance(kind, config.Process) and kind.see_credentials,
            late=process,
            reason=_REASONS.get(type(kind), "filter"),
            load=self.loads[asked.name],
        )

    def trouble_of(self, name: str) -> str:
        """Why a filter can't answer, or is never asked."""
        return self.filters[name].trouble() or (_UNASKED if self._is_too_early(name) else "")

    def _is_too_early(self, name: str) -> bool:
        """Whether only domains use a filter, and all it minds is what happens before their recipients."""
        places, asked = self.places.get(name, Places()), self.of_domains[name]
        elsewhere = not places.domains or places.listeners or places.relays or asked.judges_content or asked.streams
        return not elsewhere and bool(asked.phases) and asked.phases <= config.BEFORE_RECIPIENTS


class Screen:
    """What the sessions of a listener are asked through.

    Attributes:
        chain: the listener's, perhaps empty. domains: of hosted domains, by name.
        holder: of content that waits. remembering: filters that have to be told when a session ends.
    """

    def __init__(self, plan: Plan, chain: Chain, domains: Mapping[str, Chain], tools: Tools) -> None:
        self._plan = plan
        self.chain, self.domains = chain, domains
        self.holder = tools.holder
        self.monotonic = tools.monotonic
        asked = {member.name: member.filter for each in (chain, *domains.values()) for member in each.members}
        self._remembering = tuple(each for each in asked.values() if not isinstance(each, BuiltinFilter))

    def enter(self) -> None:
        """Count a session in."""
        self._plan.sessions += 1

    def leave(self, session: SessionId) -> None:
        """Count a session out, and let it be forgotten, both once nobody is asked about it any more."""
        self._plan.shadows.end(session, lambda: self._left(session))

    def _left(self, session: SessionId) -> None:
        for each in self._remembering:
            each.forget(session)
        self._plan.sessions -= 1
        if not self._plan.sessions:
            self._plan.on_idle()


class RunningFilters:
    """Starts, keeps and ends filters as configurations come and go."""

    def __init__(self, tools: Tools) -> None:
        """Nothing runs before ``apply``; the tools' tables are those of the plan that was made last."""
        self._tables: Mapping[str, Table] = {}
        self._tools = replace(tools, tables=lambda: self._tables)
        self._plans: list[Plan] = []
        self._loads: dict[str, Load] = {}
        self._starting: dict[int, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def plan(self, settings: MtaConfig, tables: Mapping[str, Table]) -> Plan:
        """Make what a configuration wants; a filter that is wanted as before is the same. Off the event loop.

        Raises:
            ValueError: a filter can't be made; the message names it.
        """
        before = self._plans[-1] if self._plans else None
        self._tables = tables
        kept = _kept(before, settings) if before is not None else {}
        filters = build_filters(settings, self._tools, kept)
        for name in settings.service.filters:
            self._loads.setdefault(name, Load())
        return Plan(settings, filters, self._loads, self._tools)

    async def apply(self, plan: Plan) -> None:
        """Start what is new, all at once, and end what nobody uses any more.

        A filter that isn't ready in time goes on in the background.
        """
        running = self._running()
        plan.on_idle = self._end_unused
        self._plans.append(plan)
        starts = [self._begin(name, each) for name, each in plan.filters.items() if id(each) not in running]
        if starts:
            await asyncio.wait(starts, timeout=START_SECONDS)
        self._end_unused()

    def _begin(self, name: str, each: Filter) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._started(name, each))
        self._starting[id(each)] = task
        task.add_done_callback(lambda _: self._starting.pop(id(each), None))
        return task

    async def _started(self, name: str, each: Filter) -> None:
        try:
            await each.start()
        except Exception as error:  # a fault of ours in one filter must not keep the others from mail
            cause = f"filter {name} can't be started: {type(error).__name__}"
            self._tools.bus.emit(Notice(level="error", event="service.fault", details={"cause": cause}))

    async def _end(self, each: Filter) -> None:
        if (starting := self._starting.get(id(each))) is not None:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        await each.close()

    def _running(self) -> dict[int, Filter]:
        return {id(each): each for plan in self._plans for each in plan.filters.values()}

    def _end_unused(self) -> None:
        if len(self._plans) == 1:  # the usual end of a plan's last session: all that runs is wanted
            return
        before = self._running()
        self._plans = [plan for plan in self._plans[:-1] if plan.sessions] + self._plans[-1:]
        after = self._running()
        for key, each in before.items():
            if key not in after:
                task = asyncio.get_running_loop().create_task(self._end(each))
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)

    def describe(self) -> list[FilterInfo]:
        """All filters of the configuration in force, in its order."""
        plan = self._plans[-1] if self._plans else None
        if plan is None:
            return []
        return [
            FilterInfo(
                name=name,
                kind=type(plan.settings[name].kind).__name__.lower(),
                mode=plan.settings[name].mode,
                places=_spell(plan.places.get(name, Places())),
                trouble=plan.trouble_of(name),
                load=self._loads[name],
            )
            for name, each in plan.filters.items()
        ]

    def troubles(self) -> dict[str, Trouble]:
        """Filters in use that can't answer, and why."""
        plan = self._plans[-1] if self._plans else None
        used = {} if plan is None else {name: each for name, each in plan.filters.items() if name in plan.places}
        return {
            name: Trouble(reason, blocking=bool(each.trouble()) and not each.shared and _fails(plan.settings[name]))
            for name, each in used.items()
            if plan is not None and (reason := plan.trouble_of(name))
        }

    def lost(self) -> int:
        """Reports that programs did not take in time."""
        return sum(each.status().lost for each in self._running().values() if isinstance(each, ProcessFilter))

    async def close(self) -> None:
        """End them all."""
        await asyncio.gather(*(plan.shadows.close() for plan in self._plans))
        running, self._plans = self._running(), []
        await asyncio.gather(*map(self._end, running.values()), *self._ending, return_exceptions=True)


def _kept(before: Plan, settings: MtaConfig) -> dict[str, Filter]:
    """Filters that are wanted as they run; built-in ones are made anew, for their tables are."""
    places = places_of(settings)
    return {
        name: before.filters[name]
        for name, each in settings.service.filters.items()
        if name in before.filters
        and not isinstance(each.kind, config.Builtin)
        and each.kind == before.settings[name].kind
        and places.get(name) == before.places.get(name)
    }


def _fails(each: config.Filter) -> bool:
    """Whether mail is refused while a filter can't answer."""
    return each.mode != "Shadow" and getattr(each.kind, "on_failure", "TempFail") != "Proceed"


def _spell(places: Places) -> tuple[str, ...]:
    kinds = (("listener", places.listeners), ("domain", places.domains), ("relay", places.relays))
    return tuple(f"{kind} {name}" for kind, names in kinds for name in sorted(names))
