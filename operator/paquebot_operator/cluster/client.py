"""The real cluster: what ``Api`` promises, in HTTP."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from paquebot_operator.cluster.errors import AbsentError, BusyError
from paquebot_operator.cluster.resources import Json, Place, Resource, place_of, resource_of
from paquebot_operator.cluster.transport import Request, Sends

OBJECTS_MANAGER: Final = "paquebot"
STATUS_MANAGER: Final = "paquebot-status"
PAGE_OBJECTS: Final = 500
ATTEMPTS: Final = 4
MAX_WAIT_SECONDS: Final = 5.0
LIST_SECONDS: Final = 30.0
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
_METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class ListPage(msgspec.Struct, frozen=True):
    """Some objects of a list."""

    items: tuple[Json, ...]
    resource_version: int


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = "0"
    continue_: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: tuple[dict[str, Any], ...] | None = ()


class Cluster:
    """Calls to the API server.

    A request that the API server is too busy for is sent again, as it asks for (RFC 6585, 4), three times at most.
    """

    def __init__(
        self,
        transport: Sends,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._transport = transport
        self._sleep = sleep
        self._jitter = jitter

    async def close(self) -> None:
        """Close connections."""
        await self._transport.close()

    async def list_pages(self, resource: Resource, namespace: str = "", *, labels: str = "") -> AsyncIterator[ListPage]:
        """Yield a consistent list in pages; all namespaces without one.

        Raises:
            ExpiredError: reading took longer than the API server keeps a list: begin again.
        """
        token = ""
        while True:
            query = {"limit": str(PAGE_OBJECTS), "labelSelector": labels, "continue": token}
            target = f"{resource.path(namespace)}?{urlencode({k: v for k, v in query.items() if v})}"
            body = await self._send(
                Request(
                    verb="list", resource=resource.plural, method="GET", target=target, timeout_seconds=LIST_SECONDS
                )
            )
            found = msgspec.json.decode(body, type=_List)
            identity = {"apiVersion": resource.api_version, "kind": resource.kind}
            version = int(found.metadata.resource_version or 0)
            yield ListPage(tuple(identity | item for item in found.items or ()), version)
            token = found.metadata.continue_
            if not token:
                return

    async def get(self, resource: Resource, place: Place) -> Json:
        """Read an object; raises AbsentError."""
        target = resource.path(*place)
        return _decoded(await self._send(Request(verb="get", resource=resource.plural, method="GET", target=target)))

    async def resource_version(self, resource: Resource, place: Place) -> str:
        """Read no more than the version of an object, from the API server's cache; raises AbsentError."""
        target = f"{resource.path(*place)}?resourceVersion=0"
        request = Request(verb="peek", resource=resource.plural, method="GET", target=target, accept=_METADATA_ONLY)
        return str(_decoded(await self._send(request))["metadata"]["resourceVersion"])

    async def apply(self, manifest: Json) -> Json:
        """Server-side apply of an object the operator owns: its fields win."""
        resource = resource_of(manifest)
        return await self._patch("apply", resource, place_of(manifest), "", manifest, OBJECTS_MANAGER)

    async def try_apply(self, manifest: Json) -> Json:
        """What an object would be after an ``apply``: a dry run, so nothing is written."""
        resource = resource_of(manifest)
        return await self._patch("try", resource, place_of(manifest), "", manifest, OBJECTS_MANAGER, dry_run=True)

    async def apply_status(self, resource: Resource, place: Place, status: Json) -> Json:
        """Server-side apply of a status; conditions of others stay."""
        body = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"namespace": place.namespace, "name": place.name},
            "status": status,
        }
        return await self._patch("status", resource, place, "status", body, STATUS_MANAGER)

    async def annotate(self, resource: Resource, place: Place, annotations: Json) -> None:
        """Merge annotations into an object."""
        target = f"{resource.path(*place)}?fieldManager={OBJECTS_MANAGER}"
        body = {"metadata": {"annotations": annotations}}
        await self._send(
            Request(
                verb="patch",
                resource=resource.plural,
                method="PATCH",
                target=target,
                body=body,
                content_type=_MERGE,
                accept=_METADATA_ONLY,
            )
        )

    async def create(self, manifest: Json) -> Json:
        """Make a new object; raises ConflictError if it is there."""
        resource = resource_of(manifest)
        target = f"{resource.path(place_of(manifest).namespace)}?fieldManager={OBJECTS_MANAGER}"
        request = Request(verb="create", resource=resource.plural, method="POST", target=target, body=manifest)
        return _decoded(await self._send(request))

    async def replace(self, manifest: Json) -> Json:
        """Write an object over the version that it names; raises ConflictError if that is not the newest."""
        resource = resource_of(manifest)
        target = f"{resource.path(*place_of(manifest))}?fieldManager={OBJECTS_MANAGER}"
        request = Request(verb="update", resource=resource.plural, method="PUT", target=target, body=manifest)
        # Not repeated: who replaces has a deadline of its own.
        return _decoded(await self._transport.send(request))

    async def delete(self, resource: Resource, place: Place) -> None:
        """Delete an object, and what it owns after it; one that is gone is no error."""
        target = f"{resource.path(*place)}?propagationPolicy=Background"
        with contextlib.suppress(AbsentError):
            await self._send(Request(verb="delete", resource=resource.plural, method="DELETE", target=target))

    async def serves(self, resource: Resource) -> bool:
        """Whether the API server has this resource (its CRD is there)."""
        target = f"/apis/{resource.api_version}"
        try:
            found = _decoded(await self._send(Request(verb="get", resource="apis", method="GET", target=target)))
        except AbsentError:
            return False
        return any(each.get("name") == resource.plural for each in found.get("resources", ()))

    async def _patch(
        self,
        verb: str,
        resource: Resource,
        place: Place,
        sub: str,
        body: Json,
        manager: str,
        *,
        dry_run: bool = False,
    ) -> Json:
        target = f"{resource.path(*place, sub)}?fieldManager={manager}&force=true{'&dryRun=All' if dry_run else ''}"
        request = Request(
            verb=verb, resource=resource.plural, method="PATCH", target=target, body=body, content_type=_APPLY
        )
        return _decoded(await self._send(request))

    async def _send(self, request: Request) -> bytes:
        for attempt in range(1, ATTEMPTS):
            try:
                return await self._transport.send(request)
            except BusyError as error:
                if not error.retry_after_seconds:
                    raise
                # Jitter: the requests that were refused together must not come back together.
                wait = min(error.retry_after_seconds, MAX_WAIT_SECONDS) * (0.5 + self._jitter()) * attempt
                await self._sleep(wait)
        return await self._transport.send(request)


def _decoded(body: bytes) -> Json:
    return msgspec.json.decode(body, type=dict[str, Any])
