"""The admin port: health, readiness, metrics and configuration of all workers of a pod, read-only, over TCP.

A worker is asked through its controls or its socket, and has two seconds; one that doesn't answer is named, left out
of the metrics and counted there. It promises never to change anything.
"""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from aiohttp import ClientError, ClientSession, UnixConnector, web

from paquebot_mta.admin.controls import Status, Tells
from paquebot_mta.admin.http import Running, failure, json_response, metrics_response, serve
from paquebot_mta.telemetry.merge import merge_expositions

WORKER_TIMEOUT_SECONDS: Final = 2.0
BACKLOG: Final = 64

Source = Tells | Path
"""A worker: itself if it is this process, else its socket."""
Answer = TypeVar("Answer")


class Silent(msgspec.Struct, frozen=True):
    """A worker that did not answer, and why."""

    worker: str
    error: str


class WorkerConfig(msgspec.Struct, frozen=True, rename="camel"):
    """The configuration one worker uses."""

    worker: str
    pid: int
    generation: int
    digest: str
    rejected_digest: str
    rejected_reason: str


class Config(msgspec.Struct, frozen=True, rename="camel"):
    """The configuration in use: the oldest of the workers', so that a generation counts once all have it.

    ``generation`` is 0 and ``digest`` empty if no worker answers; ``rejected_*`` are of the first that refused one.
    """

    generation: int
    digest: str
    rejected_digest: str
    rejected_reason: str
    workers: tuple[WorkerConfig | Silent, ...]


class AdminPort:
    """Handlers over 1 to N workers."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    def routes(self) -> list[web.RouteDef]:
        """All routes of the port."""
        return [
            web.get("/metrics", self.metrics),
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/config", self.config),
        ]

    async def metrics(self, _request: web.Request) -> web.Response:
        """All workers' metrics in one exposition; 503 if none answers."""
        answers = await self._ask(_metrics)
        texts = [text for text in answers if isinstance(text, bytes)]
        if not texts:
            return failure(HTTPStatus.SERVICE_UNAVAILABLE, "; ".join(_complaints(answers)))
        # Off the loop: two workers' thousands of series take milliseconds to merge.
        merged = texts[0] if len(texts) == 1 else await asyncio.to_thread(merge_expositions, texts)
        return metrics_response(merged + _worker_counts(len(texts), len(answers)))

    async def healthz(self, _request: web.Request) -> web.Response:
        """200 if all workers are healthy."""
        answers = await self._ask(_status)
        reasons = [*_complaints(answers), *(f"{s.worker}: unhealthy" for s in _statuses(answers) if not s.healthy)]
        return _verdict("healthy", reasons)

    async def readyz(self, _request: web.Request) -> web.Response:
        """200 if all workers accept and deliver: the kernel gives connections to any of them; warnings beside."""
        answers = await self._ask(_status)
        unready = [status for status in _statuses(answers) if not status.ready]
        reasons = [f"{status.worker}: {reason}" for status in unready for reason in status.reasons or ("not ready",)]
        warnings = [f"{status.worker}: {each}" for status in _statuses(answers) for each in status.warnings]
        return _verdict("ready", [*_complaints(answers), *reasons], {"warnings": warnings})

    async def config(self, _request: web.Request) -> web.Response:
        """Which configuration is in use (Config)."""
        return json_response(_config(await self._ask(_status)))

    async def _ask(self, question: Callable[[Source], Awaitable[Answer]]) -> list[Answer | Silent]:
        """Ask all workers at once."""
        return list(await asyncio.gather(*(_in_time(source, question) for source in self._sources)))


async def _in_time(source: Source, question: Callable[[Source], Awaitable[Answer]]) -> Answer | Silent:
    try:
        async with asyncio.timeout(WORKER_TIMEOUT_SECONDS):
            return await question(source)
    except TimeoutError:
        return Silent(_name(source), f"no answer within {WORKER_TIMEOUT_SECONDS:g} s")
    except (OSError, ClientError, msgspec.MsgspecError) as error:
        return Silent(_name(source), f"{type(error).__name__}: {error}")


def _name(source: Source) -> str:
    return source.stem if isinstance(source, Path) else source.status().worker


async def _metrics(source: Source) -> bytes:
    return await _get(source, "/metrics") if isinstance(source, Path) else await source.metrics()


async def _status(source: Source) -> Status:
    if isinstance(source, Path):
        return msgspec.json.decode(await _get(source, "/status"), type=Status)
    return source.status()


async def _get(path: Path, resource: str) -> bytes:
    """Fetch from a worker's socket; raises ClientError or OSError."""
    async with (
        ClientSession(connector=UnixConnector(str(path)), raise_for_status=True) as client,
        client.get(f"http://worker{resource}") as response,
    ):
        return await response.read()


def _statuses(answers: Iterable[Status | Silent]) -> list[Status]:
    return [answer for answer in answers if isinstance(answer, Status)]


def _complaints(answers: Iterable[object]) -> list[str]:
    return [f"{answer.worker}: {answer.error}" for answer in answers if isinstance(answer, Silent)]


def _verdict(name: str, reasons: Sequence[str], more: Mapping[str, Sequence[str]] | None = None) -> web.Response:
    status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    return json_response({name: not reasons, "reasons": reasons, **(more or {})}, status)


def _worker_counts(answering: int, asked: int) -> bytes:
    """The port's own metric: a worker that doesn't answer can't count itself."""
    return (
        b"# HELP paquebot_workers Worker processes of this pod, by whether they answer the admin port.\n"
        b"# TYPE paquebot_workers gauge\n"
        b'paquebot_workers{state="answering"} %d\npaquebot_workers{state="silent"} %d\n'
    ) % (answering, asked - answering)


def _config(answers: Sequence[Status | Silent]) -> Config:
    statuses = _statuses(answers)
    oldest = min(statuses, key=lambda status: status.generation, default=None)
    refused = next((status for status in statuses if status.rejected_digest), None)
    return Config(
        oldest.generation if oldest else 0,
        oldest.digest if oldest else "",
        refused.rejected_digest if refused else "",
        refused.rejected_reason if refused else "",
        tuple(_worker_config(answer) if isinstance(answer, Status) else answer for answer in answers),
    )


def _worker_config(status: Status) -> WorkerConfig:
    return WorkerConfig(
        status.worker, status.pid, status.generation, status.digest, status.rejected_digest, status.rejected_reason
    )


async def start_admin_port(host: str, port: int, sources: Sequence[Source]) -> Running:
    """Serve the port on an address literal; port 0 lets the system choose (see ``address``).

    ``::`` is every address of both families, and of IPv4 alone on a machine without IPv6.

    Raises:
        OSError: the address can't be bound.
    """
    listening = _listen(host, port)
    listening.setblocking(False)
    bound, number = listening.getsockname()[:2]
    shown = f"[{bound}]" if ":" in bound else bound
    return Running(f"{shown}:{number}", await serve(AdminPort(sources).routes(), listening))


def _listen(host: str, port: int) -> socket.socket:
    if host != "::":
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    try:
        return socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG)
    except OSError as error:
        if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
    return socket.create_server(("", port), backlog=BACKLOG)
