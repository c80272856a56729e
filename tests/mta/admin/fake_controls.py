"""A worker's controls that record what is asked of them, and a way to serve them from a thread."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec

from paquebot_mta.admin.app import start_worker_socket
from paquebot_mta.admin.controls import (
    EnvelopeDetail,
    FilterEntry,
    HostEntry,
    KeyEntry,
    Part,
    QueueEntry,
    RouteEntry,
    Status,
)
from paquebot_mta.admin.http import Running
from paquebot_mta.mail.envelope import Envelope, EnvelopeState, Message
from paquebot_mta.mail.ids import Evpid, Msgid
from paquebot_mta.mail.reply import Reply

MSGID = Msgid("508f4cf1")
EVPID = Evpid("508f4cf100000001")
CONTENT = b"Subject: hello\r\n\r\n\x1b[2Jhello \xc3\xa9\r\n"


def queue_entry(number: int, created_at: float = 1_000.0, error: str = "") -> QueueEntry:
    return QueueEntry(
        evpid=f"508f4cf1{number:08x}",
        family="inet4",
        transport="mta",
        flags=(),
        sender="alice@example.test",
        recipient=f"user{number}@example.net",
        destination=f"user{number}@example.net",
        created_at=created_at,
        expires_at=created_at + 345_600,
        last_attempt_at=0.0,
        attempts=number,
        state="pending",
        due_at=created_at + 60,
        error=error,
        size=406,
    )


class FakeControls:
    """Answers from its attributes; ``calls`` has what was changed."""

    def __init__(self, number: int = 0, entries: int = 2) -> None:
        self.number = number
        self.entries = entries
        self.calls: list[tuple[str, str]] = []
        self.paused: tuple[Part, ...] = ()
        self.current = Status(
            worker=f"worker-{number}",
            pid=100 + number,
            healthy=True,
            ready=True,
            draining=False,
            reasons=(),
            listeners=("mx 127.0.0.1:2525",),
            paused=(),
            generation=7 + number,
            digest=f"digest-{number}",
        )
        self.exposition = b""
        self.keys: list[KeyEntry] = []
        self.has_message = True
        self.events: asyncio.Queue[bytes] = asyncio.Queue()
        self.tracers = 0
        self.left = asyncio.Event()
        self.produced = 0
        self.error = ""
        self.fails_after: int | None = None

    def status(self) -> Status:
        return msgspec.structs.replace(self.current, paused=self.paused)

    async def metrics(self) -> bytes:
        return self.exposition

    async def queue(self, target: str = "all") -> AsyncIterator[QueueEntry]:
        self.calls.append(("queue", target))
        for number in range(self.entries):
            if number == self.fails_after:
                raise OSError("the volume is gone")
            self.produced += 1
            yield queue_entry(number, 1_000.0 + number * 2 + self.number, self.error)

    async def message(self, msgid: str) -> AsyncIterator[bytes]:
        if msgid != MSGID or not self.has_message:
            raise KeyError(msgid)
        yield CONTENT[:10]
        yield b""
        yield CONTENT[10:]

    async def envelope(self, evpid: str) -> EnvelopeDetail:
        if evpid != EVPID or not self.has_message:
            raise KeyError(evpid)
        envelope = Envelope(EVPID, "bob@example.net", "bob@example.net", "outbound")
        message = Message(MSGID, "alice@example.test", 1_000.0, len(CONTENT), (envelope,))
        state = EnvelopeState(attempts=1, last_reply=Reply(451, "try \x1blater", "4.7.1"))
        return EnvelopeDetail(evpid=EVPID, message=message, state=state, schedule="due in 60 s")

    def routes(self) -> list[RouteEntry]:
        route = RouteEntry(
            id="00000001",
            source="",
            destination="example.net",
            state="enabled",
            connections=1,
            queued=3,
            errors=0,
            penalty=0,
            timeout_seconds=7.0,
        )
        return [route]

    def hosts(self) -> list[HostEntry]:
        return [HostEntry(address="192.0.2.1", name="mx.example.net", routes=2, connections=1, idle_seconds=3.0)]

    def key_uses(self) -> list[KeyEntry]:
        return self.keys

    def filters(self) -> list[FilterEntry]:
        return [
            FilterEntry(
                name="mail/spam",
                kind="process",
                mode="Shadow",
                places=("listener mx",),
                waiting=1,
                answered=7,
                failed=2,
                trouble="not connected",
            )
        ]

    def enable_routes(self, target: str) -> int:
        self.calls.append(("resume-route", target))
        return 2 if target in ("all", "192.0.2.1") else 0

    def stats(self) -> dict[str, float]:
        return {"uptime": 10.0 + self.number, "smtp.session": 5.0}

    async def schedule(self, target: str) -> int:
        return self._act("schedule", target)

    async def remove(self, target: str) -> int:
        return self._act("remove", target)

    async def suspend(self, target: str) -> int:
        return self._act("suspend", target)

    async def resume(self, target: str) -> int:
        return self._act("resume", target)

    def _act(self, act: str, target: str) -> int:
        self.calls.append((act, target))
        return 1 if target == "all" or target.startswith(MSGID) else 0

    def pause_part(self, part: Part) -> None:
        self.calls.append(("pause", part))
        self.paused = (*self.paused, part)

    def resume_part(self, part: Part) -> None:
        self.calls.append(("resume-part", part))
        self.paused = tuple(each for each in self.paused if each != part)

    async def trace(self) -> AsyncIterator[bytes]:
        self.tracers += 1
        try:
            while True:
                yield await self.events.get()
        finally:
            self.tracers -= 1
            self.left.set()


@contextlib.contextmanager
def serving(runtime: Path, *workers: FakeControls) -> Iterator[asyncio.AbstractEventLoop]:
    """Serve workers' sockets from another thread while the block runs: the command line blocks."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    running: list[Running] = []
    try:
        for worker in workers:
            start = start_worker_socket(worker, runtime / f"worker-{worker.number}.sock")
            running.append(asyncio.run_coroutine_threadsafe(start, loop).result(10))
        yield loop
    finally:
        for each in running:
            asyncio.run_coroutine_threadsafe(_closed(each), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _closed(running: Running) -> None:
    await running.close()
    await asyncio.sleep(0)
