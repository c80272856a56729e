"""Sockets in the file system that several processes listen on: a path is one socket, and a port would be many.

They are made before the processes are, and get their names from the first one that needs them. All take connections
from the same queue; one that dies takes neither the socket nor who waits there with it.
"""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from paquebot_mta.accept.sockets import UNIX, bind, name_socket

MOST: Final = 32
"""A service has no more listeners."""


class SharedSockets:
    """Made once; each process forked later binds with it."""

    def __init__(self, number: int = MOST) -> None:
        """Make unnamed sockets.

        Raises:
            OSError: there are no descriptors.
        """
        self._sockets = tuple(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(number))
        self._lock = os.memfd_create("paquebot-sockets")

    def bind(self, address: str, port: int) -> socket.socket:
        """Make a bound socket as ``sockets.bind`` does; one in the file system is that of all processes.

        Raises:
            OSError: it can't be bound.
        """
        if not address.startswith(UNIX):
            return bind(address, port)
        path = address.removeprefix(UNIX)
        with self._locked():
            return self._named(path).dup()

    def close(self) -> None:
        """Leave them to the other processes."""
        for each in self._sockets:
            each.close()
        os.close(self._lock)

    def _named(self, path: str) -> socket.socket:
        for each in self._sockets:
            if each.getsockname() == path and os.path.exists(path):
                return each
        unnamed = next((each for each in self._sockets if not each.getsockname()), None)
        if unnamed is None:
            raise OSError(errno.EMFILE, "too many listeners in the file system")
        name_socket(unnamed, path)
        return unnamed

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time look and bind: such locks are each process's own, whoever made the file."""
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)
