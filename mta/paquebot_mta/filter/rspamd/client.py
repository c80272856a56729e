"""The connection to rspamd: kept alive, bounded, with a deadline. The only filter that knows the HTTP library."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final

import aiohttp

from paquebot_mta.filter.contract import Content, FilterError
from paquebot_mta.filter.rspamd.answer import MAX_BYTES

CONNECTIONS: Final = 100
"""At most at once; more messages wait, within their deadline."""
_CHUNK_BYTES: Final = 65_536


class RspamdClient:
    """Asks one rspamd about messages.

    Args:
        url: of the worker; ``/checkv2`` is put behind it unless it has a path.
        timeout_seconds: for everything: waiting for a connection, sending, the answer.
    """

    def __init__(self, url: str, timeout_seconds: float) -> None:
        """Connect to nothing yet."""
        scheme, _, rest = url.partition("://")
        host, _, path = rest.partition("/")
        self._url = f"{scheme}://{host}/{path or 'checkv2'}"
        self._ping_url = f"{scheme}://{host}/ping"
        self._timeout_seconds = timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    async def check(self, fields: list[tuple[str, str]], content: Content) -> bytes:
        """Ask, and give the answer's body.

        Raises:
            FilterError: rspamd is away, late, or says no.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._check(fields, content)
        except TimeoutError as error:
            raise FilterError("no answer in time", "timeout") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FilterError(_cause(error), "crash") from error

    async def _check(self, fields: list[tuple[str, str]], content: Content) -> bytes:
        session = self._opened()
        told = [*fields, ("Content-Length", str(content.size)), ("Content-Type", "application/octet-stream")]
        async with session.post(self._url, data=_pieces(content), headers=told, allow_redirects=False) as response:
            if response.status != 200:
                raise FilterError(f"status {response.status}", "protocol")
            body = bytearray()
            async for piece in response.content.iter_chunked(_CHUNK_BYTES):
                body += piece
                if len(body) > MAX_BYTES:
                    raise FilterError(f"an answer of more than {MAX_BYTES} bytes", "protocol")
            return bytes(body)

    async def ping(self) -> None:
        """Find out whether it is there; whatever it answers, it is, unless a gateway says that nobody is behind it.

        Raises:
            FilterError: it is away.
        """
        try:
            async with self._opened().get(self._ping_url, allow_redirects=False) as response:
                if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise FilterError(f"status {response.status}", "protocol")
        except (aiohttp.ClientError, ValueError) as error:
            raise FilterError(_cause(error), "crash") from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            # No cookies, no proxy from the environment, no encodings that grow.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                skip_auto_headers=("Accept-Encoding", "User-Agent"),
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _cause(error: Exception) -> str:
    """Say what went wrong; an address that is none may hold a password."""
    name = type(error).__name__
    return name if isinstance(error, aiohttp.InvalidURL) else f"{name}: {error}"


async def _pieces(content: Content) -> AsyncIterator[bytes]:
    for offset in range(0, content.size, _CHUNK_BYTES):
        yield await content.read(offset, _CHUNK_BYTES)
