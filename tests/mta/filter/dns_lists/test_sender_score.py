"""Sender score: blocks, marks, slows down, writes down."""

import pytest

from paquebot_mta.config.filters import Phase, SenderScore
from paquebot_mta.filter.contract import NO_CHANGES
from paquebot_mta.filter.decisions import JUNK, PROCEED, Decision, Disconnect
from paquebot_mta.filter.dns_lists.sender_score import SenderScoreFilter
from paquebot_mta.mail.reply import Reply

from ..asked import SESSION, MemoryContent, World, facts

NAME = "1.2.0.192.score.senderscore.com"


class Scored:
    """A filter, and how long it slept."""

    def __init__(self, answer: str, **settings: object) -> None:
        self.world = World({NAME: {"A": [answer]}} if answer else {})
        self.slept: list[float] = []
        config = SenderScore(**settings)  # type: ignore[arg-type]
        self.filter = SenderScoreFilter("score", config, self.world.tools, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def decide(self, phase: Phase = "connect", address: str = "192.0.2.1") -> Decision:
        return await self.filter.decide(phase, facts(address), "")


async def test_a_low_score_is_blocked_in_its_phase() -> None:
    scored = Scored("127.0.4.10", block_below=50, block_phase="helo")
    assert scored.filter.phases == {"helo"}
    assert await scored.decide("helo") == Disconnect(Reply(550, "The reputation of 192.0.2.1 is too low", "5.7.1"))


@pytest.mark.parametrize(("answer", "decision"), [("127.0.4.49", JUNK), ("127.0.4.50", PROCEED), ("", PROCEED)])
async def test_a_middling_score_is_junk_for_the_whole_session(answer: str, decision: Decision) -> None:
    scored = Scored(answer, junk_below=50)
    assert scored.filter.phases == {"connect"}
    assert await scored.decide() == decision


async def test_each_phase_of_a_bad_client_is_slower() -> None:
    scored = Scored("127.0.4.25", slow_factor_seconds=2.0)
    assert {"connect", "ehlo", "commit", "quit"} <= scored.filter.phases
    for phase in ("connect", "ehlo"):
        await scored.decide(phase)
    assert scored.slept == [1.5, 1.5]
    assert len(scored.world.resolver.asked) == 1


async def test_the_best_score_is_never_slowed() -> None:
    scored = Scored("127.0.4.100", slow_factor_seconds=2.0)
    await scored.decide()
    assert scored.slept == []


@pytest.mark.parametrize("answer", ["", "!timeout", "192.0.2.7", "127.0.0.1"])
async def test_no_answer_is_no_score(answer: str) -> None:
    scored = Scored(answer, block_below=100, header=True)
    assert await scored.decide() == PROCEED
    assert await scored.filter.judge(facts(), MemoryContent(b"\r\n")) == (PROCEED, NO_CHANGES)


async def test_the_score_is_written_down_if_wanted() -> None:
    scored = Scored("127.0.4.77", header=True)
    assert scored.filter.judges_content
    _, changes = await scored.filter.judge(facts(), MemoryContent(b"\r\n"))
    assert changes.prepend == (b"X-SenderScore: 77\r\n",)


async def test_a_session_that_ended_is_forgotten() -> None:
    scored = Scored("127.0.4.77", block_below=10)
    await scored.decide()
    scored.filter.forget(SESSION)
    await scored.decide()
    assert len(scored.world.resolver.asked) == 2


async def test_a_domains_filter_acts_at_its_recipients() -> None:
    scored = Scored("127.0.4.10", block_below=50)
    of_domain = scored.filter.at_recipients()
    assert scored.filter.phases == {"connect"}
    assert of_domain.phases == {"rcpt-to"}
    assert isinstance(await of_domain.decide("rcpt-to", facts(), ""), Disconnect)
    await scored.decide()
    assert len(scored.world.resolver.asked) == 1
    scored.filter.forget(SESSION)
    assert of_domain._scores == {}
