"""A way to the API server on which things go wrong: it is cut, refuses, or the operator dies at a certain write.

It speaks plain HTTP to the operator and is the admin for the API server; it reads requests, and changes none.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import cast

import aiohttp
from aiohttp import web

from tests.support.loop_thread import in_thread
from tests.support.processes import LOOPBACK, free_port

from .control_plane import ControlPlane
from .watched import open_session

CHUNK = 65_536
GONE = b'"code":410'


class Fate(Enum):
    """What becomes of a request."""

    PASSES = auto()
    REFUSED = auto()
    """429, with Retry-After (RFC 6585, 4)."""
    NEVER_ARRIVES = auto()
    """The API server hears nothing of it, and who sent it is told nothing."""
    NEVER_ANSWERED = auto()
    """The API server does it, and who sent it is told nothing."""


@dataclass(frozen=True)
class Asked:
    """A request: its method and its target."""

    method: str
    target: str

    @property
    def writes(self) -> bool:
        """Whether it writes anything but the Lease."""
        dry = "dryRun=All" in self.target
        return self.method in {"POST", "PUT", "PATCH", "DELETE"} and not dry and "/leases" not in self.target

    @property
    def is_watch(self) -> bool:
        """Whether it is a stream of events."""
        return "watch=true" in self.target


def passes(_: Asked) -> Fate:
    """Let everything through."""
    return Fate.PASSES


class Tamper:
    """`kubeconfig` leads through it; `decide` says what becomes of each request, and may be changed at any time.

    Attributes:
        asked: all requests but watches, oldest first.
        expired: watches that were told that their version is too old (410).
    """

    def __init__(self, plane: ControlPlane, directory: Path) -> None:
        self.port = free_port()
        self.decide: Callable[[Asked], Fate] = passes
        self.asked: list[Asked] = []
        self.expired = 0
        self._plane = plane
        self._cut = threading.Event()
        self._open: dict[asyncio.Task[None], web.BaseRequest] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        directory.mkdir(parents=True, exist_ok=True)
        self.kubeconfig = directory / f"tampered-{self.port}.kubeconfig"
        self.kubeconfig.write_text(json.dumps(_kubeconfig(f"http://{LOOPBACK}:{self.port}")))

    def writes(self) -> list[Asked]:
        """Requests that wrote."""
        return [each for each in self.asked if each.writes]

    def cut(self) -> None:
        """Break all connections, and every new one."""
        self._cut.set()
        assert self._loop is not None
        for request in list(self._open.values()):
            self._loop.call_soon_threadsafe(_abort, request)

    def mend(self) -> None:
        """Let connections through again."""
        self._cut.clear()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Tamper]:
        """Serve until the end of the block."""
        self._loop = asyncio.get_running_loop()
        certificates, ca = self._plane.authority.directory, str(self._plane.authority.path)
        async with open_session(
            self._plane.api.url, ca, str(certificates / "admin.crt"), str(certificates / "admin.key")
        ) as self._session:
            runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, LOOPBACK, self.port).start()
            try:
                yield self
            finally:
                for handler, request in self._open.items():
                    _abort(request)
                    handler.cancel()
                await runner.cleanup()
                await asyncio.sleep(0.1)  # what was aborted ends by itself

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body, asked = await request.read(), Asked(request.method, request.path_qs)
        if self._cut.is_set():
            _abort(request)
            return web.Response(status=502)
        if not asked.is_watch:
            self.asked.append(asked)
        fate = self.decide(asked)
        if fate is Fate.REFUSED:
            status = {"kind": "Status", "apiVersion": "v1", "code": 429, "reason": "TooManyRequests"}
            return web.json_response(status, status=429, headers={"Retry-After": "1"})
        if fate is Fate.NEVER_ARRIVES:
            _abort(request)
            return web.Response(status=502)
        handler = cast("asyncio.Task[None]", asyncio.current_task())
        self._open[handler] = request
        try:
            return await self._forward(request, asked, body, fate)
        except aiohttp.ClientError:
            _abort(request)
            return web.Response(status=502)
        finally:
            del self._open[handler]

    async def _forward(self, request: web.BaseRequest, asked: Asked, body: bytes, fate: Fate) -> web.StreamResponse:
        headers = {name: request.headers[name] for name in ("Accept", "Content-Type") if name in request.headers}
        async with self._session.request(asked.method, asked.target, data=body or None, headers=headers) as answer:
            kept = {name: answer.headers[name] for name in ("Content-Type", "Retry-After") if name in answer.headers}
            if asked.is_watch and answer.status == 200:
                return await self._stream(request, answer, kept)
            found = await answer.read()
        if asked.is_watch and answer.status == 410:
            self.expired += 1
        if fate is Fate.NEVER_ANSWERED:
            _abort(request)
        return web.Response(status=answer.status, body=found, headers=kept)

    async def _stream(
        self, request: web.BaseRequest, answer: aiohttp.ClientResponse, headers: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            async for chunk in answer.content.iter_any():
                self.expired += GONE in chunk
                await response.write(chunk)
        return response


def _abort(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()


def _kubeconfig(url: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "t", "cluster": {"server": url}}],
        "users": [{"name": "t", "user": {}}],
        "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}],
        "current-context": "t",
    }


@contextmanager
def tampered(plane: ControlPlane, directory: Path) -> Iterator[Tamper]:
    """Yield a way to the API server, closed afterwards."""
    with in_thread(Tamper(plane, directory).serve()) as way:
        yield way
