"""A way to the API server that can be cut: the operator sees an outage while tests go on changing objects."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import LOOPBACK

from .control_plane import ControlPlane

CHUNK = 65_536


class Way:
    """Forwards connections of `port` to the API server; `kubeconfig` leads through it."""

    def __init__(self, plane: ControlPlane, directory: Path) -> None:
        self._target = (plane.address.host, plane.address.port)
        self._server = socket.create_server((LOOPBACK, 0))
        self.port = self._server.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._is_cut = False
        text = plane.api.kubeconfig.read_text().replace(plane.api.url, f"https://{LOOPBACK}:{self.port}")
        self.kubeconfig = directory / "severed.kubeconfig"
        self.kubeconfig.write_text(text)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break all connections and refuse new ones."""
        self._is_cut = True
        self._drop()

    def mend(self) -> None:
        """Let connections through again."""
        self._is_cut = False

    def close(self) -> None:
        """End it."""
        self._server.close()
        self._drop()

    def _drop(self) -> None:
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            if self._is_cut:
                near.close()
                continue
            try:
                far = socket.create_connection(self._target, timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self._open.update({near, far})
            threading.Thread(target=self._pump, args=(near, far), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK):
                target.sendall(chunk)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        if source in self._open:
            self._open.discard(source)
            source.close()


@contextmanager
def severable(plane: ControlPlane, directory: Path) -> Iterator[Way]:
    """Yield a way to the API server, closed afterwards."""
    way = Way(plane, directory)
    try:
        yield way
    finally:
        way.close()
