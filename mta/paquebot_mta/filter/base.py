"""What most filters have in common: nothing to start, nothing to forget, no trouble, every phase proceeds."""

from typing import Literal

from paquebot_mta.config.filters import Phase
from paquebot_mta.filter.contract import NO_CHANGES, Changes, Content, Facts, Filter, FilterError, LineFilter
from paquebot_mta.filter.decisions import PROCEED, Decision
from paquebot_mta.mail.ids import SessionId


class BaseFilter:
    """A filter that minds nothing; what it minds, a subclass says (implements ``Filter``)."""

    kind: Literal["builtin", "proc"] = "builtin"
    judges_content = False
    streams = False
    shared = False

    def __init__(self, name: str, phases: frozenset[Phase] = frozenset()) -> None:
        """Take the name from the configuration, and where it is asked."""
        self.name = name
        self.phases = phases

    async def decide(self, phase: Phase, facts: Facts, parameter: str) -> Decision:
        """Go on."""
        return PROCEED

    async def judge(self, facts: Facts, content: Content) -> tuple[Decision, Changes]:
        """Go on."""
        return PROCEED, NO_CHANGES

    def open_lines(self, facts: Facts) -> LineFilter:
        """Refuse: whoever says that it streams has one of its own."""
        raise FilterError(f"{self.name} has no stream of lines", "protocol")

    def at_recipients(self) -> Filter:
        """Give itself."""
        return self

    def forget(self, session: SessionId) -> None:
        """Nothing is remembered."""

    def trouble(self) -> str:
        """None, ever."""
        return ""

    async def start(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""
