"""Objects of one kind, kept as the API server has them: listed, then watched, listed again when the watch ends."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable

import aiohttp

from .api import Manifest

_AGAIN_SECONDS = 0.5
_WATCH_SECONDS = 300
_LINE_BYTES = 4 * 1024 * 1024


def open_session(url: str, ca: str, certificate: str, key: str) -> aiohttp.ClientSession:
    """Return a session with the API server at `url`, as the user of that certificate."""
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(certificate, key)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_WATCH_SECONDS + 30)
    connector = aiohttp.TCPConnector(ssl=context)
    return aiohttp.ClientSession(url, connector=connector, timeout=timeout, read_bufsize=_LINE_BYTES)


class Watched:
    """All objects at `path` ("/api/v1/services"); `changed` is called after each change of `objects`, by their uid."""

    def __init__(self, session: aiohttp.ClientSession, path: str, changed: Callable[[], None]) -> None:
        self.objects: dict[str, Manifest] = {}
        self._session = session
        self._path = path
        self._changed = changed

    async def run(self) -> None:
        """Follow the API server for ever, through its absences."""
        while True:
            try:
                await self._follow()
            except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError):
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _follow(self) -> None:
        async with self._session.get(self._path, raise_for_status=True) as response:
            listed = await response.json()
        self.objects = {item["metadata"]["uid"]: item for item in listed["items"]}
        self._changed()
        query = {"resourceVersion": listed["metadata"]["resourceVersion"], "timeoutSeconds": str(_WATCH_SECONDS)}
        async with self._session.get(self._path, params={"watch": "1", **query}, raise_for_status=True) as stream:
            async for line in stream.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                self._take(event["type"], event["object"])

    def _take(self, kind: str, item: Manifest) -> None:
        uid = item["metadata"]["uid"]
        if kind == "DELETED":
            self.objects.pop(uid, None)
        else:
            self.objects[uid] = item
        self._changed()
