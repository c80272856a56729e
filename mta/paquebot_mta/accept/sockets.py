"""Sockets that are listened on: bound here, shared by workers, and accepted by hand if TLS or a proxy comes first."""

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Callable
from typing import Final, Protocol

from paquebot_mta.accept.link import LinkSession

BACKLOG: Final = 1_024
UNIX: Final = "unix:"
EVERYBODY: Final = 0o666
"""Mode of sockets in the file system."""
_PAUSE_SECONDS: Final = 0.5
_TURNS: Final = 2


class Server(Protocol):
    """What takes connections from a socket that is listened on, and can be told to stop."""

    def close(self) -> None:
        """Take no new connections; the socket is closed, too."""

    async def stop(self) -> None:
        """Close, and lose none that was taken: each has its session by then."""


class HandServer:
    """Accepts connections and gives each, still untouched, to a session of its own."""

    def __init__(self, begin: Callable[[], LinkSession], listening: socket.socket) -> None:
        """Listen on a bound socket, on the running loop."""
        listening.setblocking(False)
        listening.listen(BACKLOG)
        self._begin = begin
        self._listening = listening
        self._openings: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._resume()

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError:  # out of descriptors: those who wait are served when some are free again
            self._loop.remove_reader(self._listening)
            self._pause = self._loop.call_later(_PAUSE_SECONDS, self._resume)
            return
        # The session begins here: what is in force may be another when its task runs.
        task = self._loop.create_task(self._open(self._begin(), connection))
        self._openings.add(task)
        task.add_done_callback(self._openings.discard)

    async def _open(self, session: LinkSession, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await session.open_accepted(connection)
        except OSError:  # it was gone before it began
            connection.close()

    def close(self) -> None:
        """Take no new connections; what is being opened goes on until its deadline."""
        if self._pause is not None:
            self._pause.cancel()
        elif self._listening.fileno() >= 0:
            self._loop.remove_reader(self._listening)
        self._listening.close()

    async def stop(self) -> None:
        """Close: what was accepted has its session already."""
        self.close()


class LoopServer:
    """Connections that the event loop accepts: whose first bytes are ours, not those of TLS or of a proxy."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Take no new connections."""
        self._server.close()

    async def stop(self) -> None:
        """Close once what was accepted has its session: asyncio's own loop begins it a turn later."""
        for each in self._server.sockets:
            self._loop.remove_reader(each.fileno())
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        self._server.close()


async def serve(begin: Callable[[], LinkSession], listening: socket.socket, *, by_hand: bool) -> Server:
    """Take connections from a bound socket, the server's from now on; ``by_hand`` if TLS or a proxy comes first."""
    if by_hand:
        return HandServer(begin, listening)
    loop = asyncio.get_running_loop()
    if listening.family == socket.AF_UNIX:
        return LoopServer(await loop.create_unix_server(begin, sock=listening, backlog=BACKLOG))
    return LoopServer(await loop.create_server(begin, sock=listening, backlog=BACKLOG))


def bind(address: str, port: int) -> socket.socket:
    """Make a bound socket for an IP address, or for ``unix:/path`` (a socket left behind there is replaced).

    Raises:
        OSError: it can't be bound; ``EADDRINUSE`` if somebody listens at that path.
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
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        name_socket(bound, path)
    except OSError:
        bound.close()
        raise
    return bound


def name_socket(unnamed: socket.socket, path: str) -> None:
    """Bind to a path. Who can reach the folder may connect: programs that submit mail have users of their own.

    Raises:
        OSError: it can't be bound; ``EADDRINUSE`` if something else is there, or a socket that a process listens on.
    """
    if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
        _remove_dead(path)
    unnamed.bind(path)
    os.chmod(path, EVERYBODY)


def _remove_dead(path: str) -> None:
    """Remove a socket that was left behind: nobody listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:  # so many wait there that it is full
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
