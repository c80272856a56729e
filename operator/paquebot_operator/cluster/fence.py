"""No write goes out once the Lease may be another's: a process that was paused must not act on old plans.

Such a write waits for ever: whoever holds the Lease's loop ends the process.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

from paquebot_operator.cluster.api import Api, Page
from paquebot_operator.cluster.resources import Json, Place, Resource


class Fenced:
    """An ``Api`` whose writes wait unless ``is_held`` says that they may be made."""

    def __init__(self, api: Api, is_held: Callable[[], bool]) -> None:
        self._api = api
        self._is_held = is_held

    def list_pages(self, resource: Resource, namespace: str = "", *, labels: str = "") -> AsyncIterator[Page]:
        """As the real one."""
        return self._api.list_pages(resource, namespace, labels=labels)

    async def get(self, resource: Resource, place: Place) -> Json:
        """As the real one."""
        return await self._api.get(resource, place)

    async def resource_version(self, resource: Resource, place: Place) -> str:
        """As the real one."""
        return await self._api.resource_version(resource, place)

    async def try_apply(self, manifest: Json) -> Json:
        """As the real one."""
        return await self._api.try_apply(manifest)

    async def serves(self, resource: Resource) -> bool:
        """As the real one."""
        return await self._api.serves(resource)

    async def apply(self, manifest: Json) -> Json:
        """As the real one."""
        await self._check()
        return await self._api.apply(manifest)

    async def apply_status(self, resource: Resource, place: Place, status: Json) -> Json:
        """As the real one."""
        await self._check()
        return await self._api.apply_status(resource, place, status)

    async def annotate(self, resource: Resource, place: Place, annotations: Json) -> None:
        """As the real one."""
        await self._check()
        await self._api.annotate(resource, place, annotations)

    async def create(self, manifest: Json) -> Json:
        """As the real one."""
        await self._check()
        return await self._api.create(manifest)

    async def replace(self, manifest: Json) -> Json:
        """As the real one."""
        await self._check()
        return await self._api.replace(manifest)

    async def delete(self, resource: Resource, place: Place) -> None:
        """As the real one."""
        await self._check()
        await self._api.delete(resource, place)

    async def _check(self) -> None:
        if not self._is_held():
            await asyncio.Event().wait()
