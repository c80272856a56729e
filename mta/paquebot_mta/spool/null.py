"""The back end that keeps nothing: commit returns and the message is gone. It measures accepting; it loses all mail."""

from collections.abc import AsyncIterator, Sequence

from paquebot_mta.config.service import Queue
from paquebot_mta.mail.envelope import Message, Result, Stored
from paquebot_mta.mail.ids import Evpid, Msgid, RandomBits, new_msgid
from paquebot_mta.spool.options import fault
from paquebot_mta.spool.store import Draft, KeyUse, Lost, SpoolStats, Waiting


class NullDraft:
    """See ``Draft``; counts and forgets."""

    __slots__ = ("msgid", "size")

    def __init__(self, msgid: Msgid) -> None:
        """Start empty."""
        self.msgid = msgid
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """See ``Draft``."""
        self.size += len(chunk)

    async def drain(self) -> None:
        """See ``Draft``."""

    async def commit(self, message: Message, *, together: bool = False) -> None:
        """Check what every back end checks, and drop everything."""
        if message.msgid != self.msgid or message.size != self.size:
            raise ValueError("commit of a message that is not the draft's")

    def abort(self) -> None:
        """See ``Draft``."""


class NullSpool:
    """See ``Spool``: always empty."""

    def __init__(self, randbits: RandomBits) -> None:
        """Only ids are made here."""
        self._randbits = randbits

    def create(self, *, size_hint: int = 0) -> Draft:
        """See ``Spool``."""
        return NullDraft(new_msgid(self._randbits))

    async def confirm(self, msgids: Sequence[Msgid]) -> None:
        """See ``Spool``; there is no restart that could find some of them."""

    async def load(self, msgid: Msgid) -> Stored | None:
        """See ``Spool``."""
        return None

    async def load_many(self, msgids: Sequence[Msgid]) -> dict[Msgid, Stored]:
        """See ``Spool``."""
        return {}

    async def content(self, msgid: Msgid) -> AsyncIterator[bytes]:
        """See ``Spool``."""
        for chunk in self._nothing(msgid):
            yield chunk

    def _nothing(self, msgid: Msgid) -> Sequence[bytes]:
        raise fault(f"no message {msgid}")

    def intend(self, evpids: Sequence[Evpid]) -> None:
        """See ``Spool``."""

    async def owned(self) -> bool:
        """See ``Spool``."""
        return True

    async def update(self, results: Sequence[Result]) -> None:
        """See ``Spool``."""

    async def walk(self) -> AsyncIterator[Stored]:
        """See ``Spool``."""
        nothing: Sequence[Stored] = ()
        for stored in nothing:
            yield stored

    async def recovered(self) -> AsyncIterator[Waiting]:
        """See ``Spool``."""
        nothing: Sequence[Waiting] = ()
        for waiting in nothing:
            yield waiting

    async def changes(self) -> AsyncIterator[Waiting | Lost]:
        """See ``Spool``; there is nobody else."""
        nothing: Sequence[Waiting | Lost] = ()
        for change in nothing:
            yield change

    def has(self, msgid: Msgid) -> bool:
        """See ``Spool``."""
        return False

    def trouble(self) -> str:
        """See ``Spool``."""
        return ""

    def stats(self) -> SpoolStats:
        """See ``Spool``."""
        return SpoolStats(0, 0, 0)

    async def reconfigure(self, queue: Queue) -> None:
        """See ``BackEnd``; nothing is sealed."""

    def key_uses(self) -> Sequence[KeyUse]:
        """See ``BackEnd``."""
        return ()

    async def close(self) -> None:
        """See ``Spool``."""
