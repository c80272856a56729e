"""Pods whose mail server is a real `paquebot mta`: a thread keeps its directory and its Pod object, as a kubelet would.

On loopback all pods of a MailService share the listeners' ports, as the workers of one pod do.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from paquebot_mta.config.codec import digest
from tests.support.http_client import fetch, is_ok
from tests.support.processes import LOOPBACK, PeerError, PeerProcess, free_port

from .control_plane import ControlPlane
from .mini_kubelet import MirroredPod


class RealPod:
    """One pod; `directory` is its own, and survives a restart as a volume does."""

    def __init__(self, plane: ControlPlane, namespace: str, service: str, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.admin_port = free_port()
        self._argv = [
            *(sys.executable, "-m", "paquebot_mta", "mta", "--workers", "1", "--log-format", "json"),
            *("--config", str(directory / "config"), "--spool", str(directory / "spool")),
            *("--runtime", str(directory / "run"), "--admin", f"{LOOPBACK}:{self.admin_port}"),
            *("--grace-seconds", "1"),
        ]
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config").mkdir(exist_ok=True)
        self.mirror = MirroredPod(
            plane,
            namespace,
            service,
            name,
            port=self.admin_port,
            directory=directory / "config",
            is_ready=self.is_ready,
        )
        self.process = self._start()

    def get(self, path: str) -> tuple[int, bytes]:
        """Ask its admin port. Raises OSError when nothing listens."""
        return fetch(self.admin_port, path)

    def is_ready(self) -> bool:
        """Whether it says that it is ready."""
        return is_ok(self.admin_port, "/readyz")

    def config(self) -> dict[str, Any]:
        """What its admin port says of its configuration."""
        found: dict[str, Any] = json.loads(self.get("/config")[1])
        return found

    def runs_newest(self) -> bool:
        """Whether what it runs is what lies in its directory."""
        index = (self.directory / "config" / "index.json").read_bytes()
        return bool(self.config()["digest"] == digest(index))

    def restart(self) -> None:
        """End it and start it again on the same volume."""
        self.process.terminate(15.0)
        self.process = self._start()

    def end(self) -> None:
        """End both, the mail server and what keeps its directory."""
        self.mirror.end()
        try:
            self.process.terminate(15.0)
        except (PeerError, ProcessLookupError):
            self.process.kill()

    def _start(self) -> PeerProcess:
        return PeerProcess(self._argv, self.directory / "mta.log")


@contextmanager
def real_pods(
    plane: ControlPlane, namespace: str, service: str, count: int, directory: Path
) -> Iterator[list[RealPod]]:
    """Yield pods of a MailService, ended afterwards; they are ready once the operator has configured them."""
    with ExitStack() as ending:
        pods = []
        for number in range(count):
            name = f"{service}-{number}"
            pods.append(RealPod(plane, namespace, service, name, directory / name))
            ending.callback(pods[-1].end)
        yield pods
