"""What the control loop asks of a cluster; ``Cluster`` keeps it with a real one."""

from collections.abc import AsyncIterator
from typing import Protocol

from paquebot_operator.cluster.resources import Json, Place, Resource


class Page(Protocol):
    """Some objects of a list."""

    @property
    def items(self) -> tuple[Json, ...]:
        """Objects with ``apiVersion`` and ``kind``."""

    @property
    def resource_version(self) -> int:
        """Of the whole list."""


class Api(Protocol):
    """Calls with a deadline each; all raise ClusterError."""

    def list_pages(self, resource: Resource, namespace: str = "", *, labels: str = "") -> AsyncIterator[Page]:
        """Yield a consistent list in pages; all namespaces without one."""

    async def get(self, resource: Resource, place: Place) -> Json:
        """Read an object."""

    async def resource_version(self, resource: Resource, place: Place) -> str:
        """Read no more than the version of an object, from the API server's cache."""

    async def apply(self, manifest: Json) -> Json:
        """Server-side apply of an object the operator owns."""

    async def try_apply(self, manifest: Json) -> Json:
        """What an object would be after an ``apply``; nothing is written."""

    async def apply_status(self, resource: Resource, place: Place, status: Json) -> Json:
        """Server-side apply of a status."""

    async def annotate(self, resource: Resource, place: Place, annotations: Json) -> None:
        """Merge annotations into an object."""

    async def create(self, manifest: Json) -> Json:
        """Make a new object."""

    async def replace(self, manifest: Json) -> Json:
        """Write an object over the version that it names."""

    async def delete(self, resource: Resource, place: Place) -> None:
        """Delete an object; one that is gone is no error."""

    async def serves(self, resource: Resource) -> bool:
        """Whether the API server has this resource (its CRD is there)."""
