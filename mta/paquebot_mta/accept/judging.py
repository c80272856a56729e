"""What filters say about a message: at DATA, and when it is there. One part's refusal is no other part's.

A reply is for all recipients, but with LMTP. So what a domain's filters refuse for good, while other recipients get
the message, is junk for theirs: a notification would go to whoever the sender pretends to be (RFC 5321, 6.2).
"""

from paquebot_mta.accept import answers
from paquebot_mta.accept.filtered import ContentScreen
from paquebot_mta.accept.parts import Part, facts_about
from paquebot_mta.accept.screening import Screening
from paquebot_mta.accept.transaction import TransactionSession
from paquebot_mta.filter.chain import GO_ON, Verdict
from paquebot_mta.filter.decisions import JUNK, Junk, Reject
from paquebot_mta.filter.hold import HoldError
from paquebot_mta.spool.store import SpoolError
from paquebot_mta.telemetry.events import Attempt, Notice


class JudgingSession(TransactionSession):
    """The content before its filters."""

    async def screen_data(self) -> Verdict:
        """Ask before the content comes: the listener's filters, then those of each part."""
        if self.screening is None:
            return GO_ON
        found = self.screening.ask_at_once("data")
        verdict = found if isinstance(found, Verdict) else await found
        if verdict.refusal is not None:
            return verdict
        return await self._ask_parts(self.screening, late=False) if self.screening.screen.domains else GO_ON

    async def screen_message(self) -> Verdict:
        """Ask once it came, and write what is left of it into the drafts."""
        screening, filtered = self.screening, self.envelope.filtered
        if screening is None:
            return GO_ON
        if filtered is None and not screening.screen.domains:
            found = screening.ask_at_once("commit")
            return found if isinstance(found, Verdict) else await found
        try:
            verdict = await self._judge(screening, filtered)
            if verdict.refusal is None:
                verdict = await self._ask_parts(screening, late=True)
            if verdict.refusal is None and filtered is not None:
                junk = screening.junk_session or screening.junk
                await filtered.write_out(self._wanted(), junk=junk)
        except (HoldError, SpoolError) as error:
            reply = error.reply if isinstance(error, SpoolError) else answers.NO_ROOM
            details: dict[str, str | int | float | bool] = {"session": self.session.id, "error": str(error)}
            self._emit(Notice(level="error", event="queue.fault", details=details))
            return Verdict(Reject(reply), failed=True)
        return verdict

    def _wanted(self) -> tuple[Part, ...]:
        return tuple(part for part in self.envelope.parts.values() if part.refusal is None)

    async def _judge(self, screening: Screening, filtered: ContentScreen | None) -> Verdict:
        """The listener's filters: content first, then phase commit."""
        if filtered is not None:
            judged = await filtered.judge()
            screening.junk = screening.junk or judged.junk
            if judged.verdict.refusal is not None:
                screening.screen.chain.report("commit", screening.facts, judged.verdict)
                return judged.verdict
            if judged.changes:
                await self.call("CHANGES", judged.changes, None)
        return await screening.ask("commit")

    async def _ask_parts(self, screening: Screening, *, late: bool) -> Verdict:
        """Ask the filters of each part's domain; their refusal is the message's only if nobody is left.

        ``late``: the content is there, and they are given it.
        """
        parts, refusals = self.envelope.parts.values(), list[Verdict]()
        for part in parts:
            if part.chain is None or part.refusal is not None:
                continue
            verdict = await (self._judge_part(screening, part) if late else self._ask_part(screening, part))
            if isinstance(verdict.decision, Junk):
                part.junk = True
            if verdict.refusal is not None:
                part.refusal = verdict.refusal
                refusals.append(verdict)
        if refusals and not self._wanted():
            return refusals[0]
        return GO_ON if self.policy.lmtp else self._spare(refusals)

    def _spare(self, refusals: list[Verdict]) -> Verdict:
        """Without a reply of its own, a part that is refused for now is so with all; for good, it is junk."""
        for_now = next((each for each in refusals if each.refusal is not None and each.refusal.transient), None)
        if for_now is not None:
            return Verdict(Reject(answers.FILTER_FAULT), for_now.filter, failed=for_now.failed)
        for part in self.envelope.parts.values():
            if part.refusal is not None:
                part.refusal, part.junk = None, True
        return GO_ON

    async def _ask_part(self, screening: Screening, part: Part) -> Verdict:
        assert part.chain is not None
        if not part.chain.asks("data"):
            return GO_ON
        return await part.chain.decide("data", facts_about(screening.facts, part))

    async def _judge_part(self, screening: Screening, part: Part) -> Verdict:
        assert part.chain is not None
        facts, junk = facts_about(screening.facts, part), False
        if self.envelope.filtered is not None:
            judged = await self.envelope.filtered.judge_part(part)
            if judged.verdict.refusal is not None:
                part.chain.report("commit", facts, judged.verdict)
                return judged.verdict
            junk = judged.junk
            if judged.changes:
                await self.call("CHANGES", judged.changes, part)
        verdict = await part.chain.decide("commit", facts) if part.chain.asks("commit") else GO_ON
        return Verdict(JUNK) if junk and verdict.refusal is None else verdict


def refused_by(verdict: Verdict) -> Attempt:
    """Say how a transaction ended that filters refused."""
    if verdict.failed:
        return Attempt(direction="in", outcome="fault", fault="filter")
    return Attempt(direction="in", outcome="policy_rejected")
