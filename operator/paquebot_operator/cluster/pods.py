"""Asks a pod's admin port which configuration it uses (``/config``)."""

import asyncio
from typing import Final, Protocol

import aiohttp
import msgspec

ASK_SECONDS: Final = 3.0
MAX_ANSWER_BYTES: Final = 262_144
CONNECTIONS: Final = 64


class WorkerConfig(msgspec.Struct, frozen=True):
    """What one worker uses; a silent one has no digest."""

    digest: str = ""


class PodConfig(msgspec.Struct, frozen=True, rename="camel"):
    """What a pod uses; ``rejected_*`` if it refused the newest."""

    generation: int = 0
    digest: str = ""
    rejected_digest: str = ""
    rejected_reason: str = ""
    workers: tuple[WorkerConfig, ...] = ()

    def runs(self, digest: str) -> bool:
        """Whether every worker uses the configuration."""
        return self.digest == digest and all(worker.digest == digest for worker in self.workers)


class AsksPods(Protocol):
    """Asks pods which configuration they use."""

    async def ask(self, address: str, port: int) -> PodConfig | None:
        """What the pod says; None if it doesn't, or not in time."""


class AdminPorts:
    """Asks over HTTP, connections kept."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, address: str, port: int) -> PodConfig | None:
        """What the pod says; None if it doesn't, or not in time."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=10)
            self._session = aiohttp.ClientSession(connector=connector)
        host = f"[{address}]" if ":" in address else address
        try:
            async with asyncio.timeout(ASK_SECONDS), self._session.get(f"http://{host}:{port}/config") as answer:
                body = await answer.content.read(MAX_ANSWER_BYTES)
                while chunk := await answer.content.read(MAX_ANSWER_BYTES):
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        return None
                return msgspec.json.decode(body, type=PodConfig)
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError):
            return None

    async def close(self) -> None:
        """Close connections."""
        if self._session is not None:
            await self._session.close()
