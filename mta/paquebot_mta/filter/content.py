"""A message on its way through the filters of a chain that want content: line streams while it comes, judges after it.

What comes in is held unchanged beside what a stream makes of it, so that a filter that fails can be passed over.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from paquebot_mta.filter.chain import GO_ON, Chain, Member, Verdict
from paquebot_mta.filter.contract import NO_CHANGES, Changes, Facts, FilterError, LineFilter
from paquebot_mta.filter.decisions import PROCEED, Junk
from paquebot_mta.filter.hold import Held, Holder, HoldError
from paquebot_mta.filter.letter import Letter

GROWTH_BYTES: Final = 1_048_576
"""How much longer than a listener's limit a message may become by filters."""


class Stream:
    """One member's stream of lines: whole lines go in, what comes back is held."""

    def __init__(self, line: LineFilter, out: Held, limit: int) -> None:
        self._line = line
        self._pending = bytearray()
        self._limit = limit
        self.out = out

    def write(self, chunk: bytes) -> None:
        """Take content."""
        self._pending += chunk

    async def drain(self) -> None:
        """Pass on the lines that are whole. Raises FilterError, HoldError."""
        end = self._pending.rfind(b"\n") + 1
        if end:
            lines = bytes(self._pending[:end])
            del self._pending[:end]
            await self._keep(await self._line.feed(lines))

    async def finish(self) -> None:
        """Wait for the rest. Raises FilterError, HoldError."""
        await self.drain()
        await self._keep(await self._line.finish())

    async def _keep(self, content: bytes) -> None:
        self.out.write(content)
        if self.out.size > self._limit:
            raise FilterError("the message became too long", "protocol")
        await self.out.drain()

    def abort(self) -> None:
        """Forget it."""
        self._line.abort()
        self.out.close()


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
        self._live = live and bool(self._members) and self._members[0].filter.streams
        if self._live:
            self._open(self._members[0])

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
        if self._stream is not None:
            try:
                await self._stream.drain()
            except Exception as error:
                self._drop(self._members[0], error)

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
            if member.filter.streams and not self._over:
                letter = await self._streamed(member, letter, begun=self._live and member is self._members[0])
            if member.filter.judges_content and not self._over:
                letter = await self._judged(member, letter)
        return letter

    @property
    def _over(self) -> bool:
        return self.verdict is not GO_ON

    def _open(self, member: Member) -> None:
        self._began = self._around.monotonic()
        try:
            self._stream = Stream(member.filter.open_lines(self._facts), self._around.holder.hold(), self._limit)
            self._held.append(self._stream.out)
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
        """Have a stream's result instead of the message, unless it failed or only shadows."""
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
        made, self._stream = self._stream.out, None
        self._chain.conclude(member, "data-line", self._facts, PROCEED, self._around.monotonic() - self._began)
        return letter if member.mode == "Shadow" else await Letter.of(made, self._around.trace)

    async def _judged(self, member: Member, letter: Letter) -> Letter:
        began = self._around.monotonic()
        try:
            decision, changes = await member.filter.judge(self._facts, letter)
            changed = letter if changes is NO_CHANGES else letter.changed(changes)
            if changed.size > self._limit:
                raise FilterError("the message became too long", "protocol")  # noqa: TRY301 - as any other fault of it
        except HoldError:
            raise
        except Exception as error:
            self.verdict = self._chain.fail(member, "commit", self._facts, error) or self.verdict
            return letter
        ending = self._chain.conclude(member, "commit", self._facts, decision, self._around.monotonic() - began)
        if member.mode == "Shadow":
            return letter
        if ending is not None and isinstance(ending.decision, Junk):
            self.junk = True
        elif ending is not None and ending.decision is not PROCEED:
            self.verdict = ending
        self.changes.append(changes)
        return changed

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
