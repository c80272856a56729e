"""Mode Shadow: filters are asked about live mail, and nothing they do, or fail to do, changes or delays it."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from paquebot_mta.config.filters import Phase
from paquebot_mta.filter.contract import NO_CHANGES, Changes, Content, Facts, FieldEdit, FilterError, LineFilter
from paquebot_mta.filter.decisions import BYPASS, JUNK, PROCEED, Decision, Disconnect, Reject, Rewrite
from paquebot_mta.filter.shadows import Shadows
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.filter_events import FilterAnswer, FilterFault
from tests.mta.accept.filters import Filters, Lines, Scripted
from tests.mta.accept.support import Served, after_trace, serve

LETTER = b"Subject: x\r\nX-Old: 1\r\n\r\nhello\r\n..dot\r\n.\r\n"
PLAIN = b"Subject: x\r\nX-Old: 1\r\n\r\nhello\r\n.dot\r\n"
BIG = b"Subject: big\r\n\r\n" + b"0123456789abcde\r\n" * 40_000
NO = Reject(Reply(550, "no", "5.7.1"))
EVERYTHING = Changes(
    prepend=(b"X-New: 1\r\n",),
    edits=(FieldEdit("X-Old", value=None),),
    body=b"other\r\n",
    reverse_path="other@example.test",
    add_recipients=("bob@example.test",),
    remove_recipients=("alice@example.test",),
)


class Hanging(Scripted):
    """Answers when it may, whatever it is asked, its lines of content, too; what it read of messages is kept."""

    def __init__(self, *phases: Phase, content: bool = False, lines: bool = False) -> None:
        super().__init__(phases)
        self.may_go = asyncio.Event()
        self.judges_content, self.streams = content, lines
        self.read: list[bytes] = []

    async def decide(self, phase: Phase, facts: Facts, parameter: str) -> Decision:
        await super().decide(phase, facts, parameter)
        await self.may_go.wait()
        return NO

    async def judge(self, facts: Facts, content: Content) -> tuple[Decision, Changes]:
        await self.may_go.wait()
        self.read.append(await content.read(0, content.size))
        return NO, EVERYTHING

    def open_lines(self, facts: Facts) -> LineFilter:
        return HangingLines(self.may_go)


class HangingLines(Lines):
    """Gives nothing back before it may."""

    def __init__(self, may_go: asyncio.Event) -> None:
        super().__init__(bytes.upper)
        self._may_go = may_go

    async def finish(self) -> bytes:
        await self._may_go.wait()
        return await super().finish()


def on_trial(shadow: Scripted, before: Scripted | None = None, after: Scripted | None = None) -> Filters:
    chain = {"before": before, "shadow": shadow, "after": after}
    return Filters({name: each for name, each in chain.items() if each is not None}, shadows=("shadow",))


async def _send(served: Served, content: bytes = LETTER) -> str:
    client = await served.greeted()
    await client.envelope()
    reply = await client.data(content)
    await client.ask("QUIT")
    return reply


def _judge(decision: Decision, changes: Changes = NO_CHANGES) -> Scripted:
    return Scripted(judgement=lambda _: (decision, changes))


def _crash(_: bytes) -> tuple[Decision, Changes]:
    raise FilterError("gone", "crash")


def _answers(served: Served) -> list[tuple[str, str, str, bool]]:
    return [(each.filter, each.phase, each.response, each.shadow) for each in served.of(FilterAnswer)]


@pytest.mark.parametrize("decision", [PROCEED, JUNK, NO, Disconnect(NO.reply), BYPASS, Rewrite("x")])
async def test_a_judge_on_trial_changes_nothing(decision: Decision) -> None:
    last = _judge(PROCEED)
    async with serve(screens=on_trial(_judge(decision, EVERYTHING), after=last)) as served:
        assert (await _send(served)).startswith("250 ")
        await served.finished()
    ((message, content),) = served.spool.stored.values()
    assert after_trace(content) == PLAIN
    assert last.heard() == [("commit", PLAIN.decode())]
    assert message.reverse_path == "joe@client.example"
    assert [each.recipient for each in message.envelopes] == ["alice@example.test"]
    assert ("shadow", "commit") in [(name, phase) for name, phase, _, shadow in _answers(served) if shadow]


@pytest.mark.parametrize("place", ["alone", "before", "after"])
async def test_a_stream_on_trial_changes_nothing(place: str) -> None:
    """A signer, for example."""
    opened: list[Lines] = []

    def sign() -> Lines:
        opened.append(Lines(lambda line: b"X" + line))
        return opened[-1]

    shadow = Scripted(lines=sign)
    other = Scripted(lines=lambda: Lines(lambda line: line.replace(b"hello", b"goodbye")))
    chain = {"alone": {}, "before": {"before": other}, "after": {"after": other}}[place]
    async with serve(screens=on_trial(shadow, **chain)) as served:
        assert (await _send(served)).startswith("250 ")
        await served.finished()
    ((_, content),) = served.spool.stored.values()
    assert after_trace(content) == (PLAIN if place == "alone" else PLAIN.replace(b"hello", b"goodbye"))
    assert ("shadow", "data-line", "proceed", True) in _answers(served)
    assert len(opened) == 1, "none while content comes, which nobody on trial may hold up"


async def test_one_on_trial_is_shown_what_those_before_it_made() -> None:
    shadow = _judge(PROCEED)
    async with serve(screens=on_trial(shadow, before=_judge(PROCEED, Changes(body=b"new\r\n")))) as served:
        await _send(served)
        await served.finished()
    assert shadow.heard()[0][1].endswith("\r\n\r\nnew\r\n")


@pytest.mark.parametrize(
    "broken",
    [
        lambda: Scripted(judgement=_crash),
        lambda: Scripted(lines=lambda: Lines(bytes.upper, fail=True)),
        lambda: Scripted(lines=lambda: Lines(lambda line: line * 500_000)),
        lambda: _judge(PROCEED, Changes(body=b"x" * 50_000_000)),
    ],
)
async def test_one_on_trial_that_fails_is_noted_and_mail_goes_on(broken: Callable[[], Scripted]) -> None:
    async with serve(screens=on_trial(broken())) as served:
        assert (await _send(served)).startswith("250 ")
        await served.finished()
    assert [each.filter for each in served.of(FilterFault)] == ["shadow"]
    ((_, content),) = served.spool.stored.values()
    assert after_trace(content) == PLAIN


@pytest.mark.parametrize("phase", ["connect", "ehlo", "mail-from", "rcpt-to", "data", "commit", "quit"])
async def test_nobody_waits_for_one_on_trial_in_any_phase(phase: Phase) -> None:
    shadow = Hanging(phase)
    async with serve(screens=on_trial(shadow)) as served:
        assert (await _send(served)).startswith("250 ")
        await served.until(lambda: bool(shadow.asked))
        assert shadow.forgotten == [], "it may still answer"
        assert _answers(served) == []
        shadow.may_go.set()
        await served.until(lambda: shadow.forgotten != [] and _answers(served) != [])
    assert _answers(served) == [("shadow", phase, "reject", True)]


async def test_one_on_trial_is_told_what_was_so_when_it_was_asked() -> None:
    shadow = Hanging("rcpt-to")
    async with serve(screens=on_trial(shadow)) as served:
        await _send(served)
        await served.until(lambda: bool(shadow.asked))
        assert (shadow.asked[0].facts.recipients, shadow.asked[0].facts.msgid is not None) == ([], True)
        shadow.may_go.set()


@pytest.mark.parametrize("kind", ["content", "lines"])
async def test_a_message_is_delivered_while_one_on_trial_still_has_it(kind: str, tmp_path: Path) -> None:
    shadow = Hanging(content=kind == "content", lines=kind == "lines")
    filters = Filters({"shadow": shadow}, shadows=("shadow",), folder=tmp_path)
    async with serve(screens=filters) as served:
        holder = served.acceptor.policy_of("mx").screen.holder  # type: ignore[union-attr]
        free = holder._free
        client = await served.greeted()
        await client.envelope()
        assert (await client.data(BIG + b".\r\n")).startswith("250 ")
        ((_, content),) = served.spool.stored.values()
        assert after_trace(content) == BIG
        shadow.may_go.set()
        # Who was told of the session's end takes no more lines of it.
        await served.until(lambda: _answers(served) != [])
        await client.ask("QUIT")
        await served.until(lambda: shadow.forgotten != [])
        assert holder._free == free
    assert shadow.read == ([BIG] if kind == "content" else [])
    answer = ("commit", "reject") if kind == "content" else ("data-line", "proceed")
    assert _answers(served) == [("shadow", *answer, True)]
    assert os.listdir(tmp_path) == []


async def test_what_is_too_much_is_not_asked_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paquebot_mta.filter.running.Shadows", lambda: Shadows(questions=2))
    shadow = Hanging("rcpt-to")
    async with serve(screens=on_trial(shadow)) as served:
        client = await served.greeted()
        await client.envelope("alice@example.test", "bob@example.test", "carol@example.test")
        await served.until(lambda: len(shadow.asked) == 2)
        assert ["too many" in each.cause for each in served.of(FilterFault)] == [True]
        shadow.may_go.set()
        await served.until(lambda: len(_answers(served)) == 2)
        await client.ask("RSET")
        await client.envelope("alice@example.test")
    assert len(shadow.asked) == 3


async def test_no_more_content_is_kept_for_trials_than_there_is_room() -> None:
    shadows, session = Shadows(content_bytes=100), SessionId("1" * 16)
    over: list[str] = []

    async def nothing() -> None:
        """Answers at once."""

    first = shadows.begin(session, nothing(), 60)
    assert first is not None
    assert shadows.begin(session, nothing(), 60) is None
    shadows.end(session, lambda: over.append("over"))
    assert shadows.is_over(session)
    await first
    await asyncio.sleep(0)
    assert over == ["over"]
    assert shadows.begin(session, nothing(), 100) is not None
    await shadows.close()
