"""The control socket's application: one worker's controls over HTTP. Knows ``Controls`` only, never who implements it.

Errors are ``{"error": ...}``: 400 for a bad target or body, 404 for what is not here. Lists stream as JSON lines.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from paquebot_mta.admin.controls import Controls, Part, QueueEntry
from paquebot_mta.admin.http import (
    NDJSON,
    RequestRefusedError,
    Running,
    closing,
    json_response,
    metrics_response,
    read_json,
    serve,
    stream,
)
from paquebot_mta.admin.sockets import bind_private
from paquebot_mta.admin.targets import ALL, parse_route_target, parse_target
from paquebot_mta.mail.ids import parse_evpid, parse_msgid

BATCH_BYTES: Final = 16_384

Id = TypeVar("Id")


class TargetBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of what acts on envelopes."""

    target: str


class PartBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of /pause and /resume-part."""

    part: Part


class WorkerApp:
    """Handlers over one worker's controls."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls

    def routes(self) -> list[web.RouteDef]:
        """All routes of the control socket."""
        controls = self._controls
        acts = {
            "/schedule": controls.schedule,
            "/remove": controls.remove,
            "/suspend": controls.suspend,
            "/resume": controls.resume,
        }
        return [
            *self._reading(),
            *(web.post(path, _acting(act)) for path, act in acts.items()),
            web.post("/pause", self._switching(controls.pause_part)),
            web.post("/resume-part", self._switching(controls.resume_part)),
            web.post("/resume-route", self.enable_routes),
        ]

    def _reading(self) -> list[web.RouteDef]:
        return [
            web.get("/status", self.status),
            web.get("/config", self.status),
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/metrics", self.metrics),
            web.get("/queue", self.queue),
            web.get("/message/{msgid}", self.message, allow_head=False),
            web.get("/envelope/{evpid}", self.envelope),
            web.get("/routes", self.list_routes),
            web.get("/hosts", self.list_hosts),
            web.get("/filters", self.list_filters),
            web.get("/keys", self.list_keys),
            web.get("/stats", self.stats),
            web.get("/trace", self.trace, allow_head=False),
        ]

    async def status(self, _request: web.Request) -> web.Response:
        """Everything of Status; /config is the same."""
        return json_response(self._controls.status())

    async def healthz(self, _request: web.Request) -> web.Response:
        """200 or 503."""
        healthy = self._controls.status().healthy
        return json_response({"healthy": healthy}, HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE)

    async def readyz(self, _request: web.Request) -> web.Response:
        """200 or 503 and why."""
        status = self._controls.status()
        body = {"ready": status.ready, "reasons": status.reasons, "warnings": status.warnings}
        return json_response(body, HTTPStatus.OK if status.ready else HTTPStatus.SERVICE_UNAVAILABLE)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Prometheus' text."""
        return metrics_response(await self._controls.metrics())

    async def queue(self, request: web.Request) -> web.StreamResponse:
        """Envelopes, a JSON line each."""
        target = _checked(parse_target, request.query.get("target", ALL))
        return await stream(request, _batches(self._controls.queue(target)), NDJSON)

    async def message(self, request: web.Request) -> web.StreamResponse:
        """The bytes of a message's content."""
        content = self._controls.message(_checked(parse_msgid, request.match_info["msgid"]))
        with _not_here():
            first = await anext(content, b"")
        return await stream(request, _with_first(first, content), "message/rfc822")

    async def envelope(self, request: web.Request) -> web.Response:
        """All that is known of an envelope."""
        evpid = _checked(parse_evpid, request.match_info["evpid"])
        with _not_here():
            return json_response(await self._controls.envelope(evpid))

    async def list_routes(self, _request: web.Request) -> web.Response:
        """Routes, a JSON array."""
        return json_response(self._controls.routes())

    async def list_hosts(self, _request: web.Request) -> web.Response:
        """Addresses of next hops, a JSON array."""
        return json_response(self._controls.hosts())

    async def list_filters(self, _request: web.Request) -> web.Response:
        """Filters, a JSON array."""
        return json_response(self._controls.filters())

    async def list_keys(self, _request: web.Request) -> web.Response:
        """Keys of the queue, a JSON array."""
        return json_response(self._controls.key_uses())

    async def enable_routes(self, request: web.Request) -> web.Response:
        """Let routes be used again; answers how many rested."""
        target = _checked(parse_route_target, (await read_json(request, TargetBody)).target)
        return json_response({"routes": self._controls.enable_routes(target)})

    async def stats(self, _request: web.Request) -> web.Response:
        """Counts by name."""
        return json_response(self._controls.stats())

    async def trace(self, request: web.Request) -> web.StreamResponse:
        """Events as JSON lines until the client leaves."""
        return await stream(request, _lines(self._controls.trace()), NDJSON)

    def _switching(self, switch: Callable[[Part], None]) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Make the handler of /pause or /resume-part; it answers what is paused now."""

        async def handle(request: web.Request) -> web.Response:
            switch((await read_json(request, PartBody)).part)
            return json_response({"paused": self._controls.status().paused})

        return handle


def _acting(act: Callable[[str], Awaitable[int]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Make the handler of an act on envelopes; it answers how many."""

    async def handle(request: web.Request) -> web.Response:
        target = _checked(parse_target, (await read_json(request, TargetBody)).target)
        with _not_here():
            # A client that leaves must not leave the act half done.
            return json_response({"envelopes": await asyncio.shield(act(target))})

    return handle


def _checked(parse: Callable[[str], Id], text: str) -> Id:
    """Parse what the client named."""
    try:
        return parse(text)
    except ValueError as error:
        raise RequestRefusedError(HTTPStatus.BAD_REQUEST, str(error)) from None


@contextmanager
def _not_here() -> Iterator[None]:
    """Turn the controls' LookupError into 404."""
    try:
        yield
    except LookupError:
        raise RequestRefusedError(HTTPStatus.NOT_FOUND, "no such message or envelope here") from None


async def _batches(entries: AsyncIterator[QueueEntry]) -> AsyncIterator[bytes]:
    """Join entries to lines of JSON, the first at once; the loop gets its turn after each batch."""
    encoder, batch, enough = msgspec.json.Encoder(), bytearray(), 1
    async with closing(entries):
        async for entry in entries:
            batch += encoder.encode(entry) + b"\n"
            if len(batch) >= enough:
                yield bytes(batch)
                batch.clear()
                enough = BATCH_BYTES
                await asyncio.sleep(0)
    yield bytes(batch)


async def _with_first(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async with closing(rest):
        yield first
        async for chunk in rest:
            yield chunk


async def _lines(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """End each event by one line feed."""
    async with closing(events):
        async for event in events:
            yield event if event.endswith(b"\n") else event + b"\n"


async def start_worker_socket(controls: Controls, path: Path) -> Running:
    """Serve one worker's controls on a unix socket of mode 0600, ``<runtime>/worker-<n>.sock``.

    A socket that a killed process left is replaced. ``close`` removes it.

    Raises:
        OSError: it can't be bound there (the path may have 107 bytes).
    """
    bound = bind_private(path)
    close_server = await serve(WorkerApp(controls).routes(), bound.listening)

    async def close() -> None:
        bound.remove()
        await close_server()

    return Running(str(path), close)
