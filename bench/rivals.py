"""Exim, OpenSMTPD and Haraka beside Paquebot, each in the scenario that it is known for.

Exim only queues (`queue_only`) and OpenSMTPD's relaying is paused: as Paquebot's, while only accepting is measured.
Exim syncs each message before its 250; OpenSMTPD and Haraka don't sync at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from bench.haraka import PROCESSES, running_haraka
from bench.plan import SESSIONS, Rival
from bench.servers import Server
from tests.support.certificates import CertificateAuthority, CertificateFiles
from tests.support.exim import EximSettings, running_exim
from tests.support.next_hop import Hop
from tests.support.opensmtpd import OpenSmtpdSettings, running_opensmtpd
from tests.support.processes import PeerProcess

OPENSMTPD_SESSIONS = 4
"""Only 5 connections may wait for it to accept them: of 20 at once most would be dropped, and come a second later."""
TITLES: Mapping[Rival, str] = {
    "exim": "exim, queue only",
    "opensmtpd": f"opensmtpd, {OPENSMTPD_SESSIONS} sessions",
    "haraka": f"haraka, {PROCESSES} processes",
}


class FileQueueServer:
    """A server whose queue are files below a directory, one that counts for each message."""

    def __init__(self, name: Rival, port: int, process: PeerProcess, queue: Path, pattern: str) -> None:
        self.name = TITLES[name]
        self.port = port
        self.session = process.pid
        self.sessions = OPENSMTPD_SESSIONS if name == "opensmtpd" else SESSIONS
        self._queue = queue
        self._pattern = pattern

    def queued(self) -> int:
        """Count the messages in its queue."""
        return sum(1 for _ in self._queue.glob(self._pattern))

    def clear(self) -> None:
        """Delete what it queued: it has read nothing of it and never will."""
        for found in sorted(self._queue.glob(self._pattern)):
            if found.is_dir():
                shutil.rmtree(found)
            else:
                for part in self._queue.glob(f"{found.name.removesuffix('-H')}-*"):
                    part.unlink()


def running_rival(name: Rival, directory: Path, next_hop: int) -> AbstractContextManager[Server]:
    """Run one until the end of the block. Raises `PeerError` if this machine lacks it."""
    return _STARTS[name](directory, next_hop)


@contextmanager
def _running_exim(directory: Path, next_hop: int) -> Iterator[Server]:
    settings = EximSettings(default=Hop(next_hop), certificate=_certificate(directory), only_queues=True)
    with running_exim(directory / "exim", settings) as exim:
        yield FileQueueServer("exim", exim.port, exim.process, exim.directory / "spool" / "input", "*-H")


@contextmanager
def running_opensmtpd_server(directory: Path, next_hop: int, filter_command: str = "") -> Iterator[Server]:
    """Run OpenSMTPD, which delivers nothing, until the end of the block; a command filters all its sessions."""
    settings = OpenSmtpdSettings(
        default=Hop(next_hop), certificate=_certificate(directory), only_queues=True, filter_command=filter_command
    )
    with running_opensmtpd(directory / "opensmtpd", settings) as opensmtpd:
        queue = opensmtpd.directory / "spool" / "smtpd" / "queue"
        yield FileQueueServer("opensmtpd", opensmtpd.port, opensmtpd.process, queue, "*/*")


@contextmanager
def _running_haraka(directory: Path, next_hop: int) -> Iterator[Server]:
    with running_haraka(directory, next_hop) as haraka:
        yield FileQueueServer("haraka", haraka.port, haraka.process, haraka.queue, "[0-9]*")


_STARTS: Mapping[Rival, Callable[[Path, int], AbstractContextManager[Server]]] = {
    "exim": _running_exim,
    "opensmtpd": running_opensmtpd_server,
    "haraka": _running_haraka,
}


def _certificate(directory: Path) -> CertificateFiles:
    """Make what the harnesses want; nothing is encrypted here."""
    directory.mkdir(exist_ok=True)
    return CertificateAuthority(directory).issue("rival.test")
