"""A message that waits for filters before it is written: the listener's first, then those of its recipients' domains.

Where nobody wants content there is none of this: what comes is written at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from paquebot_mta.accept.parts import Part, facts_about
from paquebot_mta.filter.chain import Verdict
from paquebot_mta.filter.content import ContentRun, Surroundings
from paquebot_mta.filter.contract import Changes, Facts
from paquebot_mta.filter.letter import Letter
from paquebot_mta.filter.running import Screen
from paquebot_mta.spool.store import Draft

JUNK_FIELD: Final = b"X-Spam: yes\r\n"


class Sink(Protocol):
    """Where content goes: a draft, several, or a place where it waits."""

    def write(self, chunk: bytes) -> None:
        """Append."""

    async def drain(self) -> None:
        """Wait until little enough is buffered; raises SpoolError, HoldError."""


class Fan:
    """Several drafts that are given the same."""

    def __init__(self, drafts: tuple[Draft, ...]) -> None:
        self._drafts = drafts

    def write(self, chunk: bytes) -> None:
        """Append to each."""
        for draft in self._drafts:
            draft.write(chunk)

    async def drain(self) -> None:
        """Wait for each; raises SpoolError."""
        for draft in self._drafts:
            await draft.drain()


@dataclass(frozen=True, slots=True)
class Judged:
    """What filters made of a message: how they decided, and what is left to be done with its envelope."""

    verdict: Verdict
    junk: bool
    changes: tuple[Changes, ...]


class ContentScreen:
    """One message that waits (implements ``Sink``)."""

    def __init__(self, screen: Screen, facts: Facts, message_bytes: int, trace: bytes, *, junk: bool) -> None:
        """Begin to hold; ``trace`` are our own fields, which come first, behind the mark of what is junk already."""
        mark = JUNK_FIELD if junk else b""
        self._around = Surroundings(screen.holder, screen.monotonic, message_bytes, mark + trace)
        self._facts = facts
        self._mark = mark
        self._runs = [ContentRun(screen.chain, facts, self._around)]
        self._runs[0].write(mark)
        self._letter: Letter | None = None
        self._letters: dict[Part, Letter] = {}

    def write(self, chunk: bytes) -> None:
        """Append."""
        self._runs[0].write(chunk)

    async def drain(self) -> None:
        """Wait until little enough is buffered; raises HoldError."""
        await self._runs[0].drain()

    async def judge(self) -> Judged:
        """Let the listener's filters have the message, whole by now; raises HoldError."""
        run = self._runs[0]
        self._letter = await run.finish()
        return Judged(run.verdict, run.junk, tuple(run.changes))

    async def judge_part(self, part: Part) -> Judged:
        """Let the filters of a domain have its copy; raises HoldError."""
        assert self._letter is not None, "the listener's filters come first"
        assert part.chain is not None, "it is asked because it has one"
        run = ContentRun(part.chain, facts_about(self._facts, part), self._around, live=False)
        self._runs.append(run)
        self._letters[part] = await run.finish(self._letter)
        return Judged(run.verdict, run.junk, tuple(run.changes))

    async def write_out(self, parts: Iterable[Part], *, junk: bool) -> None:
        """Write each part's copy into its draft; raises HoldError, SpoolError."""
        assert self._letter is not None, "it was judged"
        for part in parts:
            letter = self._letters.get(part, self._letter)
            if (junk or part.junk) and not (self._mark and self._mark in letter.front):
                letter = letter.marked(JUNK_FIELD)
            async for chunk in letter.chunks():
                part.draft.write(chunk)
                await part.draft.drain()

    def close(self) -> None:
        """Forget everything; harmless a second time."""
        for run in self._runs:
            run.close()


def begin_content(
    screen: Screen, facts: Facts, parts: tuple[Part, ...], message_bytes: int, trace: bytes, *, junk: bool
) -> Sink:
    """Choose where a message goes: into its drafts at once, or where it waits.

    Args:
        screen, facts: of the session.
        parts: all there are.
        message_bytes: limit of the listener.
        trace: our own fields; the caller writes them.
        junk: what is known already of all parts.
    """
    if _must_wait(screen, parts):
        return ContentScreen(screen, facts, message_bytes, trace, junk=junk)
    for part in parts:
        if junk or part.junk:
            part.draft.write(JUNK_FIELD)
    return parts[0].draft if len(parts) == 1 else Fan(tuple(part.draft for part in parts))


def _must_wait(screen: Screen, parts: tuple[Part, ...]) -> bool:
    """Whether anybody wants content, or one part may still be refused, or marked, and another not."""
    if len(parts) == 1 and parts[0].chain is None:
        return screen.chain.holds_content
    chains = [screen.chain, *(part.chain for part in parts if part.chain is not None)]
    if any(chain.holds_content for chain in chains):
        return True
    return len(parts) > 1 and any(part.chain is not None and part.chain.asks("commit") for part in parts)
