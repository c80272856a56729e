"""Child processes of a test: start, wait until ready within a bound, end by process id.

Every failure names the process and prints the end of its log. Must not know what the process speaks.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.02
UNIX_PATH_MAX = 107
PORTS = range(20_000, 30_000)


class PeerError(Exception):
    """A peer didn't do in time what the test needs; the message holds its log's tail."""


@dataclass(frozen=True)
class CommandResult:
    """A finished command: its exit status and what it printed on stdout and stderr."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes

    def checked(self) -> Self:
        """Return itself, or raise `PeerError` with the output when the exit status isn't 0."""
        if self.returncode != 0:
            text = (self.stdout + self.stderr).decode(errors="replace")
            raise PeerError(f"{' '.join(self.argv)} exited with {self.returncode}:\n{text}")
        return self


def run_command(argv: Sequence[str], *, stdin: bytes = b"", timeout_seconds: float = 30.0) -> CommandResult:
    """Run a command to its end. Raises `PeerError` when it takes longer than the timeout."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout_seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"{' '.join(argv)} took longer than {timeout_seconds} s") from error
    return CommandResult(tuple(argv), done.returncode, done.stdout, done.stderr)


def find_program(name: str) -> str:
    """Return the path of an installed program, in sbin too. Raises `PeerError` that says what to install."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise PeerError(f"{name} is not installed: run `make setup` (packages in tools/debian-packages.txt)")
    return found


def free_port() -> int:
    """Return a TCP port that was free on loopback a moment ago, for UDP as well.

    It is none of those that the kernel gives to connections: one of these could have it before who asked for it.
    """
    while True:
        port = random.choice(PORTS)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp, contextlib.suppress(OSError):
            tcp.bind((LOOPBACK, port))
            udp.bind((LOOPBACK, port))
            return port


@contextlib.contextmanager
def peer_directory(parent: Path | None = None) -> Iterator[Path]:
    """Make a short directory that other users may traverse, below /tmp or `parent`, and remove it afterwards.

    pytest's own `tmp_path` lies below a directory of mode 0700, where a peer that gave up root can't reach its files,
    and is often too long for the path of a unix socket.
    """
    path = Path(tempfile.mkdtemp(prefix="paquebot-peer-", dir=parent))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def check_traversable(directory: Path) -> None:
    """Raise `PeerError` when another user can't reach `directory`, which a peer that gives up root needs."""
    closed = [str(path) for path in (directory, *directory.parents) if not path.stat().st_mode & 0o001]
    if closed:
        raise PeerError(f"{directory} is closed to other users by {', '.join(closed)}: use peer_directory()")


def wait_until(ready: Callable[[], bool], what: str, timeout_seconds: float = 10.0) -> None:
    """Wait until `ready()` is true. Raises `PeerError` naming `what` after the timeout."""
    deadline = time.monotonic() + timeout_seconds
    while not ready():
        if time.monotonic() > deadline:
            raise PeerError(f"waited {timeout_seconds} s in vain for {what}")
        time.sleep(POLL_SECONDS)


def accepts(port: int) -> bool:
    """Tell whether something on loopback accepts a TCP connection to `port`."""
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1.0):
        return True
    return False


def accepts_unix(path: Path) -> bool:
    """Tell whether something accepts a connection to the unix socket at `path`."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        client.connect(str(path))
        return True
    return False


class PeerProcess:
    """One started process, leader of its own process group; stdout and stderr go to `log_path`.

    As a context manager it is terminated at the end of the block.
    """

    def __init__(
        self, argv: Sequence[str], log_path: Path, *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self.name = Path(argv[0]).name
        self.log_path = log_path
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if env is None else {**os.environ, **env},
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id, which is the id of the process group too."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def log(self) -> str:
        """Return everything the process has printed."""
        return self.log_path.read_text(errors="replace")

    def log_end(self, size_bytes: int = 4096) -> str:
        """Return the last bytes the process has printed: cheap enough to poll a long log."""
        with self.log_path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - size_bytes))
            return log.read().decode(errors="replace")

    def log_tail(self, lines: int = 40) -> str:
        """Return the last lines the process has printed."""
        return "\n".join(self.log().splitlines()[-lines:])

    def wait_for(self, ready: Callable[[], bool], what: str, timeout_seconds: float = 15.0) -> None:
        """Wait until `ready()`. Raises `PeerError` with the log's tail when the process ends first or time is up."""

        def alive_and_ready() -> bool:
            if self.returncode is not None:
                raise PeerError(f"it ended with {self.returncode} before {what}")
            return ready()

        try:
            wait_until(alive_and_ready, what, timeout_seconds)
        except PeerError as error:
            raise PeerError(f"{self.name} (pid {self.pid}): {error}; its log ends:\n{self.log_tail()}") from None

    def wait_for_port(self, port: int, timeout_seconds: float = 15.0) -> None:
        """Wait until the process accepts TCP connections on loopback."""
        self.wait_for(lambda: accepts(port), f"port {port}", timeout_seconds)

    def wait_for_socket(self, path: Path, timeout_seconds: float = 15.0) -> None:
        """Wait until the process accepts connections on the unix socket `path`."""
        self.wait_for(lambda: accepts_unix(path), f"socket {path}", timeout_seconds)

    def wait_for_log(self, pattern: str, timeout_seconds: float = 15.0) -> re.Match[str]:
        """Wait until the log matches the regular expression, and return the first match."""
        self.wait_for(lambda: re.search(pattern, self.log()) is not None, f"log line {pattern!r}", timeout_seconds)
        found = re.search(pattern, self.log())
        assert found is not None
        return found

    def wait(self, timeout_seconds: float = 30.0) -> int:
        """Wait for the end of the process and return its exit status. Raises `PeerError` after the timeout."""
        try:
            return self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            tail = self.log_tail()
            raise PeerError(f"{self.name} still runs after {timeout_seconds} s; its log ends:\n{tail}") from None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process alone; nothing happens when it has ended."""
        self._process.send_signal(number)

    def terminate(self, grace_seconds: float = 10.0) -> int:
        """End it by SIGTERM, after the grace time by SIGKILL to its group; return the exit status."""
        self.signal(signal.SIGTERM)
        try:
            status = self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            return self.kill()
        self._kill_group()
        return status

    def kill(self) -> int:
        """End the process and its group by SIGKILL at once; return the exit status."""
        self._kill_group()
        return self._process.wait()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminate()
