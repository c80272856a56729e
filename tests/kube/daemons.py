"""Processes that may outlive who started them: a file remembers each, so that a later run can end it.

A process id alone may belong to somebody else by then, so the file holds the time of its start, too. Must not know what
the processes do.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support.processes import PeerError, wait_until

_TAIL_LINES = 25
_STATE_FIELD, _START_FIELD = 0, 19
"""Fields of /proc/PID/stat counted from the one behind the command's name."""


class Daemon:
    """The process `name` of `directory`: log in `<name>.log`, identity in `<name>.pid`."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self.log_path = directory / f"{name}.log"
        self._identity = directory / f"{name}.pid"

    def start(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        """Start it as the leader of a session of its own."""
        # Not subprocess: it warns of a child that outlives its parent, which is what this is for.
        with self.log_path.open("ab") as log, Path(os.devnull).open("rb") as nothing:
            actions = [(os.POSIX_SPAWN_DUP2, source.fileno(), to) for source, to in ((nothing, 0), (log, 1), (log, 2))]
            pid = os.posix_spawn(argv[0], list(argv), {**os.environ, **(env or {})}, file_actions=actions, setsid=True)
        # Whole as soon as it is there: who is killed in between would leave a process that nobody finds.
        new = self._identity.with_suffix(".new")
        new.write_text(f"{pid} {_start_of(pid)}")
        new.replace(self._identity)

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        try:
            pid, start = self._identity.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        _reap(int(pid))
        return int(pid) if start == _start_of(int(pid)) else None

    def log_tail(self) -> str:
        """Return the last lines that it has printed."""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-_TAIL_LINES:])

    def wait_for(self, ready: Callable[[], bool], what: str, timeout_seconds: float) -> None:
        """Wait until `ready()`. Raises `PeerError` with the log's end when it ends first, or time is up."""

        def alive_and_ready() -> bool:
            if self.pid is None:
                raise PeerError(f"it ended before {what}")
            return ready()

        try:
            wait_until(alive_and_ready, what, timeout_seconds)
        except PeerError as error:
            raise PeerError(f"{self.name}: {error}; its log ends:\n{self.log_tail()}") from None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self, grace_seconds: float = 10.0) -> None:
        """End it by SIGTERM, after the grace time by SIGKILL, and forget it."""
        self.signal(signal.SIGCONT)
        if grace_seconds:
            self.signal(signal.SIGTERM)
            self._wait(grace_seconds)
        self.signal(signal.SIGKILL)
        self._wait(grace_seconds or 10.0)
        self._identity.unlink(missing_ok=True)

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.pid is not None and time.monotonic() < deadline:
            time.sleep(0.02)


def _start_of(pid: int) -> str | None:
    """Return when a process began, in clock ticks since boot; None when it is no more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[_STATE_FIELD] in "ZX" else fields[_START_FIELD]


def _reap(pid: int) -> None:
    """Take the exit status, if the process is a child of this one."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
