"""A file that grows to a size, and is then put aside under a number; a few old ones are kept."""

import os
from contextlib import suppress
from pathlib import Path


class RotatingFile:
    """Appends to ``path``; ``path.1`` is the newest old one. All methods block: they belong to a thread.

    The newest part of an earlier run is gone on with.
    """

    def __init__(self, path: Path, max_bytes: int, keep: int) -> None:
        """Open nothing yet."""
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._descriptor: int | None = None
        self._size = 0

    def write(self, content: bytes) -> int:
        """Append whole lines, and say how many bytes; raises OSError."""
        descriptor = self._open()
        if self._size and self._size + len(content) > self._max_bytes:
            self._rotate()
            descriptor = self._open()
        written = os.write(descriptor, content)
        self._size += written
        return written

    def close(self) -> None:
        """Close it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        if self._descriptor is not None:
            return self._descriptor
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._descriptor).st_size
        return self._descriptor

    def _rotate(self) -> None:
        self.close()
        if not self._keep:
            self._path.unlink(missing_ok=True)
        for number in range(self._keep, 0, -1):
            older = self._path if number == 1 else self._old(number - 1)
            with suppress(FileNotFoundError):
                older.replace(self._old(number))

    def _old(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
