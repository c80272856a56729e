"""A reputation from 0 to 100, as Sender Score gives it: blocks, marks, slows down, or is only written down."""

import asyncio
from collections.abc import Awaitable, Callable
from copy import copy
from typing import Final, Self, get_args

from paquebot_mta.config.filters import Kind, Phase, SenderScore
from paquebot_mta.filter.base import BaseFilter
from paquebot_mta.filter.contract import NO_CHANGES, Changes, Content, Facts
from paquebot_mta.filter.decisions import JUNK, PROCEED, Decision, Disconnect
from paquebot_mta.filter.dns_lists.names import client_of, list_name, listing_addresses
from paquebot_mta.filter.fields import encode_field
from paquebot_mta.filter.tools import Places, Tools
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.mail.reply import Reply

BEST: Final = 100
_SLOWED: Final[frozenset[Phase]] = frozenset(get_args(Phase)) - {"data-line", "rset", "noop"}
_OWN_NAMES: Final = "127.0.4."
"""A score N is the answer 127.0.4.N."""


class SenderScoreFilter(BaseFilter):
    """Asks once a session, at its first phase; without a score, or without an answer, it minds nothing.

    Args:
        sleep: waits so many seconds, for the delays.
    """

    def __init__(
        self,
        name: str,
        config: SenderScore,
        tools: Tools,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Find out which phases matter."""
        self._block_phase = config.block_phase
        self._junk_phase: Phase = "connect"  # where the session begins, so that all its messages are marked
        self._config = config
        super().__init__(name, self._wanted(config))
        self.judges_content = config.header
        self._resolver = tools.resolver
        self._sleep = sleep
        self._scores: dict[SessionId, asyncio.Task[int | None]] = {}

    def at_recipients(self) -> Self:
        """Give one that blocks and marks at a recipient; both ask once a session, together."""
        found = copy(self)
        found._block_phase = found._junk_phase = "rcpt-to"
        found.phases = found._wanted(self._config)
        return found

    async def decide(self, phase: Phase, facts: Facts, parameter: str) -> Decision:
        """Wait, block or mark."""
        score = await self._score(facts)
        if score is None or facts.user:
            return PROCEED
        if self._config.slow_factor_seconds > 0 and score < BEST:
            await self._sleep(self._config.slow_factor_seconds * (BEST - score) / BEST)
        if score < self._config.block_below and phase == self._block_phase:
            return Disconnect(_refusal(facts.client_address))
        return JUNK if score < self._config.junk_below and phase == self._junk_phase else PROCEED

    async def judge(self, facts: Facts, content: Content) -> tuple[Decision, Changes]:
        """Write the score down."""
        score = await self._score(facts)
        if score is None:
            return PROCEED, NO_CHANGES
        return PROCEED, Changes(prepend=(encode_field("X-SenderScore", str(score)),))

    def forget(self, session: SessionId) -> None:
        """Drop the session's score."""
        if (task := self._scores.pop(session, None)) is not None:
            task.cancel()

    def _wanted(self, config: SenderScore) -> frozenset[Phase]:
        if config.slow_factor_seconds > 0:
            return _SLOWED
        junk: set[Phase] = {self._junk_phase} if config.junk_below >= 0 else set()
        block: set[Phase] = {self._block_phase} if config.block_below >= 0 else set()
        return frozenset(junk | block)

    async def _score(self, facts: Facts) -> int | None:
        task = self._scores.get(facts.session)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(facts.client_address))
            self._scores[facts.session] = task
        return await asyncio.shield(task)

    async def _ask(self, client_address: str) -> int | None:
        """Ask DNS; silence is no score."""
        address = client_of(client_address)
        if address is None:
            return None
        try:
            async with asyncio.timeout(self._config.timeout_seconds):
                answer = await self._resolver().ask(list_name(address, self._config.zone), "A")
        except TimeoutError:
            return None
        found = [entry for entry in map(str, listing_addresses(answer.records)) if entry.startswith(_OWN_NAMES)]
        return min(int(found[0].rpartition(".")[2]), BEST) if found else None


def _refusal(client_address: str) -> Reply:
    return Reply(550, f"The reputation of {client_address} is too low", "5.7.1")


def build_sender_score(name: str, kind: Kind, places: Places, tools: Tools) -> SenderScoreFilter:
    """Make one (implements ``Maker``)."""
    assert isinstance(kind, SenderScore)
    return SenderScoreFilter(name, kind, tools)
