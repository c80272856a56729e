"""Built-in filters: a condition and an action in one phase, compiled once."""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from paquebot_mta.config.filters import BEFORE_RECIPIENTS, Builtin, FilterAction, Kind, Phase
from paquebot_mta.filter.base import BaseFilter
from paquebot_mta.filter.contract import Facts, Filter, FilterError
from paquebot_mta.filter.criteria import Test, answers_at_once, compile_criterion, needed_by
from paquebot_mta.filter.decisions import BYPASS, JUNK, PROCEED, Decision, Disconnect, Reject, Rewrite, Say
from paquebot_mta.filter.tools import Places, Tools
from paquebot_mta.mail.reply import Reply
from paquebot_mta.table.lookup import TableError

_PATHS: Final = frozenset({"mail-from", "rcpt-to"})
_HAPPENED: Final[Mapping[Phase, Callable[[Facts], bool]]] = {
    "helo": lambda facts: facts.method == "HELO",
    "ehlo": lambda facts: facts.method != "HELO",
    "starttls": lambda facts: facts.tls != "",
    "auth": lambda facts: facts.user != "",
}
"""Whether a session went through a phase, for those that not every session has before its recipients."""


class BuiltinFilter(BaseFilter):
    """Decides at once, unless its table has to be asked elsewhere.

    Attributes:
        at_once: whether ``test`` never gives an awaitable. needed: what it can't hold without.
    """

    def __init__(self, name: str, config: Builtin, tools: Tools) -> None:
        """Compile the condition; raises ValueError if it can't be."""
        super().__init__(name, frozenset({config.phase}))
        self._config, self._tools = config, tools
        self.test = compile_criterion(config.when, config.phase, tools.tables())
        self.at_once = answers_at_once(config.when, tools.tables())
        self.needed = needed_by(config.when, config.phase)
        self.decision = decision_of(config.action, config.phase)

    def at_recipients(self) -> Filter:
        """Give one that tests at a recipient what this tests before; rewriting what was said before comes too late."""
        phase = self._config.phase
        if phase not in BEFORE_RECIPIENTS or isinstance(self.decision, Rewrite):
            return self
        found = BuiltinFilter(self.name, replace(self._config, phase="rcpt-to"), self._tools)
        if (happened := _HAPPENED.get(phase)) is not None:
            found.test = _if(happened, found.test)
        return found

    async def decide(self, phase: Phase, facts: Facts, parameter: str) -> Decision:
        """Do what is to be done if the condition holds."""
        return self.decision if await self.holds(facts, parameter) else PROCEED

    async def holds(self, facts: Facts, parameter: str) -> bool:
        """Whether the condition holds.

        Raises:
            FilterError: a table gave no answer.
        """
        try:
            found = self.test(facts, parameter)
            return found if isinstance(found, bool) else await found
        except TableError as error:
            raise FilterError(str(error), "table") from error


def _if(happened: Callable[[Facts], bool], test: Test) -> Test:
    return lambda facts, parameter: happened(facts) and test(facts, parameter)


def build_builtin(name: str, kind: Kind, places: Places, tools: Tools) -> BuiltinFilter:
    """Make one (implements ``Maker``)."""
    assert isinstance(kind, Builtin)
    return BuiltinFilter(name, kind, tools)


def decision_of(action: FilterAction, phase: Phase) -> Decision:
    """Make the decision of an action; an address to rewrite to may stand without its brackets."""
    match action.kind:
        case "junk":
            return JUNK
        case "bypass":
            return BYPASS
        case "rewrite":
            bare = phase in _PATHS and not action.value.startswith("<")
            return Rewrite(f"<{action.value}>" if bare else action.value)
        case "reject":
            return Reject(Reply(action.code, action.text, action.status))
        case "disconnect":
            return Disconnect(Reply(action.code, action.text, action.status))
        case "report":
            return Say(action.text)
    return PROCEED
