"""Filters in order: the first decision that isn't "go on" ends a phase; faults become what ``on_failure`` says.

Tells the bus what was said and decided, and how long it took. Knows no session beyond its facts.
"""

from asyncio import Task
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Final, Literal

from paquebot_mta.config.check_filters import PHASES
from paquebot_mta.config.filters import OnFailure, Phase
from paquebot_mta.filter.builtin import BuiltinFilter
from paquebot_mta.filter.contract import Facts, Failing, Filter, FilterError
from paquebot_mta.filter.decisions import (
    JUNK,
    PROCEED,
    Bypass,
    Decision,
    Disconnect,
    Junk,
    Proceed,
    Reject,
    Rewrite,
    Say,
    staying,
)
from paquebot_mta.filter.shadows import Shadows
from paquebot_mta.filter.together import MayMind, may_mind
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.bus import Emit
from paquebot_mta.telemetry.events import FilterReport, FilterResponse
from paquebot_mta.telemetry.filter_events import FilterAnswer, FilterFault

Mode = Literal["Enforce", "Shadow", "Junk"]
_Question = Coroutine[Any, Any, object]
Final_ = Proceed | Junk | Rewrite | Reject | Disconnect
"""What a phase may end with."""

TEMPORARY_FAILURE: Final = Reply(451, "Temporary failure, try again later", "4.7.1")
FAILED: Final = Reply(550, "Message can't be checked", "5.7.1")
_REPORTED: Final = {"connect": "connected", "starttls": "tls"}
NAMES: Final[dict[type, str]] = {
    Proceed: "proceed",
    Junk: "junk",
    Rewrite: "rewrite",
    Reject: "reject",
    Disconnect: "disconnect",
    Bypass: "bypass",
    Say: "report",
}
"""How decisions are called in reports and metrics."""


Refusing = Literal["filter", "dnsbl", "greylist"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a phase ended.

    Attributes:
        filter: name of the filter that decided; failed: by being out of order.
        reason: what metrics call a refusal.
    """

    decision: Final_
    filter: str = ""
    failed: bool = False
    reason: Refusing = "filter"

    @property
    def refusal(self) -> Reply | None:
        """What the client is told, if it is refused."""
        # A union of types would be made anew each time, and each command of a filtered session asks some times.
        decision = self.decision
        return None if decision is PROCEED else decision.reply if isinstance(decision, (Reject, Disconnect)) else None


GO_ON: Final = Verdict(PROCEED)


@dataclass(slots=True)
class Load:
    """What a filter has to do: questions that wait (each is asked ``with`` this), and what became of those before."""

    waiting: int = 0
    answered: int = 0
    failed: int = 0

    def __enter__(self) -> None:
        """Count a question in."""
        self.waiting += 1

    def __exit__(self, *_: object) -> None:
        """Count it out, whatever became of it."""
        self.waiting -= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A filter in a chain.

    Attributes:
        sees_credentials: whether it is given what follows the mechanism in AUTH.
        late: its phases are known only once it runs.
        reason: what metrics call its refusals. load: what it has to do, in all chains.
    """

    filter: Filter
    mode: Mode = "Enforce"
    on_failure: OnFailure = "TempFail"
    sees_credentials: bool = False
    late: bool = False
    reason: Refusing = "filter"
    load: Load = field(default_factory=Load)

    @property
    def name(self) -> str:
        """The filter's."""
        return self.filter.name

    @property
    def sees_content(self) -> bool:
        """Whether it is given messages."""
        return self.filter.judges_content or self.filter.streams


class Chain:
    """Asks its members in order.

    Attributes:
        members: in order. shadows: see below.

    Args:
        hangs_up: whether they may end sessions; a domain's may not, for a session is not only theirs.
        shadows: asks those in mode Shadow, for whom nobody waits.
    """

    def __init__(
        self,
        members: tuple[Member, ...],
        emit: Emit,
        monotonic: Callable[[], float],
        *,
        hangs_up: bool = True,
        shadows: Shadows | None = None,
    ) -> None:
        """Sort the members by phase, once."""
        self.members = members
        self.shadows = shadows or Shadows()
        self._emit = emit
        self._monotonic = monotonic
        self._hangs_up = hangs_up
        self._by_phase: dict[Phase, tuple[_Run, ...]] = {
            phase: _runs_of([each for each in members if each.late or phase in each.filter.phases], phase)
            for phase in PHASES
        }
        self._usual = {phase: (_usual_of(runs), _REPORTED.get(phase, phase)) for phase, runs in self._by_phase.items()}
        self._others = tuple(each for each in members if not isinstance(each.filter, BuiltinFilter))
        self._junks_at_commit = any(each.mode == "Junk" for run in self._by_phase["commit"] for each in run.members)

    @property
    def holds_content(self) -> bool:
        """Whether content has to wait: members are given it, or a refusal in phase commit may become junk."""
        return self._junks_at_commit or (self._others != () and any(each.sees_content for each in self._others))

    def asks(self, phase: Phase) -> bool:
        """Whether anybody is asked in a phase."""
        return bool(self._by_phase[phase])

    async def decide(self, phase: Phase, facts: Facts, parameter: str = "") -> Verdict:
        """Ask all members that mind the phase, and report how it ended."""
        found = self.decide_at_once(phase, facts, parameter)
        return found if isinstance(found, Verdict) else await found

    def decide_at_once(self, phase: Phase, facts: Facts, parameter: str = "") -> Verdict | Awaitable[Verdict]:
        """As ``decide``, but the verdict itself if nobody minds, as in most phases of most sessions."""
        may_mind, reported = self._usual[phase]
        if may_mind is not None and may_mind(facts, parameter):
            return self._decide(phase, facts, parameter)
        self._proceeded(reported, facts)
        return GO_ON

    async def _decide(self, phase: Phase, facts: Facts, parameter: str) -> Verdict:
        verdict, runs = GO_ON, self._by_phase[phase]
        for member in (each for run in runs if run.may_mind(facts, parameter) for each in run.members):
            shown = _masked(member, parameter) if phase == "auth" else parameter
            asked = member.filter
            if member.mode == "Shadow" and not _at_once(asked):
                if isinstance(asked, BuiltinFilter) or phase in asked.phases:
                    self._ask_aside(member, phase, facts, shown)
                continue
            if isinstance(asked, BuiltinFilter):
                ending = await self._ask_builtin(member, asked, phase, facts, shown)
            elif phase in asked.phases:
                ending = await self._ask(member, phase, facts, shown)
            else:
                continue
            if ending is not None:
                verdict = ending
                break
        self.report(phase, facts, verdict)
        return verdict

    async def _ask_builtin(
        self, member: Member, asked: BuiltinFilter, phase: Phase, facts: Facts, parameter: str
    ) -> Verdict | None:
        """Most of them say at once that it is none of their business: no event then."""
        try:
            holds = await asked.holds(facts, parameter)
        except Exception as error:
            return self._failed(member, phase, facts, _fault_of(error))
        return self.conclude(member, phase, facts, asked.decision, 0.0) if holds else None

    def _ask_aside(self, member: Member, phase: Phase, facts: Facts, parameter: str) -> None:
        self.aside(member, phase, facts, lambda known: self._ask(member, phase, known, parameter))

    def aside(
        self, member: Member, phase: Phase, facts: Facts, ask: Callable[[Facts], _Question], content_bytes: int = 0
    ) -> Task[object] | None:
        """Ask a member that only shadows, and let nobody wait for it; it has the facts as they are now."""
        known = replace(facts, recipients=list(facts.recipients))
        task = self.shadows.begin(facts.session, ask(known), content_bytes)
        if task is None:
            self._failed(member, phase, facts, FilterError("not asked: too many questions of shadows wait", "timeout"))
        return task

    async def _ask(self, member: Member, phase: Phase, facts: Facts, parameter: str) -> Verdict | None:
        if isinstance(member.filter, BuiltinFilter):
            return await self._ask_builtin(member, member.filter, phase, facts, parameter)
        began = self._monotonic()
        try:
            with member.load:
                decision = await member.filter.decide(phase, facts, parameter)
        except Exception as error:  # whatever is wrong with a filter, the session goes on
            return self._failed(member, phase, facts, _fault_of(error))
        if phase == "commit" and isinstance(decision, Junk | Bypass):
            late = FilterError("junk and bypass come too late in phase commit", "protocol")
            return self._failed(member, phase, facts, late)
        return self.conclude(member, phase, facts, decision, self._monotonic() - began)

    def conclude(
        self, member: Member, phase: Phase, facts: Facts, decision: Decision, duration_seconds: float
    ) -> Verdict | None:
        """Apply a member's mode to its decision, and tell; None goes on with the next one."""
        shadow = member.mode == "Shadow"
        member.load.answered += 1
        self._emit(
            FilterAnswer(
                filter=member.name,
                phase=phase,
                response=NAMES[type(decision)],
                shadow=shadow,
                session=facts.session,
                builtin=member.filter.kind == "builtin",
                duration_seconds=duration_seconds,
            )
        )
        if isinstance(decision, Say):
            self._say(member, facts, decision)
        if shadow or decision is PROCEED or isinstance(decision, Say | Proceed):
            return None
        if isinstance(decision, Bypass):
            return Verdict(PROCEED, member.name)
        if member.mode == "Junk" and isinstance(decision, Reject | Disconnect):
            return Verdict(JUNK, member.name)
        if isinstance(decision, Reject | Disconnect):
            decision = self._refused(decision)
        return Verdict(decision, member.name, reason=member.reason)

    def _refused(self, refusal: Reject | Disconnect) -> Reject | Disconnect:
        """Hang up or not: whoever says 421 does (RFC 5321, 3.8), if this chain may."""
        if not self._hangs_up:
            return staying(refusal)
        return Disconnect(refusal.reply) if refusal.reply.code == 421 else refusal

    def _say(self, member: Member, facts: Facts, said: Say) -> None:
        self._emit(
            FilterReport(
                direction="in",
                session=facts.session,
                endpoint=facts.endpoint,
                kind=member.filter.kind,
                filter=member.name,
                message=said.message,
            )
        )

    def fail(self, member: Member, phase: Phase, facts: Facts, error: Exception) -> Verdict | None:
        """Tell that a member is out of order, and give what that means; None goes on without it."""
        return self._failed(member, phase, facts, _fault_of(error))

    def _failed(self, member: Member, phase: Phase, facts: Facts, error: FilterError) -> Verdict | None:
        member.load.failed += 1
        self._emit(
            FilterFault(
                filter=member.name, phase=phase, reason=error.reason, session=facts.session, cause=str(error)[:200]
            )
        )
        if member.mode == "Shadow" or member.on_failure == "Proceed":
            return None
        reply = FAILED if member.on_failure == "Reject" else TEMPORARY_FAILURE
        return Verdict(Reject(reply), member.name, failed=True)

    def report(self, phase: Phase, facts: Facts, verdict: Verdict) -> None:
        """Tell how a phase ended."""
        decision = verdict.decision
        if verdict is GO_ON:
            self._proceeded(_REPORTED.get(phase, phase), facts)
            return
        if isinstance(decision, Reject | Disconnect):
            parameter: str | None = str(decision.reply)
        else:
            parameter = decision.parameter if isinstance(decision, Rewrite) else None
        self._emit(
            FilterResponse(
                direction="in",
                session=facts.session,
                endpoint=facts.endpoint,
                phase=_REPORTED.get(phase, phase),
                response=NAMES[type(decision)],
                parameter=parameter,
                filter=verdict.filter,
            )
        )

    def _proceeded(self, reported: str, facts: Facts) -> None:
        self._emit(
            FilterResponse(
                direction="in", session=facts.session, endpoint=facts.endpoint, phase=reported, response="proceed"
            )
        )


def _always(_facts: Facts, _parameter: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class _Run:
    """Members that follow one another in a phase.

    Attributes:
        may_mind: whether any of them may have something to say.
    """

    members: tuple[Member, ...]
    may_mind: MayMind = _always


def _runs_of(members: list[Member], phase: Phase) -> tuple[_Run, ...]:
    """Divide a phase's members into those that are tested together; of AUTH each is shown something else."""
    runs = []
    for builtin, group in groupby(members, lambda each: phase != "auth" and _at_once(each.filter)):
        found = tuple(group)
        if builtin:
            runs.append(
                _Run(found, may_mind([each.filter for each in found if isinstance(each.filter, BuiltinFilter)]))
            )
        else:
            runs += [_Run((each,), _asks(each.filter, phase) if each.late else _always) for each in found]
    return tuple(runs)


def _usual_of(runs: tuple[_Run, ...]) -> MayMind | None:
    """One test for all runs of a phase: most phases have one run, or none, where nothing is to be tested."""
    if len(runs) <= 1:
        return runs[0].may_mind if runs else None
    return lambda facts, parameter: any(run.may_mind(facts, parameter) for run in runs)


def _at_once(asked: Filter) -> bool:
    return isinstance(asked, BuiltinFilter) and asked.at_once


def _asks(asked: Filter, phase: Phase) -> MayMind:
    """A program says late, and anew after each start, in which phases it wants to be asked."""
    return lambda _facts, _parameter: phase in asked.phases


def _masked(member: Member, parameter: str) -> str:
    """Hide credentials: of AUTH a filter sees the mechanism, unless it was allowed to see more."""
    return parameter if member.sees_credentials else parameter.partition(" ")[0]


def _fault_of(error: Exception) -> FilterError:
    """A fault of ours, or of a table, is the filter's."""
    if isinstance(error, FilterError):
        return error
    reason: Failing = "timeout" if isinstance(error, TimeoutError) else "crash"
    return FilterError(type(error).__name__, reason)
