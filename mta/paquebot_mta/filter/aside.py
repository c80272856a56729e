"""A message before a filter in mode Shadow: nobody waits for it, and what it makes of the message is forgotten."""

from collections.abc import Callable

from paquebot_mta.config.filters import Phase
from paquebot_mta.filter.chain import Chain, Member
from paquebot_mta.filter.contract import Facts, FilterError
from paquebot_mta.filter.decisions import PROCEED, Decision
from paquebot_mta.filter.letter import Letter
from paquebot_mta.filter.passing import Nowhere, Stream, judge_letter


class Aside:
    """One message and one filter.

    Attributes:
        phase: of which its answer is.
    """

    def __init__(
        self, chain: Chain, member: Member, letter: Letter, limit: int, monotonic: Callable[[], float]
    ) -> None:
        """Take what is to be shown; ``limit``: bytes that the filter may make of it."""
        self._chain, self._member, self._letter = chain, member, letter
        self._limit = limit
        self._monotonic = monotonic
        self.phase: Phase = "data-line" if member.filter.streams else "commit"

    async def show(self, facts: Facts) -> None:
        """Show it, and tell how the filter decides. Never raises."""
        began = self._monotonic()
        try:
            decision = await self._ask(facts)
        except Exception as error:
            self._chain.fail(self._member, self.phase, facts, error)
        else:
            self._chain.conclude(self._member, self.phase, facts, decision, self._monotonic() - began)

    async def _ask(self, facts: Facts) -> Decision:
        if self._member.filter.streams:
            await self._stream(facts)
        if not self._member.filter.judges_content:
            return PROCEED
        decision, _, _ = await judge_letter(self._member, facts, self._letter, self._limit)
        return decision

    async def _stream(self, facts: Facts) -> None:
        stream = Stream(self._member, facts, Nowhere(), self._limit)
        try:
            async for chunk in self._letter.chunks():
                stream.write(chunk)
                await stream.drain()
                self._check(facts)
            await stream.finish()
        except BaseException:
            stream.abort()
            raise

    def _check(self, facts: Facts) -> None:
        """Give up where a session is over: a program that was told so knows no lines of it any more."""
        if self._chain.shadows.is_over(facts.session):
            raise FilterError("the session was over before it had the message", "timeout")
