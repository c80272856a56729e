"""Takes messages that were left in the drop box while nobody ran, and submits each as its file's owner.

It promises that a file leaves the box by being in the queue, by a report to its sender, or by being put aside with a
log line; a fault of ours leaves it where it is. It knows nothing of how mail is judged: it is a client like any other.
"""

import asyncio
import math
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

from msgspec.structs import replace

from paquebot_mta.admin.handover import Conversation, Handed, NotTakenError, UnknownEndError, hand_over
from paquebot_mta.config.service import MtaConfig
from paquebot_mta.mail.ids import RandomBits
from paquebot_mta.mail.reply import Reply
from paquebot_mta.mail.submission import Submission
from paquebot_mta.service.door import Door
from paquebot_mta.service.returned import make_report
from paquebot_mta.spool.journal import Journal
from paquebot_mta.spool.offline import Box, HostileFileError, Left
from paquebot_mta.spool.store import Spool
from paquebot_mta.telemetry.bus import Emit
from paquebot_mta.telemetry.events import Notice

FIRST_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 2.0
BUSY_SECONDS: Final = 0.1
AT_ONCE: Final = 20
IN_PARALLEL: Final = 5
MOST_WAITING: Final = 200
RETRY_SECONDS: Final = (5.0, 30.0, 120.0, 300.0)
_CONNECT_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 2.0

Connect = Callable[[int], Awaitable[socket.socket]]
Level = Literal["info", "warning"]


@dataclass(slots=True)
class Progress:
    """How far a file has come: recipients that need no further try, and those of them who will never get it."""

    done: int = 0
    failed: dict[str, Reply] = field(default_factory=dict)


class Pickup:
    """Looks into the box now and then, and works off what is there."""

    def __init__(
        self,
        box: Box,
        connect: Connect,
        config: Callable[[], MtaConfig],
        *,
        emit: Emit,
        clock: Callable[[], float],
        randbits: RandomBits,
        pauses: tuple[float, ...] = RETRY_SECONDS,
    ) -> None:
        """``connect`` opens a session for a user id; ``pauses`` are seconds before the next tries for one file."""
        self._box, self._connect, self._config = box, connect, config
        self._emit, self._clock, self._randbits, self._pauses = emit, clock, randbits, pauses
        self._pool = ThreadPoolExecutor(IN_PARALLEL + 1, thread_name_prefix="offline")
        self._waiting: dict[str, float] = {}
        self._tries: dict[str, int] = {}
        self._progress: dict[str, Progress] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._trouble = ""
        self._prepared = False

    async def start(self) -> None:
        """Open the box, and look into it from now on."""
        self._loop = asyncio.get_running_loop()
        self._prepared = await self._try("prepare", self._box.prepare)
        self._running = self._loop.create_task(self._run(), name="offline")

    def stop(self) -> None:
        """Begin with nothing new."""
        if self._running is not None:
            self._running.cancel()

    async def _run(self) -> None:
        await asyncio.sleep(FIRST_SECONDS)
        while True:
            self._prepared = self._prepared or await self._try("prepare", self._box.prepare)
            taken = await self._look() if self._prepared else 0
            await asyncio.sleep(BUSY_SECONDS if taken >= AT_ONCE else LOOK_SECONDS)

    async def close(self) -> None:
        """Let what is being submitted end, as its sessions did."""
        self.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_SECONDS)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _look(self) -> int:
        """Take what is there and begin with it; answers how much it was."""
        now = asyncio.get_running_loop().time()
        self._waiting = {path: until for path, until in self._waiting.items() if until > now}
        room = min(AT_ONCE, MOST_WAITING - len(self._waiting))
        found: list[str] = []
        if room > 0 and await self._try("look", partial(self._take, room, found)):
            for path in found:
                self._begin(path)
        return len(found)

    def _take(self, limit: int, found: list[str]) -> None:
        claims, refused = self._box.take(limit, set(self._waiting), self._clock())
        found += claims
        for name, refusal in refused:
            self._tell("warning", "offline.refused", file=ascii(name[:64]), reason=refusal)

    async def _try(self, what: str, work: Callable[[], None]) -> bool:
        """Do something with the volume; its faults are told once."""
        trouble = ""
        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except OSError as error:
            trouble = f"{what}: {error.strerror or error}"
        if trouble and not self._trouble:
            self._tell("warning", "offline.closed", reason=trouble)
        elif self._trouble and not trouble:
            self._tell("info", "offline.open")
        self._trouble = trouble
        return not trouble

    def _begin(self, path: str) -> None:
        self._waiting[path] = math.inf
        task = asyncio.get_running_loop().create_task(self._process(path))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _process(self, path: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._pool, self._submit, path, loop)
        except HostileFileError as error:
            await loop.run_in_executor(self._pool, self._refuse, path, error.refusal)
        except (OSError, NotTakenError, UnknownEndError, RuntimeError) as error:
            self._defer(path, error)
            return
        self._tries.pop(path, None)
        self._progress.pop(path, None)
        self._waiting.pop(path, None)

    def _defer(self, path: str, error: Exception) -> None:
        tries = self._tries.get(path, 0)
        self._tries[path] = tries + 1
        pause = self._pauses[min(tries, len(self._pauses) - 1)]
        self._waiting[path] = asyncio.get_running_loop().time() + pause
        self._tell("info", "offline.deferred", file=_name(path), reason=str(error), seconds=pause)

    def _refuse(self, path: str, refusal: str) -> None:
        self._tell("warning", "offline.refused", file=_name(path), reason=refusal)
        self._box.put_aside(path)

    def _submit(self, path: str, loop: asyncio.AbstractEventLoop) -> None:
        """Submit one file and remove it; blocks.

        Raises:
            HostileFileError: it is no message.
            NotTakenError, UnknownEndError, OSError: not now.
        """
        with self._box.open(path) as left:
            progress = self._progress.setdefault(path, Progress())
            self._hand_over(left, progress, loop)
            if progress.failed:
                with self._session(left, loop) as conversation:
                    self._return(conversation, left, progress.failed, path)
            self._tell("info", "offline.taken", file=_name(path), user=left.user_id, failed=len(progress.failed))
        self._box.done(path)

    def _hand_over(self, left: Left, progress: Progress, loop: asyncio.AbstractEventLoop) -> None:
        """Hand it over to as many recipients at once as a transaction may have, and go on where a try before ended.

        Raises:
            NotTakenError, UnknownEndError: not now; nobody to whom it was handed over gets it twice for that.
        """
        submission, most = left.ticket.submission, self._config().service.limits.recipients
        while progress.done < len(submission.recipients):
            end = progress.done + most
            portion = replace(submission, recipients=submission.recipients[progress.done : end])
            progress.failed |= self._hand_over_portion(left, portion, loop)
            progress.done = end

    def _hand_over_portion(
        self, left: Left, submission: Submission, loop: asyncio.AbstractEventLoop
    ) -> dict[str, Reply]:
        """Answer the recipients who will never get it, with the reasons.

        Raises:
            NotTakenError, UnknownEndError: it may be taken later.
        """
        is_too_old = self._clock() - left.left_at > self._config().service.queue.ttl_seconds
        try:
            with self._session(left, loop) as conversation:
                handed = hand_over(conversation, submission, left.ticket.size, left.content(), partly=True)
        except NotTakenError as error:
            if not is_too_old:
                raise
            handed = Handed(Reply(451, f"not taken in time: {error}", "4.4.7"), {})
        if handed.taken:
            return handed.refused
        if not handed.reply.permanent and not is_too_old:
            raise NotTakenError(_code(handed.reply))
        return {name: handed.refused.get(name, handed.reply) for name in submission.recipients}

    @contextmanager
    def _session(self, left: Left, loop: asyncio.AbstractEventLoop) -> Iterator[Conversation]:
        """Begin a session as the file's owner.

        Raises:
            NotTakenError: it was broken off, or refused.
        """
        connecting = asyncio.run_coroutine_threadsafe(_awaited(self._connect(left.user_id)), loop)
        with closing(connecting.result(_CONNECT_SECONDS)) as connected:
            conversation = Conversation(connected)
            greeting = conversation.greet()
            if greeting.code != 250:
                raise NotTakenError(_code(greeting))
            yield conversation

    def _return(self, conversation: Conversation, left: Left, failed: dict[str, Reply], path: str) -> None:
        """Tell the sender, if there is one who wants to know; else the log has to do.

        Raises:
            NotTakenError, UnknownEndError: not now.
        """
        service = self._config().service
        report = make_report(left, failed, service, conversation.domain, self._clock(), self._randbits)
        result = "nobody"
        if report is not None:
            handed = hand_over(conversation, report.submission, len(report.content), [report.content], partly=False)
            if handed.reply.transient:
                raise NotTakenError(_code(handed.reply))
            result = "told" if handed.taken else _code(handed.reply)
        reasons = "; ".join(sorted({_code(reply) for reply in failed.values()}))[:500]
        self._tell("warning", "offline.returned", file=_name(path), failed=len(failed), reason=reasons, result=result)

    def _tell(self, level: Level, event: str, **details: str | int | float) -> None:
        """Log a line, from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._emit, Notice(level=level, event=event, details=details))


async def _awaited(connecting: Awaitable[socket.socket]) -> socket.socket:
    return await connecting


def open_pickup(spool: Spool, door: Door, config: Callable[[], MtaConfig], emit: Emit) -> Pickup | None:
    """Make the pickup of a queue on a volume; other queues have no box."""
    if not isinstance(spool, Journal):
        return None
    box = Box(spool.parts.layout, spool.parts.disk, lambda: spool.parts.homes[0].incarnation)
    return Pickup(box, door.connect, config, emit=emit, clock=time.time, randbits=secrets.randbits)


def _code(reply: Reply) -> str:
    """Spell a reply without its text, which may name people."""
    return f"{reply.code} {reply.status}".rstrip()


def _name(path: str) -> str:
    """The name a file had in the box."""
    return path.rpartition("/")[2].partition("~")[0]
