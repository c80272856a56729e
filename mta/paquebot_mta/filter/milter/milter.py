"""The filter: a connection for each session, and the phases that a milter may be asked in."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeVar

from paquebot_mta.config.filters import Kind, Milter, Phase
from paquebot_mta.filter.contract import Changes, Content, Facts, FilterError
from paquebot_mta.filter.decisions import PROCEED, Decision
from paquebot_mta.filter.milter.connection import Connection, parse_address
from paquebot_mta.filter.milter.dialogue import Dialogue
from paquebot_mta.filter.milter.wire import MilterError
from paquebot_mta.filter.tools import Places, Tools
from paquebot_mta.filter.watch import WatchedFilter
from paquebot_mta.mail.ids import SessionId

_T = TypeVar("_T")
PHASES: Final[frozenset[Phase]] = frozenset({"connect", "helo", "ehlo", "mail-from", "rcpt-to", "data"})


class MilterFilter(WatchedFilter):
    """Asks a milter; a connection that broke is made anew, and told what the old one knew."""

    kind: Literal["builtin", "proc"] = "proc"
    judges_content = True

    def __init__(self, name: str, config: Milter, tools: Tools) -> None:
        """Connect to nothing yet; raises ValueError if the address is none."""
        super().__init__(name, PHASES, self._greet, tools.bus.emit)
        self._address = parse_address(config.address)
        self._timeout_seconds = config.timeout_seconds
        self._hostname = tools.hostname
        self._wall_clock = tools.wall_clock
        self.shared = not isinstance(self._address, str)
        self._sessions: dict[SessionId, _Session] = {}

    async def decide(self, phase: Phase, facts: Facts, parameter: str) -> Decision:
        """Tell one step."""
        return await self._do(facts, lambda dialogue: _step(dialogue, phase, facts, parameter))

    async def judge(self, facts: Facts, content: Content) -> tuple[Decision, Changes]:
        """Tell the message."""
        return await self._do(facts, lambda dialogue: dialogue.message(facts, content))

    def forget(self, session: SessionId) -> None:
        """Say good-bye."""
        if (found := self._sessions.pop(session, None)) is not None:
            found.leave()

    async def close(self) -> None:
        """Say good-bye for all."""
        for session in tuple(self._sessions):
            self.forget(session)
        await super().close()

    async def _greet(self) -> None:
        """Find out whether it is there, and speaks the protocol."""
        try:
            connection = await Connection.connect(self._address, self._timeout_seconds)
        except MilterError as error:
            raise FilterError(str(error), "protocol") from error
        connection.close()

    async def _do(self, facts: Facts, work: Callable[[Dialogue], Awaitable[_T]]) -> _T:
        """Do one thing of a session after another; whatever goes wrong, its connection is dropped."""
        session = self._sessions.setdefault(facts.session, _Session())
        async with session.lock:
            try:
                dialogue = session.dialogue or await self._opened(facts)
                session.dialogue = dialogue
                found = await work(dialogue)
            except BaseException as error:
                session.drop()
                self._watch.doubt()
                match error:
                    case TimeoutError():
                        raise FilterError("no answer in time", "timeout") from error
                    case MilterError():
                        raise FilterError(str(error), "protocol") from error
                    case OSError():
                        raise FilterError(f"{type(error).__name__}: {error.strerror}", "crash") from error
                raise
            self._watch.heard()
            if session.left:
                session.drop()
            return found

    async def _opened(self, facts: Facts) -> Dialogue:
        connection = await Connection.connect(self._address, self._timeout_seconds)
        return Dialogue(connection, facts.hostname or self._hostname, self._wall_clock)


class _Session:
    """What is kept of a session; ``left``: it has ended."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.dialogue: Dialogue | None = None
        self.left = False

    def leave(self) -> None:
        self.left = True
        if self.dialogue is not None:
            self.dialogue.connection.close()

    def drop(self) -> None:
        dialogue, self.dialogue = self.dialogue, None
        if dialogue is not None:
            dialogue.connection.abort()


async def _step(dialogue: Dialogue, phase: Phase, facts: Facts, parameter: str) -> Decision:
    match phase:
        case "connect":
            return await dialogue.connect(facts)
        case "helo" | "ehlo":
            return await dialogue.helo(facts, parameter)
        case "mail-from":
            return await dialogue.mail(facts, parameter)
        case "rcpt-to":
            return await dialogue.recipient(facts, parameter)
        case "data":
            return await dialogue.data(facts)
    return PROCEED


def build_milter(name: str, kind: Kind, places: Places, tools: Tools) -> MilterFilter:
    """Make one (implements ``Maker``)."""
    assert isinstance(kind, Milter)
    return MilterFilter(name, kind, tools)
