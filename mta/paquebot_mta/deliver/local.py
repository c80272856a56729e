"""What local deliveries share: slots, trace header, loop check, and content on its way to a disk off the event loop.

A content is read on the loop and written by threads, in pieces of at most 256 KiB or so: a usual message is one job.
"""

import asyncio
import contextlib
import errno
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Final, Protocol, TypeVar

from msgspec import Struct

from paquebot_mta.config.service import OutboundLimits
from paquebot_mta.deliver import faults
from paquebot_mta.deliver.capabilities import read_header
from paquebot_mta.deliver.paths import PathPartError, mailbox_path
from paquebot_mta.deliver.transport import Receipt, Task
from paquebot_mta.mail.envelope import Envelope
from paquebot_mta.mail.header import field_values
from paquebot_mta.mail.outcome import Deferred, Delivered, Failed, Looped, Outcome
from paquebot_mta.mail.reply import Reply
from paquebot_mta.mail.stuffing import BareLineEndError
from paquebot_mta.telemetry.bus import Emit

DELIVERY_SECONDS: Final = 300.0
"""Deadline of one local delivery, as the reference's."""
_PIECE_BYTES: Final = 262_144

_DELIVERED: Final = Delivered(Reply(250, "Delivered", "2.0.0"))
_LOOPED: Final = Looped(Reply(554, "Loop detected: the message was delivered to this address before", "5.4.6"))
_UNFIT: Final = Failed(Reply(553, "Mailbox name not allowed", "5.1.3"))
_FULL: Final = Deferred(Reply(452, "Mailbox is full", "4.2.2"))
_NO_SPACE: Final = Deferred(Reply(452, "Not enough space for mailboxes", "4.3.1"))
_FAULT: Final = Deferred(Reply(451, "Mailbox can't be written", "4.3.0"))
_LATE: Final = Deferred(Reply(451, "Mailbox did not answer in time", "4.3.0"))

_Result = TypeVar("_Result")


class Box(Protocol):
    """Where one copy goes. Its methods block; threads call them, one at a time. All raise OSError."""

    def write(self, data: bytes) -> None:
        """Append."""

    def finish(self) -> None:
        """Make it durable and visible."""

    def discard(self) -> None:
        """Leave no trace of it."""


class Encoder(Protocol):
    """Turns content into the box's format; raises BareLineEndError for what can't be."""

    def feed(self, chunk: bytes) -> bytes:
        """Convert the next chunk."""

    def end(self) -> bytes:
        """Give what comes last."""


class LocalSurroundings(Struct, frozen=True):
    """What local transports are given.

    Attributes:
        executor: threads for the disk.
        hostname: our name, part of file names.
        clock: seconds since 1970; randbits: for unique names.
        emit: is told of faults of ours.
        own: folders of ours, as absolute paths: no mailbox lies there, whatever a configuration says.
    """

    executor: Executor
    hostname: str
    clock: Callable[[], float]
    randbits: Callable[[int], int]
    emit: Emit | None = None
    own: tuple[str, ...] = ()


class LocalSlots:
    """Bounds local deliveries in all and for each user; one object for all local transports of a process."""

    def __init__(self, limits: OutboundLimits) -> None:
        """Start with all free."""
        self._all = asyncio.Semaphore(limits.local_deliveries)
        self._users = _Shares(limits.local_deliveries_per_user)
        self._files = _Shares(1)

    @contextlib.asynccontextmanager
    async def hold(self, user: str) -> AsyncIterator[None]:
        """Wait for a slot; a user's own limit never holds a slot that others could use."""
        async with self._users.hold(user), self._all:
            yield

    def alone(self, path: str) -> contextlib.AbstractAsyncContextManager[None]:
        """Wait until no other delivery of this process writes to the file."""
        return self._files.hold(path)


class _Shares:
    """A semaphore for each name, kept while someone uses it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._semaphores: dict[str, asyncio.Semaphore] = {}
        self._users: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        semaphore = self._semaphores.setdefault(name, asyncio.Semaphore(self._size))
        self._users[name] += 1
        try:
            async with semaphore:
                yield
        finally:
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name], self._semaphores[name]


class LocalTransport:
    """A transport that writes each recipient's copy into a box of its own. Subclasses say which box."""

    def __init__(self, slots: LocalSlots, around: LocalSurroundings) -> None:
        """Keep what all deliveries need."""
        self.slots = slots
        self._around = around

    def open_box(self, envelope: Envelope, reverse_path: str, header: bytes) -> tuple[Box, Encoder]:
        """Say where a copy goes, without I/O.

        Raises:
            PathPartError: the address can't be a mailbox.
            OSError: it must not lie there.
        """
        raise NotImplementedError

    def place(self, template: str, envelope: Envelope) -> Path:
        """Say where an envelope's mailbox lies.

        Raises:
            PathPartError: the address can't be a mailbox.
            OSError: the path leads into a folder of ours.
        """
        path = Path(mailbox_path(template, envelope))
        if any(Path(os.path.abspath(path)).is_relative_to(each) for each in self._around.own):
            raise OSError(errno.EACCES, "a mailbox inside the queue")
        return path

    def guard(self, envelope: Envelope) -> contextlib.AbstractAsyncContextManager[None]:
        """Hold while a copy is written; nothing by default."""
        return contextlib.nullcontext()

    async def deliver(self, task: Task) -> Receipt:
        """Deliver a copy to each recipient; whatever a disk does is ``Deferred``."""
        try:
            header = await read_header(task)
        except Exception:
            outcome = Deferred(faults.UNREADABLE)
            return Receipt({each.evpid: outcome for each in task.envelopes})
        outcomes = await asyncio.gather(*(self._deliver(task, each, header) for each in task.envelopes))
        return Receipt({each.evpid: outcome for each, outcome in zip(task.envelopes, outcomes, strict=True)})

    async def _deliver(self, task: Task, envelope: Envelope, header: bytes) -> Outcome:
        if has_been_delivered(header, envelope.destination):
            return _LOOPED
        async with self.slots.hold(envelope.user or envelope.destination):
            try:
                async with asyncio.timeout(DELIVERY_SECONDS), self.guard(envelope):
                    return await self._write(task, envelope, header)
            except PathPartError:
                return _UNFIT
            except BareLineEndError:
                return Failed(faults.BAD_CONTENT)
            except TimeoutError:
                return _LATE
            except OSError as error:
                return _judge(error)
            except Exception as error:
                if self._around.emit is not None:
                    self._around.emit(faults.fault_notice("local", error))
                return Deferred(faults.INTERNAL)

    async def _write(self, task: Task, envelope: Envelope, header: bytes) -> Outcome:
        opened, encoder = self.open_box(envelope, task.reverse_path, header)
        box = _OneAtATime(opened)
        try:
            pieces = [trace_header(task.reverse_path, envelope.destination)]
            size = 0
            async for chunk in task.content():
                pieces.append(encoder.feed(chunk))
                size += len(chunk)
                if size >= _PIECE_BYTES:
                    await self._run(box.write, b"".join(pieces))
                    pieces, size = [], 0
            pieces.append(encoder.end())
            if not await task.before_final_dot():
                await self._run(box.discard)
                return Deferred(faults.NOT_OURS)
            await self._run(_finish, box, b"".join(pieces))
        except Exception:
            with contextlib.suppress(OSError):
                await self._run(box.discard)
            raise
        except asyncio.CancelledError:
            # A write may hang in a thread: the deadline must not wait for it.
            self._around.executor.submit(box.discard)
            raise
        return _DELIVERED

    async def _run(self, work: Callable[..., _Result], *arguments: object) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._around.executor, work, *arguments)


class _OneAtATime:
    """A box whose methods wait for each other: a delivery that is given up must not close a file that is written."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        with self._lock:
            self._box.write(data)

    def finish(self) -> None:
        with self._lock:
            self._box.finish()

    def discard(self) -> None:
        with self._lock:
            self._box.discard()


def _finish(box: Box, data: bytes) -> None:
    box.write(data)
    box.finish()


def _judge(error: OSError) -> Outcome:
    """Tell a full mailbox and a full disk from other faults; the cause stays with us."""
    if error.errno == errno.EDQUOT:
        return _FULL
    return _NO_SPACE if error.errno == errno.ENOSPC else _FAULT


def trace_header(reverse_path: str, destination: str) -> bytes:
    """Make the fields of final delivery: Return-Path (RFC 5321, 4.4), ``<>`` for notifications, and Delivered-To.

    Raises:
        ValueError: an address holds control characters.
    """
    if not (reverse_path + destination).isprintable():
        raise ValueError("control character in an address")
    return f"Return-Path: <{reverse_path}>\nDelivered-To: {destination}\n".encode()


def has_been_delivered(header: bytes, destination: str) -> bool:
    """Whether a Delivered-To names the destination already: the message goes in a circle."""
    wanted = destination.lower().encode()
    return any(value.lower() == wanted for value in field_values(header, b"Delivered-To"))
