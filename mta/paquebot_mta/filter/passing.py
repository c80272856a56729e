"""How a filter is given one message: line by line, or whole; what it makes of it stays within bounds."""

from typing import Protocol

from paquebot_mta.filter.chain import Member
from paquebot_mta.filter.contract import NO_CHANGES, Changes, Facts, FilterError
from paquebot_mta.filter.decisions import Decision
from paquebot_mta.filter.letter import Letter


class Out(Protocol):
    """Where what comes back is put."""

    @property
    def size(self) -> int:
        """Bytes that were put there."""

    def write(self, chunk: bytes) -> None:
        """Append."""

    async def drain(self) -> None:
        """Wait until little enough is buffered; raises HoldError."""

    def close(self) -> None:
        """Forget it."""


class Nowhere:
    """What comes back is counted and forgotten (implements ``Out``)."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Count."""
        self.size += len(chunk)

    async def drain(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is held."""


class Stream:
    """One member's stream of lines: whole lines go in, what comes back is held."""

    def __init__(self, member: Member, facts: Facts, out: Out, limit: int) -> None:
        """Begin; raises FilterError."""
        self._line = member.filter.open_lines(facts)
        self._load = member.load
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
            with self._load:
                found = await self._line.feed(lines)
            await self._keep(found)

    async def finish(self) -> None:
        """Wait for the rest. Raises FilterError, HoldError."""
        await self.drain()
        with self._load:
            found = await self._line.finish()
        await self._keep(found)

    async def _keep(self, content: bytes) -> None:
        self.out.write(content)
        if self.out.size > self._limit:
            raise FilterError("the message became too long", "protocol")
        await self.out.drain()

    def abort(self) -> None:
        """Forget it."""
        self._line.abort()
        self.out.close()


async def judge_letter(member: Member, facts: Facts, letter: Letter, limit: int) -> tuple[Decision, Changes, Letter]:
    """Let a judge have a message; give what it decides, what it wants changed, and the message as it is then.

    Args:
        limit: bytes that it may have then.

    Raises:
        FilterError: it became too long, or whatever is wrong with the filter; HoldError; ValueError.
    """
    with member.load:
        decision, changes = await member.filter.judge(facts, letter)
    changed = letter if changes is NO_CHANGES else letter.changed(changes)
    if changed.size > limit:
        raise FilterError("the message became too long", "protocol")
    return decision, changes, changed
