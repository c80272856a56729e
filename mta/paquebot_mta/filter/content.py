"""A message on its way through the filters of a chain that want content: line streams while it comes, judges after it.

What comes in is held unchanged beside what a stream makes of it, so that a filter that fails can be passed over.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from paquebot_mta.filter.aside import Aside
from paquebot_mta.filter.chain import GO_ON, Chain, Member, Verdict
from paquebot_mta.filter.contract import Changes, Facts
from paquebot_mta.filter.decisions import PROCEED, Junk
from paquebot_mta.filter.hold import Holder, HoldError
from paquebot_mta.filter.letter import Letter
from paquebot_mta.filter.passing import Stream, judge_letter

GROWTH_BYTES: Final = 1_048_576
"""How much longer than a listener's limit a message may become by filters."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a message is held.

    Attributes:
        message_bytes: the listener's limit for the size of a message.
        trace: our own fields at the message's begin.
    """

    holder: Holder
    monotonic: Callable[[], float]
    message_bytes: int
    trace: bytes


class ContentRun:
    """One message and one chain.

    Attributes:
        verdict: how the judges decided; the first that refuses ends it. junk: whether one said so.
        changes: what is left to be done: of envelopes.
    """

    def __init__(self, chain: Chain, facts: Facts, around: Surroundings, *, live: bool = True) -> None:
        """Open the first stream, if content will come; else the run waits for a message that came."""
        self.verdict: Verdict = GO_ON
        self.junk = False
        self.changes: list[Changes] = []
        self._chain, self._facts, self._around = chain, facts, around
        self._limit = around.message_bytes + GROWTH_BYTES
        self._members = [member for member in chain.members if member.sees_content]
        self._held = [around.holder.hold()]
        self._stream: Stream | None = None
        self._began = 0.0
        first = next((member for member in self._members if member.mode != "Shadow"), None)
        self._first = first if live and first is not None and first.filter.streams else None
        if self._first is not None:
            self._open(self._first)

    # While content comes.

    def write(self, chunk: bytes) -> None:
        """Take content."""
        self._held[0].write(chunk)
        if self._stream is not None:
            self._stream.write(chunk)

    async def drain(self) -> None:
        """Wait until little enough is buffered.

        Raises:
            HoldError: there is no room.
        """
        await self._held[0].drain()
        if self._stream is not None and self._first is not None:
            try:
                await self._stream.drain()
            except Exception as error:
                self._drop(self._first, error)

    # Once it is there.

    async def finish(self, letter: Letter | None = None) -> Letter:
        """Let all members have it, in order; the result is good while this is open.

        Args:
            letter: instead of what was written, for a chain behind another one.

        Raises:
            HoldError: there is no room.
        """
        if letter is None:
            letter = await Letter.of(self._held[0], self._around.trace)
        for member in self._members:
            if member.mode == "Shadow":
                self._show(member, letter)
                continue
            if member.filter.streams and not self._over:
                letter = await self._streamed(member, letter, begun=member is self._first)
            if member.filter.judges_content and not self._over:
                letter = await self._judged(member, letter)
        return letter

    @property
    def _over(self) -> bool:
        return self.verdict is not GO_ON

    def _open(self, member: Member) -> None:
        self._began = self._around.monotonic()
        try:
            out = self._around.holder.hold()
            self._held.append(out)
            self._stream = Stream(member, self._facts, out, self._limit)
        except Exception as error:
            self._drop(member, error)

    def _drop(self, member: Member, error: Exception) -> None:
        """Go on without a stream, if its filter's policy allows that."""
        if self._stream is not None:
            self._stream.abort()
            self._stream = None
        if isinstance(error, HoldError):
            raise error
        self.verdict = self._chain.fail(member, "data-line", self._facts, error) or self.verdict

    async def _streamed(self, member: Member, letter: Letter, *, begun: bool) -> Letter:
        """Have a stream's result instead of the message, unless it failed."""
        try:
            if not begun:
                self._open(member)
                async for chunk in _with(self._stream, letter):
                    self._stream.write(chunk)  # type: ignore[union-attr]
                    await self._stream.drain()  # type: ignore[union-attr]
            if self._stream is None:
                return letter
            await self._stream.finish()
        except Exception as error:
            self._drop(member, error)
            return letter
        made, self._stream = self._held[-1], None
        self._chain.conclude(member, "data-line", self._facts, PROCEED, self._around.monotonic() - self._began)
        return await Letter.of(made, self._around.trace)

    async def _judged(self, member: Member, letter: Letter) -> Letter:
        began = self._around.monotonic()
        try:
            decision, changes, changed = await judge_letter(member, self._facts, letter, self._limit)
        except HoldError:
            raise
        except Exception as error:
            self.verdict = self._chain.fail(member, "commit", self._facts, error) or self.verdict
            return letter
        ending = self._chain.conclude(member, "commit", self._facts, decision, self._around.monotonic() - began)
        if ending is not None and isinstance(ending.decision, Junk):
            self.junk = True
        elif ending is not None and ending.decision is not PROCEED:
            self.verdict = ending
        self.changes.append(changes)
        return changed

    def _show(self, member: Member, letter: Letter) -> None:
        """Let a filter that only shadows have the message, too; whatever it makes of it changes nothing."""
        if self._over:
            return
        aside = Aside(self._chain, member, letter, self._limit, self._around.monotonic)
        task = self._chain.aside(member, aside.phase, self._facts, aside.show, letter.size)
        if task is not None:
            letter.keep()
            task.add_done_callback(lambda _: letter.release())

    def close(self) -> None:
        """Forget everything; harmless a second time."""
        if self._stream is not None:
            self._stream.abort()
            self._stream = None
        for held in self._held:
            held.close()


async def _with(stream: Stream | None, letter: Letter) -> AsyncIterator[bytes]:
    """Give the message's pieces as long as there is a stream to feed."""
    if stream is not None:
        async for chunk in letter.chunks():
            yield chunk
