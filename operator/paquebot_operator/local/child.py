"""The MTA as a child process: started, told of signals, waited for."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from types import FrameType

from paquebot_operator.local.state import State

ADMIN = "127.0.0.1:9025"
READY_SECONDS = 20.0
FORWARDED = (signal.SIGINT, signal.SIGTERM)


def command_line(state: State, workers: int, admin: str, log_format: str) -> list[str]:
    """How the MTA is started, to end with us however we end."""
    return [
        *(sys.executable, "-m", "paquebot_mta", "mta"),
        *("--config", str(state.config)),
        *("--spool", str(state.spool)),
        *("--runtime", str(state.runtime)),
        *("--workers", str(workers)),
        *("--admin", admin),
        *("--log-format", log_format),
        *("--parent", str(os.getpid())),
    ]


@contextmanager
def started(arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a child in a session of its own, so that Ctrl-C reaches it once: SIGINT and SIGTERM are passed on.

    It is killed if this context is left by an error.
    """
    child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 - our own program

    def pass_on(number: int, _: FrameType | None) -> None:
        child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in FORWARDED}
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_ready(child: subprocess.Popen[bytes], admin: str) -> int | None:
    """Wait until the MTA says that it is ready; its exit code if it ended instead, None if it runs.

    One that takes longer than ``READY_SECONDS`` (a big queue is being recovered) is left to itself.
    """
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        code = exited(child, 0.1)
        if code is not None or _is_ready(admin):
            return code
    return None


def _is_ready(admin: str) -> bool:
    host, _, port = admin.rpartition(":")
    connection = HTTPConnection(host.strip("[]"), int(port), timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def exited(child: subprocess.Popen[bytes], timeout_seconds: float) -> int | None:
    """The child's exit code as a shell has it (128 + signal), None if it still runs after the timeout."""
    try:
        code = child.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        return None
    return 128 - code if code < 0 else code
