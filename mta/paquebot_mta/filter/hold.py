"""Content that waits for filters: the first bytes in memory, the rest in a file without a name, written off the loop.

Bounded twice: what one message may have is the listener's limit, what all of them may have on disk is the holder's.
"""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Final

from paquebot_mta.mail.header import find_body

MEMORY_BYTES: Final = 262_144
"""How much of a message is held in memory."""
DISK_BYTES: Final = 2_147_483_648
"""How much of all held messages may lie in files, unless told otherwise."""
_AHEAD_BYTES: Final = 65_536


class HoldError(Exception):
    """There is no room for the content, or the disk failed: a fault of ours (4yz)."""


class Holder:
    """Makes places for content, and counts what they take.

    Args:
        folder: for files; None is the system's own for temporary ones.
        disk_bytes: of all of them.
    """

    def __init__(self, folder: Path | None = None, disk_bytes: int = DISK_BYTES) -> None:
        self._folder = folder
        self._free = disk_bytes

    def hold(self) -> "Held":
        """Begin to hold a message."""
        return Held(self)

    def open(self) -> "_File":
        """Make a file without a name. Blocks. Raises OSError."""
        with tempfile.TemporaryFile(dir=self._folder, buffering=0) as file:
            return _File(os.dup(file.fileno()))

    def take(self, size: int) -> None:
        """Take room on the disk.

        Raises:
            HoldError: there is not so much.
        """
        if size > self._free:
            raise HoldError("no room for content that waits for filters")
        self._free -= size

    def give_back(self, size: int) -> None:
        """Give room back."""
        self._free += size


class _File:
    """A descriptor, closed when nobody has it any more: a thread that still writes has it, whoever was cancelled.

    Closed under that thread, the number could be another file's by then.
    """

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


class Held:
    """Content of one message (implements ``Content``)."""

    def __init__(self, holder: Holder) -> None:
        self._holder = holder
        self._head = bytearray()
        self._waiting = bytearray()
        self._on_disk = 0
        self._file: _File | None = None
        self._keepers = 0
        self._closed = False

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self._head) + self._on_disk + len(self._waiting)

    @property
    def header_size(self) -> int:
        """Bytes of the header section, the empty line included; of what is in memory if that line isn't there."""
        return find_body(self._head, len(self._head)) or len(self._head)

    def write(self, chunk: bytes) -> None:
        """Append; ``drain`` often enough."""
        room = MEMORY_BYTES - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        self._waiting += chunk

    async def drain(self) -> None:
        """Write what has come together, if that is much.

        Raises:
            HoldError: it can't be.
        """
        if len(self._waiting) >= _AHEAD_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write what has come together.

        Raises:
            HoldError: it can't be.
        """
        if not self._waiting:
            return
        self._holder.take(len(self._waiting))
        waiting, self._waiting = bytes(self._waiting), bytearray()
        self._on_disk += len(waiting)
        try:
            await asyncio.to_thread(self._append, waiting, self._on_disk - len(waiting))
        except OSError as error:
            raise HoldError(f"content can't be held: {error.strerror}") from error

    def _append(self, content: bytes, offset: int) -> None:
        file = self._file = self._file or self._holder.open()
        view = memoryview(content)
        while view:
            written = os.pwrite(file.descriptor, view, offset)
            view, offset = view[written:], offset + written

    async def read(self, offset: int, count: int) -> bytes:
        """Bytes from ``offset``; fewer at the end.

        Raises:
            HoldError: the disk failed.
        """
        await self.flush()
        found = bytes(self._head[offset : offset + count])
        missing = min(count, self.size - offset) - len(found)
        if missing <= 0:
            return found
        try:
            at = max(offset - len(self._head), 0)
            return found + await asyncio.to_thread(_read, self._file, missing, at)
        except OSError as error:
            raise HoldError(f"held content can't be read: {error.strerror}") from error

    def keep(self) -> None:
        """Let it be read after ``close``, until ``release``; nothing is written any more."""
        self._keepers += 1

    def release(self) -> None:
        """End a ``keep``."""
        self._keepers -= 1
        if self._closed:
            self.close()

    def close(self) -> None:
        """Forget it once nobody keeps it; harmless a second time."""
        self._closed = True
        if self._keepers:
            return
        self._file = None
        self._holder.give_back(self._on_disk)
        self._on_disk = 0
        self._head.clear()
        self._waiting.clear()


def _read(file: _File | None, count: int, offset: int) -> bytes:
    return b"" if file is None else os.pread(file.descriptor, count, offset)
