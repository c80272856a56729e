"""Lines for a program or a socket, reached again when it is gone; what it was not given yet waits for the next one."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, cast

from paquebot_mta.config.reports import Subscriber
from paquebot_mta.filter.process.connect import Running, Way

FIRST_PAUSE_SECONDS: Final = 0.2
MAX_PAUSE_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 10.0
_GRACE_SECONDS: Final = 2.0
_CHUNK_BYTES: Final = 16_384
"""So much is handed to a program or socket at once, and about twice as much lies between it and us. If it ends, the
chunk that it didn't take whole is lost and counted; what it had been given and didn't read only the numbers show."""
Tell = Callable[[str], None]
"""Takes what is worth a log line."""


class PipeOutlet:
    """Writes to a program's standard input, or to a socket; while nobody reads, lines wait, as many as may."""

    def __init__(self, way: Way, settings: Subscriber, tell: Tell) -> None:
        self._way = way
        self._capacity_bytes = settings.waiting_bytes
        self._tell = tell
        self._pipe: _Pipe | None = None
        self._waiting: deque[bytes] = deque()
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
        if not self._waiting and self._pipe is not None and self._pipe.has_room:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append(line)
        self._waiting_bytes += len(line)

    async def close(self) -> None:
        """Hand on what still waits, and end."""
        if self._pipe is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_GRACE_SECONDS):
                    await self._pipe.drain(self._flush)
                    self._pipe.close()
                    await self._pipe.ended.wait()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._stopping is not None:
            await self._stopping
        self.dropped += len(self._waiting)
        self._waiting.clear()

    def _unsent_bytes(self) -> int:
        return self._pipe.unsent_bytes() if self._pipe is not None else 0

    def _flush(self) -> None:
        """Hand on what there is room for."""
        while self._waiting and self._pipe is not None and self._pipe.has_room:
            self._pipe.write(self._next_chunk())

    def _next_chunk(self) -> list[bytes]:
        lines, size = [], 0
        while self._waiting and size < _CHUNK_BYTES:
            lines.append(self._waiting.popleft())
            size += len(lines[-1])
        self._waiting_bytes -= size
        return lines

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
        pipe = _Pipe(self._flush)
        running: Running | None = None
        try:
            running = await self._way.connect(pipe, self._tell)
            self._pipe = pipe
            self._flush()
            await pipe.ended.wait()
        finally:
            self._pipe = None
            self.dropped += pipe.unsent_lines
            pipe.close()
            if running is not None:
                self._stopping = asyncio.create_task(running.stop(_GRACE_SECONDS))
                await asyncio.shield(self._stopping)
            pipe.abort()


class _Pipe(asyncio.Protocol):
    """One connection; what the other side says is ignored.

    Attributes:
        unsent_lines: of the last chunk, if it isn't on its way as a whole.
    """

    def __init__(self, on_room: Callable[[], None]) -> None:
        self._on_room = on_room
        self._transport: asyncio.Transport | None = None
        self._room = asyncio.Event()
        self._room.set()
        self.ended = asyncio.Event()
        self.unsent_lines = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _CHUNK_BYTES)

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.set()
        self._room.set()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self.unsent_lines = 0
        self._room.set()
        self._on_room()

    @property
    def has_room(self) -> bool:
        """Whether all that was written so far is on its way."""
        return self._room.is_set() and not self.ended.is_set()

    def write(self, lines: list[bytes]) -> None:
        if self._transport is not None:
            self._transport.write(b"".join(lines))
            self.unsent_lines = 0 if self._room.is_set() else len(lines)

    async def drain(self, flush: Callable[[], None]) -> None:
        """Wait until all is on its way that ``flush`` hands on."""
        flush()
        while not self._room.is_set():
            await self._room.wait()

    def unsent_bytes(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
