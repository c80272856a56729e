"""Sockets that are listened on: bound here, shared by workers, and accepted by hand if TLS or a proxy comes first."""

import asyncio
import os
import socket
import stat
from collections.abc import Callable
from typing import Final, Protocol

BACKLOG: Final = 1_024
UNIX: Final = "unix:"
_PAUSE_SECONDS: Final = 0.5


class Closeable(Protocol):
    """What listens and can be told to stop."""

    def close(self) -> None:
        """Take no new connections."""


class Opener(Protocol):
    """A session that takes an accepted socket."""

    async def open_accepted(self, connection: socket.socket) -> None:
        """Begin."""


class HandServer:
    """Accepts connections and gives each, still untouched, to a session of its own."""

    def __init__(self, begin: Callable[[], Opener], listening: socket.socket) -> None:
        """Listen on a bound socket, on the running loop."""
        listening.setblocking(False)
        listening.listen(BACKLOG)
        self._begin = begin
        self._listening = listening
        self._openings: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._accept())

    async def _accept(self) -> None:
        while True:
            try:
                connection, _ = await self._loop.sock_accept(self._listening)
            except OSError:  # out of descriptors: those who wait are served when some are free again
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            task = self._loop.create_task(self._open(connection))
            self._openings.add(task)
            task.add_done_callback(self._openings.discard)

    async def _open(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await self._begin().open_accepted(connection)
        except OSError:  # it was gone before it began
            connection.close()

    def close(self) -> None:
        """Take no new connections; what is being opened goes on until its deadline."""
        self._task.add_done_callback(lambda _: self._listening.close())
        self._task.cancel()


def bind(address: str, port: int) -> socket.socket:
    """Make a bound socket for an IP address, or for ``unix:/path`` (a socket left behind there is replaced).

    Raises:
        OSError: it can't be bound.
    """
    if address.startswith(UNIX):
        return _bind_path(address.removeprefix(UNIX))
    bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # workers share the port
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.bind((address, port))
    except OSError:
        bound.close()
        raise
    return bound


def _bind_path(path: str) -> socket.socket:
    if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
        os.unlink(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(path)
    except OSError:
        bound.close()
        raise
    return bound
