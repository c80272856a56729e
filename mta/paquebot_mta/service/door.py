"""Ways in for programs on this machine: a socket that every user may connect to, and a connection from within."""

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from paquebot_mta.accept.host import Host
from paquebot_mta.accept.local import LocalSession
from paquebot_mta.accept.policy import ListenerPolicy
from paquebot_mta.admin.sockets import BACKLOG, BoundSocket, bind_private

EVERYBODY: Final = 0o666


class Door:
    """Sessions of local programs with an acceptor; ``policy`` gives what is in force."""

    def __init__(self, host: Host, policy: Callable[[], ListenerPolicy]) -> None:
        self._host, self._policy = host, policy
        self._bound: BoundSocket | None = None
        self._server: asyncio.Server | None = None

    async def open(self, path: Path) -> None:
        """Listen at a path; whoever can reach it may submit.

        Raises:
            OSError: it can't be bound there.
        """
        self._bound = bind_private(path)
        os.chmod(path, EVERYBODY)
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: LocalSession(self._host, self._policy()), sock=self._bound.listening, backlog=BACKLOG
        )

    async def connect(self, user_id: int) -> socket.socket:
        """Begin a session for a user; answers the client's end, which blocks."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: LocalSession(self._host, self._policy(), user_id), theirs
            )
        except BaseException:
            ours.close()
            theirs.close()
            raise
        return ours

    def close(self) -> None:
        """Take no new connections; harmless if it was never opened."""
        if self._server is not None:
            self._server.close()
        if self._bound is not None:
            self._bound.remove()
