"""Where a stream's lines go: a file by a thread, or a program or socket."""

import asyncio
from pathlib import Path
from typing import Protocol

from paquebot_mta.config.reports import Subscriber
from paquebot_mta.filter.process.connect import ChildWay, SocketWay, Way
from paquebot_mta.filter.reports.files import RotatingFile
from paquebot_mta.filter.reports.pipes import PipeOutlet, Tell
from paquebot_mta.telemetry.sink import BufferedSink


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


def outlet_of(settings: Subscriber, process: str, tell: Tell) -> Outlet:
    """Make the outlet that a subscriber's settings name; of several processes each has a file of its own."""
    if settings.file:
        path = Path(settings.file)
        return FileOutlet(path.with_name(f"{path.name}-{process}") if process else path, settings)
    way: Way = SocketWay(settings.socket) if settings.socket else ChildWay(settings.command)
    return PipeOutlet(way, settings, tell)
