"""Where a stream's lines go: a file by a thread, or a program or socket that is reached again when it is gone."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, cast

from paquebot_mta.config.reports import Subscriber
from paquebot_mta.filter.process.connect import ChildWay, Running, SocketWay, Way
from paquebot_mta.filter.reports.files import RotatingFile
from paquebot_mta.telemetry.sink import BufferedSink

FIRST_PAUSE_SECONDS: Final = 0.2
MAX_PAUSE_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 10.0
_GRACE_SECONDS: Final = 2.0
Tell = Callable[[str], None]
"""Takes what is worth a log line."""


class Outlet(Protocol):
    """Takes lines."""

    def write(self, line: bytes) -> None:
        """Take a line; never blocks, never raises."""
        ...

    @property
    def dropped(self) -> int:
        """Lines lost so far."""
        ...

    def start(self) -> None:
        """Begin."""
        ...

    async def close(self) -> None:
        """Hand on what still waits, as far as that is quick, and end."""
        ...


class FileOutlet:
    """Writes to a file that is rotated; what the disk doesn't take in time is lost."""

    def __init__(self, path: Path, settings: Subscriber) -> None:
        self._file = RotatingFile(path, settings.max_bytes, settings.keep)
        self._capacity_bytes = settings.waiting_bytes
        self._sink: BufferedSink | None = None

    @property
    def dropped(self) -> int:
        """Lines lost so far."""
        return self._sink.dropped if self._sink is not None else 0

    def start(self) -> None:
        """Begin."""
        write = self._file.write
        self._sink = BufferedSink(-1, capacity_bytes=self._capacity_bytes, write=lambda _, content: write(content))

    def write(self, line: bytes) -> None:
        """Take a line."""
        if self._sink is not None:
            self._sink.write(line)

    async def close(self) -> None:
        """Write what is left."""
        if self._sink is not None:
            await asyncio.to_thread(self._sink.close)
            await asyncio.to_thread(self._file.close)


class PipeOutlet:
    """Writes to a program's standard input, or to a socket; while nobody reads, lines wait, as many as may."""

    def __init__(self, way: Way, settings: Subscriber, tell: Tell) -> None:
        self._way = way
        self._capacity_bytes = settings.waiting_bytes
        self._tell = tell
        self._pipe: _Pipe | None = None
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self.dropped = 0

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    def write(self, line: bytes) -> None:
        """Take a line."""
        if self._waiting_bytes + self._unsent_bytes() + len(line) > self._capacity_bytes:
            self.dropped += 1
            return
        if not self._waiting and self._pipe is not None:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append(line)
        self._waiting_bytes += len(line)

    async def close(self) -> None:
        """Hand on what still waits, and end."""
        self._flush()
        if self._pipe is not None:
            self._pipe.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._pipe.ended.wait(), _GRACE_SECONDS)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._stopping is not None:
            await self._stopping

    def _unsent_bytes(self) -> int:
        return self._pipe.unsent_bytes() if self._pipe is not None else 0

    def _flush(self) -> None:
        if self._pipe is not None and self._waiting:
            content = b"".join(self._waiting)
            self._waiting.clear()
            self._waiting_bytes = 0
            self._pipe.write(content)

    async def _run(self) -> None:
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            began_at = asyncio.get_running_loop().time()
            try:
                await self._live()
                self._tell("it ended")
            except OSError as error:
                self._tell(f"it can't be reached: {error.strerror or error}")
            except Exception as error:  # a fault of ours must not end the stream for good
                self._tell(f"it can't be served: {type(error).__name__}: {error}")
            if asyncio.get_running_loop().time() - began_at > STEADY_SECONDS:
                pause_seconds = FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, MAX_PAUSE_SECONDS)

    async def _live(self) -> None:
        pipe = _Pipe()
        running: Running | None = None
        try:
            running = await self._way.connect(pipe, self._tell)
            self._pipe = pipe
            self._flush()
            await pipe.ended.wait()
        finally:
            self._pipe = None
            pipe.close()
            if running is not None:
                self._stopping = asyncio.create_task(running.stop(_GRACE_SECONDS))
                await asyncio.shield(self._stopping)
            pipe.abort()


class _Pipe(asyncio.Protocol):
    """One connection; what the other side says is ignored."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.set()

    def write(self, content: bytes) -> None:
        if self._transport is not None:
            self._transport.write(content)

    def unsent_bytes(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def outlet_of(settings: Subscriber, process: str, tell: Tell) -> Outlet:
    """Make the outlet that a subscriber's settings name; of several processes each has a file of its own."""
    if settings.file:
        path = Path(settings.file)
        return FileOutlet(path.with_name(f"{path.name}-{process}") if process else path, settings)
    way: Way = SocketWay(settings.socket) if settings.socket else ChildWay(settings.command)
    return PipeOutlet(way, settings, tell)
