"""Journals for tests: small sizes, messages to store, and a disk with a hook before each call."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from paquebot_mta.config.service import Queue
from paquebot_mta.mail.envelope import Envelope, EnvelopeState, FinalState, Message, Result, Stored
from paquebot_mta.mail.ids import Evpid, Msgid, new_evpid
from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool.disk import Disk, RealDisk
from paquebot_mta.spool.journal import Journal
from paquebot_mta.spool.open import open_spool
from paquebot_mta.spool.options import JournalOptions
from paquebot_mta.spool.store import Draft, Spool
from paquebot_mta.telemetry.events import Notice

SMALL: Final = JournalOptions(
    segment_bytes=256 * 1024,
    preallocate_bytes=0,
    ballast_bytes=0,
    minimum_free_percent=0,
    retry_seconds=(0.02, 0.1),
    claim_pause_seconds=0.0,
    wait_seconds=20.0,
    grave_seconds=0.0,
    probe=False,
)
QUEUE: Final = Queue(minimum_free_percent=0)
CALLS: Final = frozenset(name for name in vars(RealDisk) if not name.startswith("_"))
ACCEPTED_AT: Final = 1_800_000_000.0
Hook = Callable[[str, tuple[Any, ...]], None]


class HookedDisk(RealDisk):
    """Calls ``hook(name, arguments)`` before each call; the hook may raise ``OSError`` or end the process."""

    def __init__(self, hook: Hook) -> None:
        self.hook = hook

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return partial(self._hooked, name, found) if name in CALLS else found

    def _hooked(self, name: str, method: Callable[..., Any], *arguments: Any) -> Any:
        self.hook(name, arguments)
        return method(*arguments)


class Faults:
    """A hook that fails the named calls with an error while it is switched on."""

    def __init__(self) -> None:
        self.error: OSError | None = None
        self.calls: frozenset[str] = frozenset()
        self.seen = 0

    def __call__(self, name: str, arguments: tuple[Any, ...]) -> None:
        if self.error is not None and name in self.calls:
            self.seen += 1
            raise self.error

    def fail(self, error: int, *calls: str) -> None:
        self.error, self.calls = OSError(error, "injected"), frozenset(calls)

    def heal(self) -> None:
        self.error = None


def message_of(draft: Draft, recipients: int = 1, created_at: float = ACCEPTED_AT) -> Message:
    envelopes = tuple(
        Envelope(new_evpid(draft.msgid, random.getrandbits), f"user{i}@example.test", f"user{i}@example.test", "local")
        for i in range(recipients)
    )
    return Message(draft.msgid, "sender@example.test", created_at, draft.size, envelopes)


async def store(spool: Spool, content: bytes, recipients: int = 1, chunk: int = 100_000) -> Message:
    draft = spool.create(size_hint=len(content))
    for at in range(0, len(content), chunk):
        draft.write(content[at : at + chunk])
        await draft.drain()
    message = message_of(draft, recipients)
    await draft.commit(message)
    return message


def final(evpid: Evpid, kind: FinalState = "delivered") -> Result:
    return Result(evpid, EnvelopeState(attempts=1), kind)


def deferred(evpid: Evpid, attempts: int) -> Result:
    reply = Reply(451, "try again later", "4.2.0")
    return Result(evpid, EnvelopeState(attempts, ACCEPTED_AT + attempts, ACCEPTED_AT, reply))


async def read(spool: Spool, msgid: Msgid) -> bytes:
    return b"".join([chunk async for chunk in spool.content(msgid)])


async def everything(spool: Spool) -> dict[Msgid, tuple[Stored, bytes]]:
    return {stored.message.msgid: (stored, await read(spool, stored.message.msgid)) async for stored in spool.walk()}


@asynccontextmanager
async def journal(
    path: Path,
    *,
    options: JournalOptions = SMALL,
    disk: Disk | None = None,
    notice: Callable[[Notice], None] = lambda notice: None,
    crash: bool = False,
    clock: Callable[[], float] = lambda: ACCEPTED_AT,
    queue: Queue = QUEUE,
) -> AsyncIterator[Journal]:
    """An open journal; ``crash`` leaves it as a killed process does: no goodbye, locks gone."""
    spool = await open_spool(queue, path, options=options, disk=disk, notice=notice, clock=clock)
    assert isinstance(spool, Journal)
    try:
        yield spool
    finally:
        await (abandon(spool) if crash else spool.close())


async def abandon(spool: Journal) -> None:
    """End threads and locks without writing anything more."""
    parts = spool._parts
    parts.closed = True
    for task in (*spool.background, *parts.tasks):
        task.cancel()
    await asyncio.gather(*spool.background, *parts.tasks, return_exceptions=True)
    await parts.janitor.finish()
    await parts.loop.run_in_executor(None, _drop, spool)


def _drop(spool: Journal) -> None:
    parts = spool._parts
    parts.committer.stop()
    for pool in (parts.readers, parts.beating, parts.watching, parts.files):
        pool.shutdown()
    disk = RealDisk()
    disk.close(parts.ownership._fd)
    for home in parts.homes:
        if home.lock_fd >= 0:
            disk.close(home.lock_fd)


def segments(path: Path) -> list[Path]:
    return sorted(path.glob("v1/pods/*/seg-*.q"))


def homes(path: Path) -> list[Path]:
    return sorted(path.glob("v1/pods/[0-9a-f]*"))


def contents(found: Iterable[tuple[Stored, bytes]]) -> list[bytes]:
    return [content for _, content in found]


async def until(ready: Callable[[], bool], what: str, seconds: float = 5.0) -> None:
    """Wait for what a spool does by itself."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.01)


def count(spool: Journal) -> int:
    """Messages that it holds."""
    return spool.stats().messages
