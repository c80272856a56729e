"""The store in Redis (or Valkey), shared by all pods of a MailService. The only place that knows the client library."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

import redis.asyncio
from redis.exceptions import RedisError

from paquebot_mta.filter.greylist.store import StoreError

_T = TypeVar("_T")
TIMEOUT_SECONDS: Final = 3.0
"""For each question, connecting included."""
MAX_CONNECTIONS: Final = 32


class RedisStore:
    """Remembers in Redis; entries end by themselves (implements ``Store``).

    Args:
        url: ``redis://[USER[:PASSWORD]@]HOST:PORT/DB``, ``rediss://`` for TLS.
        password: counts if the URL has none; empty for none.
        prefix: of all keys.

    Raises:
        ValueError: the URL can't be used.
    """

    def __init__(self, url: str, prefix: str = "paquebot:greylist:", *, password: str = "") -> None:
        """Read the URL; the first question connects."""
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            password=password or None,
            max_connections=MAX_CONNECTIONS,
            timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
        )
        self._client: Any = redis.asyncio.Redis.from_pool(pool)
        self._prefix = prefix

    async def first_seen(self, key: str, now_seconds: int, keep_seconds: int) -> int:
        """Remember a key unless it is known; of two pods at once one is the first for both."""
        name = self._prefix + key
        if await self._ask(self._client.set(name, now_seconds, nx=True, ex=keep_seconds)):
            return now_seconds
        found = await self.find(key, now_seconds)
        return now_seconds if found is None else found

    async def find(self, key: str, now_seconds: int) -> int | None:
        """Look."""
        found = await self._ask(self._client.get(self._prefix + key))
        try:
            return None if found is None else int(found)
        except ValueError as error:
            raise StoreError(f"{self._prefix}{key} is not ours") from error

    async def renew(self, key: str, now_seconds: int, keep_seconds: int) -> None:
        """Remember from now on."""
        await self._ask(self._client.set(self._prefix + key, now_seconds, ex=keep_seconds))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _ask(self, question: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await question
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreError(f"redis: {type(error).__name__}") from error
