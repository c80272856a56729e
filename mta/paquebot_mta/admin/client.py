"""The command line's side of the control sockets: plain ``http.client`` over unix sockets, no event loop.

It promises that a worker that is gone, slow or confused is a value or one clear error, never a traceback.
"""

import contextlib
import http.client
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from paquebot_mta.admin.sockets import PATTERN

TIMEOUT_SECONDS: Final = 30.0
MAX_LINE_BYTES: Final = 1_048_576
CHUNK_BYTES: Final = 65_536

Answer = TypeVar("Answer")


class WorkerError(Exception):
    """A worker answered that it can't, or broke off. ``status`` is HTTP's, 0 if there was no whole answer."""

    def __init__(self, worker: str, status: int, reason: str) -> None:
        super().__init__(f"{worker}: {reason}")
        self.status = status


class WorkerGoneError(WorkerError):
    """Nobody listens on the socket: a killed process left it."""


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout_seconds: float | None) -> None:
        super().__init__("worker", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        """Connect to the path instead of the host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True)
class Worker:
    """One worker's control socket."""

    path: Path

    @property
    def name(self) -> str:
        """``worker-0``."""
        return self.path.stem

    def get(self, resource: str, kind: type[Answer]) -> Answer:
        """Read a JSON value; raises WorkerError."""
        return self._call("GET", resource, None, kind)

    def post(self, resource: str, body: object, kind: type[Answer]) -> Answer:
        """Send a JSON value and read one; raises WorkerError."""
        return self._call("POST", resource, msgspec.json.encode(body), kind)

    def lines(self, resource: str, timeout_seconds: float | None = TIMEOUT_SECONDS) -> Iterator[bytes]:
        """Read a stream of lines, each with its end; raises WorkerError when it breaks off. None waits for ever."""
        begun = b""
        for chunk in self.chunks(resource, timeout_seconds):
            *lines, begun = (begun + chunk).split(b"\n")
            yield from (line + b"\n" for line in lines if line)
            if len(begun) > MAX_LINE_BYTES:
                raise WorkerError(self.name, 0, f"sent a line of more than {MAX_LINE_BYTES} bytes")
        if begun:
            raise WorkerError(self.name, 0, "broke off within a line")

    def values(self, resource: str, kind: type[Answer]) -> Iterator[Answer]:
        """Read a stream of JSON lines; raises WorkerError when it breaks off or is something else."""
        decoder = msgspec.json.Decoder(kind)
        with self._faults():
            for line in self.lines(resource):
                yield decoder.decode(line)

    def chunks(self, resource: str, timeout_seconds: float | None = TIMEOUT_SECONDS) -> Iterator[bytes]:
        """Read a stream of bytes; raises WorkerError when it breaks off (``readline`` would take that for its end)."""
        with self._asked("GET", resource, None, timeout_seconds) as response, self._faults():
            while chunk := response.read1(CHUNK_BYTES):
                yield chunk

    def _call(self, method: str, resource: str, body: bytes | None, kind: type[Answer]) -> Answer:
        with self._asked(method, resource, body, TIMEOUT_SECONDS) as response, self._faults():
            return msgspec.json.decode(response.read(), type=kind)

    @contextlib.contextmanager
    def _asked(
        self, method: str, resource: str, body: bytes | None, timeout_seconds: float | None
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request; a refusal is raised as WorkerError."""
        connection = _Connection(self.path, timeout_seconds)
        with contextlib.closing(connection):
            with self._faults():
                connection.request(method, quote(resource, safe="/?=&"), body)
                response = connection.getresponse()
                if response.status != http.HTTPStatus.OK:
                    raise WorkerError(self.name, response.status, _reason(response))
            yield response

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn what a socket and a parser raise into WorkerError."""
        try:
            yield
        except (ConnectionRefusedError, FileNotFoundError) as error:
            raise WorkerGoneError(self.name, 0, "nothing listens on its socket") from error
        except TimeoutError as error:
            raise WorkerError(self.name, 0, f"no answer within {TIMEOUT_SECONDS:g} s") from error
        except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
            raise WorkerError(self.name, 0, f"broke off: {type(error).__name__}: {error}") from error


def _reason(response: http.client.HTTPResponse) -> str:
    body = response.read(MAX_LINE_BYTES)
    try:
        return msgspec.json.decode(body, type=dict[str, str])["error"]
    except (msgspec.MsgspecError, KeyError):
        return f"answered {response.status}"


def find_workers(runtime: Path) -> Sequence[Worker]:
    """List the control sockets of a runtime directory, by name; none if it isn't there."""
    return [Worker(path) for path in sorted(runtime.glob(PATTERN)) if path.is_socket()]
