"""A filter that is a program (smtpd-filters(7)).

Whatever it does, those who wait for it are told within its deadline, and nobody else is harmed.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from paquebot_mta.config.filters import Kind, Phase, Process
from paquebot_mta.filter.base import BaseFilter
from paquebot_mta.filter.contract import Facts, FilterError, LineFilter
from paquebot_mta.filter.decisions import Decision
from paquebot_mta.filter.process.connect import ChildWay, SocketWay, Way
from paquebot_mta.filter.process.hearing import Hearing
from paquebot_mta.filter.process.keeper import Keeper, Line
from paquebot_mta.filter.process.registration import Introduction
from paquebot_mta.filter.process.stream import ProcessLines
from paquebot_mta.filter.tools import Places, Tools
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.telemetry.bus import Handler

UNREGISTERED_PHASES: Final[frozenset[Phase]] = frozenset({"mail-from", "rcpt-to"})
"""Where a filter that never registered is asked, and fails: no mail passes it by, and clients come again. A domain's
filter is asked about nothing before its first recipient."""
START_SECONDS: Final = 3.0
"""How long ``start`` waits for the first registration; then it goes on in the background: a bridge may come up late."""


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """How a process filter is.

    Attributes:
        up: whether it runs and has registered. waiting: questions and streams open. restarts: how often it ended.
        sessions: that it knows. lost: reports that it didn't take in time. late: answers that came too late, or never.
    """

    up: bool
    waiting: int
    restarts: int
    sessions: int
    lost: int
    late: int


class ProcessFilter(BaseFilter):
    """One program for all sessions; see ``Filter``."""

    kind: Literal["builtin", "proc"] = "proc"

    def __init__(self, name: str, settings: Process, places: Places, tools: Tools) -> None:
        super().__init__(name, UNREGISTERED_PHASES)
        self._settings = settings
        self._places = places
        self._tools = tools
        self._way = _way(settings)
        self._keeper: Keeper | None = None
        self._hearing: Hearing | None = None
        self._settled = asyncio.Event()
        self._current: Line | None = None
        self._lost = self._late = 0

    # What the chain calls.

    async def decide(self, phase: Phase, facts: Facts, parameter: str) -> Decision:
        """Ask the program; raises FilterError."""
        line, hearing = self._line()
        hearing.introduce(facts)
        if phase == "auth" and not self._settings.see_credentials:
            parameter = parameter.split(" ", 1)[0]
        return await line.questions.ask(phase, facts.session, parameter, self._tools.wall_clock())

    def open_lines(self, facts: Facts) -> LineFilter:
        """Begin a stream; raises FilterError."""
        line, hearing = self._line()
        hearing.introduce(facts)
        return ProcessLines(line.questions, facts.session, self._settings.timeout_seconds, self._tools.wall_clock)

    def forget(self, session: SessionId) -> None:
        """The session ended."""
        if self._current is not None:
            self._current.questions.forget(session)
        if self._hearing is not None:
            self._hearing.forget((session,))

    # Its life.

    async def start(self) -> None:
        """Start the program, and wait a moment for it."""
        self._keeper = Keeper(
            self.name,
            self._way,
            self._introduction(),
            self._settings.timeout_seconds,
            self._tools.bus.emit,
            self._changed,
        )
        self._tools.bus.subscribe(self)
        self._keeper.start()
        try:
            await asyncio.wait_for(self._settled.wait(), START_SECONDS)
        except TimeoutError:
            return

    async def close(self) -> None:
        """End the program."""
        self._tools.bus.unsubscribe(self)
        if self._keeper is not None:
            await self._keeper.close()

    def trouble(self) -> str:
        """Say why it can't answer now."""
        if self._keeper is None:
            return "it isn't started"
        if self._current is not None and self._current.channel.ended:
            return "it is being started again"
        return "" if self._current is not None else self._keeper.trouble

    def status(self) -> ProcessStatus:
        """Say how it is, in numbers."""
        line = self._current
        return ProcessStatus(
            up=line is not None,
            waiting=len(line.questions) if line is not None else 0,
            restarts=self._keeper.restarts if self._keeper is not None else 0,
            sessions=len(self._hearing) if self._hearing is not None else 0,
            lost=self._lost + (self._hearing.lost if self._hearing is not None else 0),
            late=self._late + (line.questions.late if line is not None else 0),
        )

    # What the bus calls.

    def handler_of(self, kind: type) -> Handler | None:
        """Choose what takes the events of a class, None if the program doesn't want them."""
        return self._hearing.handler_of(kind) if self._hearing is not None else None

    def _line(self) -> tuple[Line, Hearing]:
        line = self._current
        if line is None or self._hearing is None:
            raise FilterError(self.trouble() or "it isn't there")
        return line, self._hearing

    def _changed(self) -> None:
        """The program began, or ended; what it wants counts from now on."""
        if self._current is not None and self._hearing is not None:
            self._lost += self._hearing.lost
            self._late += self._current.questions.late
        self._current = line = self._keeper.line if self._keeper is not None else None
        self._hearing = None
        if line is not None:
            self._hearing = Hearing(line, self._places, self._settings.protocol, self._tools.wall_clock)
            self.phases = line.registration.phases - {"data-line"}
            self.streams = "data-line" in line.registration.phases
        if line is not None or (self._keeper is not None and self._keeper.restarts and self._settings.command):
            self._settled.set()
        self._tools.bus.choose_again()

    def _introduction(self) -> Introduction:
        places = self._places
        return Introduction(
            version=self._settings.protocol,
            incoming=bool(places.listeners or places.domains),
            outgoing=bool(places.relays),
            admd=self._tools.hostname or "localhost",
        )


def build_process(name: str, kind: Kind, places: Places, tools: Tools) -> ProcessFilter:
    """Make a filter of its configuration; nothing is started.

    Raises:
        ValueError: it has neither a program nor a socket, or this pod was made without a container for it.
    """
    assert isinstance(kind, Process)
    return ProcessFilter(name, kind, places, tools)


def _way(settings: Process) -> Way:
    if settings.socket:
        # Mail would wait for what never comes: a pod that is older than the filter keeps the configuration it has.
        if not Path(settings.socket).parent.is_dir():
            raise ValueError("this pod is older than the filter and has no container for it: wait for its successor")
        return SocketWay(settings.socket)
    if not settings.command:
        raise ValueError("neither command nor socket is set")
    return ChildWay(settings.command)
