"""The back end that keeps everything in memory: for tests and for measuring; a restart loses all mail, by design."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from paquebot_mta.config.service import Queue
from paquebot_mta.mail.envelope import EnvelopeState, Message, Result, Stored
from paquebot_mta.mail.ids import Evpid, Msgid, RandomBits, msgid_of, new_msgid
from paquebot_mta.spool.drafts import split
from paquebot_mta.spool.options import fault
from paquebot_mta.spool.store import Draft, KeyUse, Lost, SpoolStats, Waiting


@dataclass(slots=True)
class _Kept:
    message: Message
    chunks: Sequence[bytes]
    states: dict[Evpid, EnvelopeState]


class MemoryDraft:
    """See ``Draft``."""

    def __init__(self, spool: "MemorySpool", msgid: Msgid) -> None:
        """Start empty."""
        self.msgid = msgid
        self.size = 0
        self._spool = spool
        self._parts: list[bytes] = []
        self._ended = False

    def write(self, chunk: bytes) -> None:
        """See ``Draft``."""
        self._parts.append(chunk)
        self.size += len(chunk)

    async def drain(self) -> None:
        """See ``Draft``."""

    async def commit(self, message: Message, *, together: bool = False) -> None:
        """See ``Draft``."""
        if message.msgid != self.msgid or message.size != self.size or self._ended:
            raise ValueError("commit of a message that is not the draft's")
        self._ended = True
        self._spool.keep(message, split(self._parts))

    def abort(self) -> None:
        """See ``Draft``."""
        if not self._ended:
            self._ended = True
            self._spool.release(self.msgid)


class MemorySpool:
    """See ``Spool``."""

    def __init__(self, randbits: RandomBits) -> None:
        """Start empty."""
        self._randbits = randbits
        self._kept: dict[Msgid, _Kept] = {}
        self._open: set[Msgid] = set()

    def create(self, *, size_hint: int = 0) -> Draft:
        """See ``Spool``."""
        msgid = new_msgid(self._randbits)
        while msgid in self._kept or msgid in self._open:
            msgid = new_msgid(self._randbits)
        self._open.add(msgid)
        return MemoryDraft(self, msgid)

    def keep(self, message: Message, chunks: Sequence[bytes]) -> None:
        """Take a message from its draft."""
        self.release(message.msgid)
        states = {envelope.evpid: EnvelopeState() for envelope in message.envelopes}
        self._kept[message.msgid] = _Kept(message, chunks, states)

    def release(self, msgid: Msgid) -> None:
        """The draft ended."""
        self._open.discard(msgid)

    async def confirm(self, msgids: Sequence[Msgid]) -> None:
        """See ``Spool``; there is no restart that could find some of them."""

    async def load(self, msgid: Msgid) -> Stored | None:
        """See ``Spool``."""
        kept = self._kept.get(msgid)
        return Stored(kept.message, dict(kept.states)) if kept else None

    async def load_many(self, msgids: Sequence[Msgid]) -> dict[Msgid, Stored]:
        """See ``Spool``."""
        loaded = {msgid: await self.load(msgid) for msgid in msgids}
        return {msgid: stored for msgid, stored in loaded.items() if stored is not None}

    async def content(self, msgid: Msgid) -> AsyncIterator[bytes]:
        """See ``Spool``."""
        kept = self._kept.get(msgid)
        if kept is None:
            raise fault(f"no message {msgid}")
        for chunk in kept.chunks:
            yield chunk

    def intend(self, evpids: Sequence[Evpid]) -> None:
        """See ``Spool``."""

    async def owned(self) -> bool:
        """See ``Spool``."""
        return True

    async def update(self, results: Sequence[Result]) -> None:
        """See ``Spool``."""
        for result in results:
            kept = self._kept.get(msgid_of(result.evpid))
            if kept is not None and result.evpid in kept.states:
                self._apply(kept, result)

    def _apply(self, kept: _Kept, result: Result) -> None:
        if result.final is None:
            kept.states[result.evpid] = result.state
            return
        del kept.states[result.evpid]
        if not kept.states:
            del self._kept[kept.message.msgid]

    async def walk(self) -> AsyncIterator[Stored]:
        """See ``Spool``."""
        for msgid in list(self._kept):
            stored = await self.load(msgid)
            if stored is not None:
                yield stored

    async def recovered(self) -> AsyncIterator[Waiting]:
        """See ``Spool``; a start finds nothing, but whoever joins later finds what is there."""
        async for stored in self.walk():
            message = stored.message
            yield Waiting(message.msgid, message.created_at, message.size, stored.states)

    async def changes(self) -> AsyncIterator[Waiting | Lost]:
        """See ``Spool``; there is nobody else."""
        nothing: Sequence[Waiting | Lost] = ()
        for change in nothing:
            yield change

    def has(self, msgid: Msgid) -> bool:
        """See ``Spool``."""
        return msgid in self._kept

    def trouble(self) -> str:
        """See ``Spool``."""
        return ""

    def stats(self) -> SpoolStats:
        """See ``Spool``."""
        kept = self._kept.values()
        return SpoolStats(len(kept), sum(len(each.states) for each in kept), sum(each.message.size for each in kept))

    async def reconfigure(self, queue: Queue) -> None:
        """See ``BackEnd``; nothing is sealed."""

    def key_uses(self) -> Sequence[KeyUse]:
        """See ``BackEnd``."""
        return ()

    async def close(self) -> None:
        """See ``Spool``."""
        self._kept.clear()
