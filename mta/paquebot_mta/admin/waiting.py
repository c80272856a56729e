"""What a worker answers while it has no configuration to start with: it lives, is not ready, and has refused something.

Its control socket answers ``/status`` and ``/metrics`` then, and nothing else: there is no queue yet.
"""

from pathlib import Path

from aiohttp import web

from paquebot_mta.admin.controls import Tells
from paquebot_mta.admin.http import Running, json_response, metrics_response, serve
from paquebot_mta.admin.sockets import bind_private


async def start_waiting_socket(tells: Tells, path: Path) -> Running:
    """Serve it on a unix socket of mode 0600, where the worker's controls will be; ``close`` removes it.

    Raises:
        OSError: it can't be bound there.
    """

    async def status(_request: web.Request) -> web.Response:
        return json_response(tells.status())

    async def metrics(_request: web.Request) -> web.Response:
        return metrics_response(await tells.metrics())

    bound = bind_private(path)
    close_server = await serve([web.get("/status", status), web.get("/metrics", metrics)], bound.listening)

    async def close() -> None:
        bound.remove()
        await close_server()

    return Running(str(path), close)
