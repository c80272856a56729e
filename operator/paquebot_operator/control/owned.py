"""Objects that MailServices own: applied when they should say something else, or when somebody changed them."""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from paquebot_mta.config.codec import digest
from paquebot_operator.cluster.api import Api
from paquebot_operator.cluster.errors import AbsentError, BusyError, ClusterError
from paquebot_operator.cluster.resources import CLAIMS, OWNED, Json, Place, Resource, place_of, resource_of
from paquebot_operator.desired.metadata import MANAGED_BY, SERVICE_LABEL

APPLIED_ANNOTATION: Final = "paquebot.dev/applied"
MANAGED_SELECTOR: Final = f"app.kubernetes.io/managed-by={MANAGED_BY}"


@dataclass(frozen=True)
class Mark:
    """One object as it was seen last.

    Attributes:
        applied: names the manifest that was applied.
        state: moves when anybody changes what it should be.
    """

    applied: str
    state: str
    service_label: str


@dataclass(frozen=True)
class Trouble:
    """An object that could not be applied."""

    resource: Resource
    place: Place
    error: ClusterError


class Owned:
    """Knows what is there; ``namespaces`` empty is all."""

    def __init__(self, api: Api, namespaces: Sequence[str] = ()) -> None:
        self._api = api
        self._namespaces = tuple(namespaces) or ("",)
        self._marks: dict[tuple[Resource, Place], Mark] = {}
        self._changed: set[tuple[Resource, Place]] = set()

    async def look(self) -> None:
        """See what is there; an object that is not as it was applied will be applied again. Raises ClusterError."""
        found: dict[tuple[Resource, Place], Mark] = {}
        for resource in OWNED:
            for namespace in self._namespaces:
                # Not every cluster has every kind.
                with contextlib.suppress(AbsentError):
                    async for page in self._api.list_pages(resource, namespace, labels=MANAGED_SELECTOR):
                        found.update({(resource, place_of(raw)): _mark(raw) for raw in page.items})
        for identity, mark in found.items():
            known = self._marks.get(identity)
            if known is not None and known.state != mark.state:
                self._changed.add(identity)
        self._marks = found

    async def bring(self, namespace: str, service_label: str, manifests: Iterable[Json]) -> list[Trouble]:
        """Make the cluster have what a service wants, and no more of it; what could not be done.

        Raises:
            BusyError: the API server is away: all of it is for later.
        """
        wanted = {(resource_of(manifest), place_of(manifest)): manifest for manifest in manifests}
        troubles = []
        for identity, manifest in wanted.items():
            try:
                await self._apply(identity, manifest)
            except BusyError:
                raise
            except ClusterError as error:
                troubles.append(Trouble(*identity, error))
        mine = [each for each, mark in self._marks.items() if mark.service_label == service_label]
        stale = [each for each in mine if each[1].namespace == namespace and each not in wanted and each[0] != CLAIMS]
        await asyncio.gather(*(self._delete(each) for each in stale))
        return troubles

    async def _apply(self, identity: tuple[Resource, Place], manifest: Json) -> None:
        name = digest(msgspec.json.encode(manifest))[:32]
        known = self._marks.get(identity)
        if known is not None and known.applied == name and identity not in self._changed:
            return
        metadata = manifest["metadata"]
        annotations = {**metadata.get("annotations", {}), APPLIED_ANNOTATION: name}
        answer = await self._api.apply(manifest | {"metadata": metadata | {"annotations": annotations}})
        self._marks[identity] = _mark(answer)
        self._changed.discard(identity)

    async def _delete(self, identity: tuple[Resource, Place]) -> None:
        await self._api.delete(*identity)
        self._marks.pop(identity, None)


def _mark(raw: Json) -> Mark:
    metadata = raw["metadata"]
    return Mark(
        applied=(metadata.get("annotations") or {}).get(APPLIED_ANNOTATION, ""),
        # Kinds without a generation have no status that moves their version all the time.
        state=f"{metadata.get('uid')}/{metadata.get('generation') or metadata.get('resourceVersion')}",
        service_label=(metadata.get("labels") or {}).get(SERVICE_LABEL, ""),
    )
