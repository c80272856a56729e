"""A cluster in memory with the API server's manners: versions, generations, statuses of their own, conflicts."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from paquebot_operator.cluster.client import ListPage
from paquebot_operator.cluster.errors import AbsentError, ClusterError, ConflictError
from paquebot_operator.cluster.resources import OWNED_WATCHED, WATCHED, Json, Place, Resource, place_of, resource_of

See = Callable[[Resource, str, Json], None]
PAGE = 3


@dataclass(frozen=True)
class Write:
    """A request that writes: verb, kind's plural, name."""

    verb: str
    plural: str
    name: str


class FakeCluster:
    """Keeps what ``Api`` promises.

    Attributes:
        writes: all of them, in order.
        trouble: asked before each request with verb and plural; what it returns is raised.
        see: told of each change, as a watch would.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[Resource, Place], Json] = {}
        self.writes: list[Write] = []
        self.reads: list[Write] = []
        self.trouble: Callable[[str, str], BaseException | None] = lambda verb, plural: None
        self.see: See = lambda resource, kind, raw: None
        self._version = 100

    # What tests do to it.

    def put(self, manifest: Json) -> Json:
        """Make or change an object as a user does; its status stays."""
        resource, place = resource_of(manifest), place_of(manifest)
        before = self.objects.get((resource, place))
        raw = copy.deepcopy(manifest)
        if before is not None and "status" in before:
            raw["status"] = before["status"]
        return self._keep(resource, place, raw, before)

    def remove(self, resource: Resource, place: Place, *, silently: bool = False) -> None:
        """Delete an object; silently: no watch tells of it."""
        raw = self.objects.pop((resource, place))
        if not silently:
            self._tell(resource, "DELETED", raw)

    def status(self, resource: Resource, place: Place) -> dict[str, Any]:
        """Status of an object."""
        found: dict[str, Any] = self.objects[resource, place].get("status", {})
        return found

    def condition(self, resource: Resource, place: Place, type_: str) -> tuple[str, str]:
        """Status and reason of a condition."""
        for each in self.status(resource, place).get("conditions", ()):
            if each["type"] == type_:
                return each["status"], each["reason"]
        return "", ""

    # What the operator asks of it.

    async def list_pages(self, resource: Resource, namespace: str = "", *, labels: str = "") -> AsyncIterator[ListPage]:
        self._ask("list", resource, "")
        name, _, value = labels.partition("=")
        found = [
            raw
            for (kind, place), raw in self.objects.items()
            if kind == resource and namespace in ("", place.namespace) and _has_label(raw, name, value)
        ]
        version = self._version
        for start in range(0, max(len(found), 1), PAGE):
            yield ListPage(tuple(copy.deepcopy(found[start : start + PAGE])), version)

    async def get(self, resource: Resource, place: Place) -> Json:
        self._ask("get", resource, place.name)
        if (resource, place) not in self.objects:
            raise AbsentError(404, f"{resource.plural} {place.name} not found")
        return copy.deepcopy(self.objects[resource, place])

    async def resource_version(self, resource: Resource, place: Place) -> str:
        return str((await self.get(resource, place))["metadata"]["resourceVersion"])

    async def serves(self, resource: Resource) -> bool:
        return resource.group != "monitoring.coreos.com"

    async def apply(self, manifest: Json) -> Json:
        resource, place = resource_of(manifest), place_of(manifest)
        self._write("apply", resource, place.name)
        return copy.deepcopy(self.put(manifest))

    async def try_apply(self, manifest: Json) -> Json:
        resource, place = resource_of(manifest), place_of(manifest)
        self._ask("try", resource, place.name)
        before = self.objects[resource, place]["metadata"]
        kept = {name: before[name] for name in ("uid", "resourceVersion")}
        return copy.deepcopy(manifest | {"metadata": manifest["metadata"] | kept})

    async def apply_status(self, resource: Resource, place: Place, status: Json) -> Json:
        self._write("status", resource, place.name)
        if (resource, place) not in self.objects:
            raise AbsentError(404, "gone")
        raw = copy.deepcopy(self.objects[resource, place])
        raw["status"] = copy.deepcopy(status)
        return copy.deepcopy(self._keep(resource, place, raw, self.objects[resource, place]))

    async def annotate(self, resource: Resource, place: Place, annotations: Json) -> None:
        self._write("patch", resource, place.name)
        raw = copy.deepcopy(self.objects[resource, place])
        raw["metadata"].setdefault("annotations", {}).update(annotations)
        self._keep(resource, place, raw, self.objects[resource, place])

    async def create(self, manifest: Json) -> Json:
        resource, place = resource_of(manifest), place_of(manifest)
        self._write("create", resource, place.name)
        if (resource, place) in self.objects:
            raise ConflictError(409, "already exists")
        return copy.deepcopy(self.put(manifest))

    async def replace(self, manifest: Json) -> Json:
        resource, place = resource_of(manifest), place_of(manifest)
        self._write("update", resource, place.name)
        before = self.objects.get((resource, place))
        if before is None:
            raise AbsentError(404, "gone")
        if manifest["metadata"].get("resourceVersion") != before["metadata"]["resourceVersion"]:
            raise ConflictError(409, "the object has been modified")
        return copy.deepcopy(self.put(manifest))

    async def delete(self, resource: Resource, place: Place) -> None:
        self._write("delete", resource, place.name)
        if (resource, place) in self.objects:
            self.remove(resource, place)

    def _keep(self, resource: Resource, place: Place, raw: Json, before: Json | None) -> Json:
        self._version += 1
        metadata = raw["metadata"]
        old = before["metadata"] if before is not None else {}
        changed = before is None or any(before.get(part) != raw.get(part) for part in ("spec", "data"))
        metadata["uid"] = old.get("uid") or f"uid-{self._version}"
        metadata["generation"] = old.get("generation", 0) + (1 if changed else 0)
        now = f"2026-06-01T00:{self._version // 60 % 60:02d}:{self._version % 60:02d}Z"
        # A test may say that an object is older than others.
        metadata["creationTimestamp"] = old.get("creationTimestamp") or metadata.get("creationTimestamp", now)
        metadata["resourceVersion"] = str(self._version)
        self.objects[resource, place] = raw
        self._tell(resource, "MODIFIED" if before is not None else "ADDED", copy.deepcopy(raw))
        return raw

    def _tell(self, resource: Resource, kind: str, raw: Json) -> None:
        if resource in (*WATCHED, *OWNED_WATCHED):
            self.see(resource, kind, raw)

    def _ask(self, verb: str, resource: Resource, name: str) -> None:
        trouble = self.trouble(verb, resource.plural)
        if trouble is not None:
            raise trouble
        self.reads.append(Write(verb, resource.plural, name))

    def _write(self, verb: str, resource: Resource, name: str) -> None:
        trouble = self.trouble(verb, resource.plural)
        if trouble is not None:
            raise trouble
        self.writes.append(Write(verb, resource.plural, name))


def _has_label(raw: Json, name: str, value: str) -> bool:
    labels = raw["metadata"].get("labels") or {}
    return not name or (name in labels and value in ("", labels[name]))


def refusing(error: ClusterError, *plurals: str) -> Callable[[str, str], BaseException | None]:
    """Make every write of these kinds fail."""
    return lambda verb, plural: error if plural in plurals and verb not in ("get", "list", "try") else None
