"""Where log lines go: a bounded buffer, and a thread that writes it out. A blocked pipe holds no mail."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

MAX_BUFFERED_BYTES: Final = 4 * 1_048_576
FLUSH_SECONDS: Final = 0.05
_BATCH_LINES: Final = 256


class Sink(Protocol):
    """Takes lines."""

    def write(self, line: bytes) -> None:
        """Take one line, its newline included; never blocks, never raises."""
        ...


class BufferedSink:
    """Writes lines to a file descriptor from a thread of its own.

    Args:
        descriptor: where to; stays open.
        capacity_bytes: of the buffer; a line that doesn't fit is dropped and counted.
        flush_seconds: longest time that a line waits; a crash loses no more than that.

    Attributes:
        dropped: lines lost so far.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        capacity_bytes: int = MAX_BUFFERED_BYTES,
        flush_seconds: float = FLUSH_SECONDS,
        write: Callable[[int, bytes], int] = os.write,
    ) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._capacity_bytes = capacity_bytes
        self._flush_seconds = flush_seconds
        self._write = write
        self._lines: deque[bytes] = deque()
        self._put_bytes = 0
        self._taken_bytes = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Take one line; callable from any thread."""
        # Two counters, each written by one side only: no lock. Threads other than the loop's make it a little inexact.
        if self._put_bytes - self._taken_bytes + len(line) > self._capacity_bytes or self._closing.is_set():
            self.dropped += 1
            return
        self._put_bytes += len(line)
        self._lines.append(line)

    def flush(self, timeout_seconds: float = 1.0) -> bool:
        """Wait until all lines taken so far are written; blocking. False if that took too long."""
        target = self._put_bytes
        deadline = time.monotonic() + timeout_seconds
        while self._taken_bytes < target and time.monotonic() < deadline:
            time.sleep(self._flush_seconds / 4)
        return self._taken_bytes >= target

    def close(self, timeout_seconds: float = 1.0) -> None:
        """Write what is left, as far as the time allows; blocking."""
        self._closing.set()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._closing.wait(self._flush_seconds):
            self._drain()
        self._drain()

    def _drain(self) -> None:
        while lines := min(len(self._lines), _BATCH_LINES):
            content = b"".join([self._lines.popleft() for _ in range(lines)])
            self._put(content, lines)
            self._taken_bytes += len(content)

    def _put(self, content: bytes, lines: int) -> None:
        try:
            while content:
                content = content[self._write(self._descriptor, content) :]
        except BlockingIOError:
            # Somebody made the descriptor non-blocking (a terminal shared with another program does that).
            with suppress(OSError):
                os.set_blocking(self._descriptor, True)
            self.dropped += lines
        except OSError:
            self.dropped += lines


class MemorySink:
    """Keeps lines, for tests and for ``trace``."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        """Keep one line."""
        self.lines.append(line)
