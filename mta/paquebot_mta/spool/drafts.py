"""Messages on their way in: small ones are gathered in memory, big ones stream into a segment of their own."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from paquebot_mta.mail.envelope import Message
from paquebot_mta.mail.ids import Msgid
from paquebot_mta.spool.cache import FreshCache
from paquebot_mta.spool.committer import Placed, spool_error
from paquebot_mta.spool.format import BODY_BYTES, Kind
from paquebot_mta.spool.health import Circuit
from paquebot_mta.spool.index import Entry, Index
from paquebot_mta.spool.log import Log
from paquebot_mta.spool.options import fault
from paquebot_mta.spool.packed import lengths_of, message_records, plain_bytes
from paquebot_mta.spool.private import PrivateMessage
from paquebot_mta.spool.records import Accepted, Done, encode
from paquebot_mta.spool.sealer import Sealer
from paquebot_mta.spool.segment import NewRecord
from paquebot_mta.spool.store import SpoolError

_VOID: Final = encode(Done())
_PACKED_INLINE_BYTES: Final = 16 * 1024
"""Compressing this much takes less than a hop to a thread and back, even by gzip."""


@dataclass(slots=True)
class Intake:
    """What drafts need of the journal.

    Attributes:
        open_ids: ids of drafts under way.
        new_private: makes the segment of a big message.
    """

    log: Log
    index: Index
    cache: FreshCache
    circuit: Circuit
    pool: Executor
    sealer: Sealer
    private_bytes: int
    new_private: Callable[[], PrivateMessage]
    open_ids: set[Msgid] = field(default_factory=set)

    def void(self, placed: Placed, number: int) -> None:
        """Take back what became durable after its client was told that it did not."""
        placed.segment.live += 1  # stays until the record that voids it is durable, and pinned by that one

        def on_placed(record: Placed) -> None:
            placed.segment.live -= 1
            record.segment.pin([placed.segment])

        self.log.note([NewRecord(Kind.DONE, number, _VOID)], on_placed)


class JournalDraft:
    """See ``Draft``."""

    __slots__ = ("_ended", "_failed", "_intake", "_late", "_number", "_parts", "_private", "_written", "msgid", "size")

    def __init__(self, intake: Intake, msgid: Msgid) -> None:
        """Nothing touches the volume yet."""
        self._intake = intake
        self.msgid = msgid
        self.size = 0
        self._number = int(msgid, 16)
        self._parts: list[bytes] = []
        self._private: PrivateMessage | None = None
        self._written = 0
        self._failed = False
        self._ended = False
        self._late = False
        intake.open_ids.add(msgid)

    def write(self, chunk: bytes) -> None:
        """See ``Draft``."""
        self._parts.append(chunk)
        self.size += len(chunk)

    async def drain(self) -> None:
        """See ``Draft``."""
        if self.size <= self._intake.private_bytes or self.size - self._written < BODY_BYTES:
            return
        private = self._private = self._private or self._intake.new_private()
        payloads = split(self._parts)
        rest = payloads.pop() if len(payloads[-1]) < BODY_BYTES else b""
        self._parts = [rest] if rest else []
        self._written = self.size - len(rest)
        await self._in_pool(lambda: private.write(self._number, payloads))

    async def _in_pool(self, work: Callable[[], Placed | None]) -> Placed | None:
        """Run file work of this draft; it ends even if the caller is cancelled.

        Raises:
            SpoolError: it failed, the draft is dead.
        """
        if self._failed:
            raise fault("the draft failed before")
        refusal = self._intake.circuit.refusal()
        if refusal is not None:
            raise refusal
        try:
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._intake.pool, work))
        except OSError as error:
            self._failed = True
            self._intake.circuit.observe(error)
            raise spool_error(error) from error

    async def commit(self, message: Message, *, together: bool = False) -> None:
        """See ``Draft``."""
        if message.msgid != self.msgid or message.size != self.size or self._ended:
            raise ValueError("commit of a message that is not the draft's")
        await self.drain()
        self._ended = True
        try:
            if self._private is None:
                await self._commit_shared(message, together)
            else:
                await self._commit_private(message, self._private, together)
        finally:
            self._intake.open_ids.discard(self.msgid)

    async def _commit_shared(self, message: Message, together: bool) -> None:
        chunks = split(self._parts)
        self._parts = []
        accepted = Accepted(message, plain_bytes(self.size, len(chunks)), together=together)
        sealer = self._intake.sealer
        if self.size > _PACKED_INLINE_BYTES and sealer.packs:
            pack = partial(message_records, sealer, self._number, chunks, Kind.ACCEPT, accepted)
            records = await asyncio.get_running_loop().run_in_executor(self._intake.pool, pack)
        else:
            records = message_records(sealer, self._number, chunks, Kind.ACCEPT, accepted)

        def on_settled(placed: Placed | None) -> None:
            if placed is not None:
                self._store(placed, message, lengths_of(records), chunks)

        try:
            await self._intake.log.append(records, on_settled)
        except BaseException as error:
            self._late = isinstance(error, Exception)  # a cancelled caller did not tell anyone that it failed
            raise

    async def _commit_private(self, message: Message, private: PrivateMessage, together: bool) -> None:
        chunks = split(self._parts)
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[None] = loop.create_future()
        task = loop.create_task(
            self._in_pool(lambda: private.finish(self._number, chunks, message, together)), name="spool-private"
        )

        def on_settled(placed: Placed | None) -> None:
            if placed is not None:
                self._store(placed, message, (private.body_bytes, private.accept_bytes), ())
            else:
                self._intake.pool.submit(private.abort)

        def done(task: "asyncio.Task[Placed | None]") -> None:
            self._intake.log.settle(settled, _outcome(task), on_settled)

        task.add_done_callback(done)
        try:
            await self._intake.log.within_deadline(settled)
        except BaseException as error:
            self._late = isinstance(error, Exception)
            raise

    def _store(self, placed: Placed, message: Message, lengths: tuple[int, int], chunks: Sequence[bytes]) -> None:
        """Note in the books what is durable; ``lengths`` of content and envelopes in the log."""
        if self._late:
            self._intake.void(placed, self._number)
            return
        entry = Entry(placed.segment, placed.start, *lengths, self.size, len(message.envelopes))
        self._intake.index.add(message.msgid, entry)
        if chunks:
            self._intake.cache.put(message.msgid, message, chunks)

    def abort(self) -> None:
        """See ``Draft``."""
        if self._ended:
            return
        self._ended = self._failed = True
        self._parts = []
        self._intake.open_ids.discard(self.msgid)
        if self._private is not None:
            self._intake.pool.submit(self._private.abort)


def _outcome(task: "asyncio.Task[Placed | None]") -> Placed | SpoolError:
    if task.cancelled():
        return fault("cancelled")
    error = task.exception()
    if error is not None:
        return error if isinstance(error, SpoolError) else fault(repr(error))
    return task.result() or fault("not placed")


def split(parts: Sequence[bytes]) -> list[bytes]:
    """Cut content into chunks of 64 KiB, the last one shorter."""
    if len(parts) == 1 and 0 < len(parts[0]) <= BODY_BYTES:
        return [bytes(parts[0])]
    content = b"".join(parts)
    return [content[at : at + BODY_BYTES] for at in range(0, len(content), BODY_BYTES)]
