"""The operator's own port: ``/healthz``, ``/readyz``, ``/metrics``."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


async def serve(
    host: str | None, port: int, *, alive: Callable[[], bool], ready: Callable[[], bool], metrics: Callable[[], bytes]
) -> Callable[[], Awaitable[None]]:
    """Listen, and return the coroutine function that stops it; without a host on all addresses, IPv4 and IPv6.

    Raises:
        OSError: the address can't be bound.
    """

    def answer(check: Callable[[], bool]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(_request: web.Request) -> web.Response:
            good = check()
            status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
            return web.Response(text="ok\n" if good else "not ok\n", status=status)

        return handle

    async def expose(_request: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": METRICS_TYPE})

    app = web.Application(client_max_size=1_024)
    app.add_routes([web.get("/healthz", answer(alive)), web.get("/readyz", answer(ready)), web.get("/metrics", expose)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner.cleanup
