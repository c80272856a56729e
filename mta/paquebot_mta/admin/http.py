"""What the control socket and the admin port have in common: serving a socket, JSON answers, errors, streams.

It promises that no request harms the process: bounded headers, bodies, connections and waits. It knows no routes.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

MAX_BODY_BYTES: Final = 4_096
MAX_CONNECTIONS: Final = 64
REQUEST_TIMEOUT_SECONDS: Final = 10.0
KEEPALIVE_SECONDS: Final = 15.0
# Long, because a person may hold the reader: `paquebot show queue | less`.
WRITE_TIMEOUT_SECONDS: Final = 600.0
SHUTDOWN_SECONDS: Final = 1.0
NDJSON: Final = "application/x-ndjson"

Body = TypeVar("Body")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_STREAMING: Final = web.RequestKey("streaming", bool)
_log: Final = logging.getLogger("paquebot.admin")


@dataclass(frozen=True)
class Running:
    """A server that listens.

    Attributes:
        address: ``host:port`` or the socket's path.
        close: stops it; streams under way are cut after a second. Safe to call twice.
    """

    address: str
    close: Callable[[], Awaitable[None]]


class RequestRefusedError(Exception):
    """A request that is the client's fault; the answer is ``status`` and ``{"error": reason}``."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class ConnectionGuard:
    """Makes the protocol of each connection: too many are refused, a silent one is cut off."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._silent: set[RequestHandler] = set()

    def connect(self, server: web.Server) -> asyncio.Protocol:
        """Take a connection."""
        if len(server.connections) >= MAX_CONNECTIONS:
            return _Refusal()
        handler = server()
        self._silent.add(handler)
        asyncio.get_running_loop().call_later(self._timeout_seconds, self._expire, handler)
        return handler

    def heard(self, request: web.Request) -> None:
        """Note that a whole request has come; from here on the keep-alive timeout holds."""
        self._silent.discard(request.protocol)

    def _expire(self, handler: RequestHandler) -> None:
        if handler in self._silent:
            self._silent.discard(handler)
            if handler.transport is not None:
                handler.transport.close()


class _Refusal(asyncio.Protocol):
    """Closes its connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


_GUARD: Final = web.AppKey("guard", ConnectionGuard)


async def serve(
    routes: list[web.RouteDef], listening: socket.socket, *, request_timeout_seconds: float = REQUEST_TIMEOUT_SECONDS
) -> Callable[[], Awaitable[None]]:
    """Serve routes on a bound socket (which it owns from now on) and return the coroutine function that stops it."""
    guard = ConnectionGuard(request_timeout_seconds)
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[answer_errors])
    app[_GUARD] = guard
    app.add_routes(routes)
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        auto_decompress=False,
        keepalive_timeout=KEEPALIVE_SECONDS,
        lingering_time=SHUTDOWN_SECONDS,
        shutdown_timeout=SHUTDOWN_SECONDS,
        logger=_log,
    )
    await runner.setup()
    if runner.server is None:
        raise RuntimeError("the application has no server after its set-up")
    server = await asyncio.get_running_loop().create_server(partial(guard.connect, runner.server), sock=listening)

    async def close() -> None:
        server.close()
        await runner.cleanup()

    return close


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every fault in JSON; what is not the client's is logged, never shown."""
    request.app[_GUARD].heard(request)
    try:
        return await handler(request)
    except RequestRefusedError as error:
        return failure(error.status, error.reason)
    except web.HTTPException as error:
        return failure(error.status, error.reason)
    except Exception:
        if request.get(_STREAMING):
            raise  # the status is out: only a connection cut short tells the reader that something is missing
        _log.exception("admin request failed: %s %r", request.method, request.path)
        return failure(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error, see the log")


def json_response(value: object, status: int = HTTPStatus.OK) -> web.Response:
    """Answer a value in JSON."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def failure(status: int, reason: str) -> web.Response:
    """Answer ``{"error": reason}``."""
    return json_response({"error": reason}, status)


def metrics_response(exposition: bytes) -> web.Response:
    """Answer metrics in Prometheus' text format 0.0.4."""
    return web.Response(body=exposition, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def read_json(request: web.Request, kind: type[Body]) -> Body:
    """Read a JSON body of at most MAX_BODY_BYTES.

    Raises:
        RequestRefusedError: it is not what was asked for, or comes too slowly.
    """
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
            return msgspec.json.decode(await request.read(), type=kind)
    except TimeoutError:
        raise RequestRefusedError(HTTPStatus.REQUEST_TIMEOUT, "the body came too slowly") from None
    except msgspec.MsgspecError as error:
        raise RequestRefusedError(HTTPStatus.BAD_REQUEST, str(error)) from None


async def stream(request: web.Request, chunks: AsyncIterator[bytes], content_type: str) -> web.StreamResponse:
    """Send chunks as they come; holds one at a time. Ends quietly when the client leaves.

    The iterator is closed in any case. An error in it cuts the connection, so that a reader knows.
    """
    response = web.StreamResponse(headers={"Cache-Control": "no-store"})
    response.content_type = content_type
    request[_STREAMING] = True
    async with closing(chunks):
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            async for chunk in chunks:
                async with asyncio.timeout(WRITE_TIMEOUT_SECONDS):
                    await _write(response, chunk)
    return response


async def _write(response: web.StreamResponse, chunk: bytes) -> None:
    """Write a chunk; an empty one would end a chunked body."""
    if chunk:
        await response.write(chunk)


@contextlib.asynccontextmanager
async def closing(chunks: AsyncIterator[object]) -> AsyncIterator[None]:
    """Close a generator at once, not when it is collected: it may hold a subscription or a file."""
    try:
        yield
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
