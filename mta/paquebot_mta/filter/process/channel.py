"""One connection to one running filter: register lines at first, then lines both ways, bounded both ways.

It knows lines and deadlines, not what sessions mean. It ends once, with a cause: ``on_end``.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from paquebot_mta.filter.contract import Failing
from paquebot_mta.filter.process.answers import Answer, ProtocolFault, parse_answer
from paquebot_mta.filter.process.buffer import LfBuffer
from paquebot_mta.filter.process.lines import Version
from paquebot_mta.filter.process.registration import Introduction, Registering, Registration

MAX_WAITING_BYTES: Final = 4 * 1_048_576
"""What may wait for a filter that doesn't read; reports beyond are lost to it."""
_HIGH_BYTES: Final = 65_536


class Channel(asyncio.Protocol):
    """The lines of one connection.

    Args:
        introduction: what it is told at first.
        on_answer: takes each answer once it is registered.
        on_end: is told once why the connection ended.

    Attributes:
        registered: what the filter wants, once it said so; None if the connection ended before.
        last_heard_at: when it last wrote, in the loop's time.
        ended: nothing is written or taken any more. gone: because the other side closed the connection.
    """

    def __init__(
        self, introduction: Introduction, on_answer: Callable[[Answer], None], on_end: Callable[[str, Failing], None]
    ) -> None:
        self._introduction = introduction
        self._version: Version = introduction.version
        self._on_answer = on_answer
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._buffer = LfBuffer()
        self._registering: Registering | None = Registering()
        self.registered: asyncio.Future[Registration | None] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._lines: list[bytes] = []
        self._line_bytes = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self.last_heard_at = self._loop.time()
        self.ended = self.gone = False

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell of ourselves."""
        # uvloop's transports are none of asyncio's classes.
        self._transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(_HIGH_BYTES)
        transport.write(self._introduction.encode())

    def data_received(self, data: bytes) -> None:
        """Take what the filter wrote."""
        self.last_heard_at = self._loop.time()
        try:
            for line in self._buffer.feed(data):
                if self.ended:
                    return
                self._take(line)
        except ProtocolFault as fault:
            self.end(str(fault), "protocol")

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end."""
        self.gone = not self.ended
        self.end(f"its connection broke: {error}" if error else "it ended")

    def pause_writing(self) -> None:
        """Let lines wait here: the filter doesn't read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on."""
        self._writable.set()
        self._flush()

    # The filter's side.

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the filter has not taken yet."""
        return self._line_bytes + (self._transport.get_write_buffer_size() if self._transport else 0)

    @property
    def has_room(self) -> bool:
        """Whether a line may be added."""
        return self._line_bytes < MAX_WAITING_BYTES and not self.ended

    def write(self, line: bytes) -> None:
        """Add a line, or several, its LF included; they leave together at the end of this turn of the loop."""
        if not self._lines and self._writable.is_set():
            self._loop.call_soon(self._flush)
        self._lines.append(line)
        self._line_bytes += len(line)

    def put(self, line: bytes) -> bool:
        """As ``write``, if there is room; False if there is none."""
        if self._line_bytes >= MAX_WAITING_BYTES or self.ended:
            return False
        self.write(line)
        return True

    async def wait_for_room(self) -> None:
        """Wait until the filter reads, or is gone."""
        await self._writable.wait()

    def end(self, cause: str, reason: Failing = "crash") -> None:
        """Close the connection; what was written before still reaches the filter if it reads."""
        if self.ended:
            return
        self._flush()
        self.ended = True
        self._lines.clear()
        self._writable.set()
        if self._transport is not None:
            self._transport.close()
        self._on_end(cause, reason)
        if not self.registered.done():
            self.registered.set_result(None)

    def abort(self) -> None:
        """Close the connection now, whatever still waits."""
        self.end("it was given up")
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        if self._lines and self._transport is not None and not self.ended and self._writable.is_set():
            content = b"".join(self._lines)
            self._lines.clear()
            self._line_bytes = 0
            self._transport.write(content)

    def _take(self, line: bytes) -> None:
        if self._registering is None:
            self._on_answer(parse_answer(line, self._version))
        elif (registration := self._registering.take(line)) is not None:
            self._registering = None
            self.registered.set_result(registration)
