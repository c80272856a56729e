"""How a filter is reached: as a child of ours on a socket pair, or behind a unix socket where its bridge listens."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, cast

_LAUNCH: Final = str(Path(__file__).with_name("launch.py"))
_KEPT_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "TMPDIR")
_FILTER_PATH: Final = "/usr/libexec/opensmtpd:/usr/libexec/smtpd"
"""Where packages put programs that OpenSMTPD finds by their name alone."""
_TERM_SECONDS: Final = 1.0
_ERROR_LINE_BYTES: Final = 4_096

OnErrorLine = Callable[[str], None]
"""Takes a line that a filter wrote on its standard error; it may hold anything but line ends."""


class Running(Protocol):
    """A filter that is reached, beside its channel."""

    async def stop(self, grace_seconds: float) -> None:
        """End it, if it is ours; its channel is closed before, so that it may end by itself within the grace time."""
        ...

    @property
    def ending(self) -> str:
        """How it ended, empty if that isn't known."""
        ...


class Way(Protocol):
    """How to reach a filter."""

    async def connect(self, channel: asyncio.Protocol, on_error_line: OnErrorLine) -> Running:
        """Reach it. Raises OSError."""
        ...


class SocketWay:
    """A unix socket on which a bridge listens; each connection is a filter of its own there."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def connect(self, channel: asyncio.Protocol, on_error_line: OnErrorLine) -> Running:
        """Connect; the filter's standard error is its container's."""
        await asyncio.get_running_loop().create_unix_connection(lambda: channel, self._path)
        return _Remote()


class _Remote:
    ending = ""

    async def stop(self, grace_seconds: float) -> None:
        """Closing the channel is all: the bridge ends the filter then."""


class ChildWay:
    """A program that is run as a child: no shell, a session of its own, few variables, dead when we are."""

    def __init__(self, command: tuple[str, ...], environment: Mapping[str, str] = os.environ) -> None:
        self._command = command
        self._environment = {name: environment[name] for name in _KEPT_VARIABLES if name in environment}
        self._environment["PATH"] = f"{self._environment.get('PATH', os.defpath)}:{_FILTER_PATH}"

    async def connect(self, channel: asyncio.Protocol, on_error_line: OnErrorLine) -> Running:
        """Start it with one socket as its standard input and output, as OpenSMTPD does."""
        ours, its = socket.socketpair()
        child: _Child | None = None
        try:
            with its:
                child = await self._start(its, on_error_line)
            ours.setblocking(False)
            # Not create_unix_connection: where the child has ended by then uvloop closes the descriptor, and the socket
            # object closes it once more when it goes. Whoever has the number by then loses a connection, or a file.
            await asyncio.get_running_loop().connect_accepted_socket(lambda: channel, ours)
        except BaseException:
            ours.close()
            if child is not None:
                await asyncio.shield(child.stop(0.0))
            raise
        return child

    async def _start(self, its: socket.socket, on_error_line: OnErrorLine) -> "_Child":
        _, child = await asyncio.get_running_loop().subprocess_exec(
            lambda: _Child(on_error_line),
            sys.executable,
            "-I",
            "-S",
            _LAUNCH,
            str(os.getpid()),
            *self._command,
            stdin=its.fileno(),
            stdout=its.fileno(),
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            start_new_session=True,
            cwd="/",
        )
        return child


class _Child(asyncio.SubprocessProtocol):
    """A child process, by its id."""

    def __init__(self, on_error_line: OnErrorLine) -> None:
        self._on_error_line = on_error_line
        self._error = b""
        self._transport: asyncio.SubprocessTransport | None = None
        self._exited = asyncio.Event()
        self.ending = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It runs."""
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take standard error, line by line; a very long line is cut."""
        *lines, self._error = (self._error + data).split(b"\n")
        if len(self._error) > _ERROR_LINE_BYTES:
            lines.append(self._error)
            self._error = b""
        for line in lines:
            self._on_error_line(line[:_ERROR_LINE_BYTES].decode("utf-8", "replace"))

    def process_exited(self) -> None:
        """It is gone."""
        status = self._transport.get_returncode() if self._transport else None
        if status is not None:
            self.ending = f"signal {-status}" if status < 0 else f"status {status}"
        self._exited.set()

    async def stop(self, grace_seconds: float) -> None:
        """Wait for its end (its input has ended), then ask for it, then force it; the whole group each time."""
        for seconds, number in ((grace_seconds, signal.SIGTERM), (_TERM_SECONDS, signal.SIGKILL)):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._exited.wait(), seconds)
                break
            self._signal(number)
        await self._exited.wait()
        self._signal(signal.SIGKILL)  # what it started and left behind
        if self._transport is not None:
            self._transport.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._transport is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._transport.get_pid(), number)
