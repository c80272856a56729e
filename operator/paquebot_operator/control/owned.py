"""Objects that MailServices own: applied when they should say something else, or when somebody changed them.

An object of the same name that is not ours is left alone, and told of.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from paquebot_operator.cluster.api import Api
from paquebot_operator.cluster.errors import AbsentError, BusyError, ClusterError
from paquebot_operator.cluster.resources import CLAIMS, OWNED, Json, Place, Resource, place_of, resource_of
from paquebot_operator.control.marks import (
    APPLIED_ANNOTATION,
    Mark,
    is_ours,
    manifest_name,
    mark_of,
    writer_of,
)
from paquebot_operator.desired.metadata import MANAGED_SELECTOR

Identity = tuple[Resource, Place]


@dataclass(frozen=True)
class Trouble:
    """An object that could not be brought; ``reason`` and ``message`` are those of a condition."""

    reason: str
    message: str


class _TakenError(Exception):
    """An object of that name is there, and somebody else's."""


class Owned:
    """Knows what is there; ``namespaces`` empty is all."""

    def __init__(self, api: Api, namespaces: Sequence[str] = ()) -> None:
        self._api = api
        self._namespaces = tuple(namespaces) or ("",)
        self._marks: dict[Identity, Mark] = {}
        self._changed: set[Identity] = set()
        self._untried: set[Identity] = set()

    async def look(self) -> None:
        """See what is there; an object that is not as it was applied will be applied again. Raises ClusterError."""
        found: dict[Identity, Mark] = {}
        for resource in OWNED:
            for namespace in self._namespaces:
                # Not every cluster has every kind.
                with contextlib.suppress(AbsentError):
                    async for page in self._api.list_pages(resource, namespace, labels=MANAGED_SELECTOR):
                        found.update({(resource, place_of(raw)): mark_of(raw) for raw in page.items})
        for identity, mark in found.items():
            known = self._marks.get(identity)
            if known is None:
                self._untried.add(identity)
            elif known.state != mark.state:
                self._changed.add(identity)
        self._marks = found

    def see(self, resource: Resource, kind: str | None, raw: Json) -> tuple[str, str] | None:
        """Take an event of a watch; namespace and label of the service that has to put something right, if any."""
        identity, mark = (resource, place_of(raw)), mark_of(raw)
        known = self._marks.get(identity)
        if known is None or (mark.uid == known.uid and mark.version <= known.version and kind != "DELETED"):
            return None
        if kind == "DELETED":
            if mark.uid != known.uid:
                return None
            del self._marks[identity]
        else:
            self._marks[identity] = mark
            if (mark.state, mark.applied) == (known.state, known.applied):
                return None
            self._changed.add(identity)
        return identity[1].namespace, known.service_label

    async def bring(self, namespace: str, service_label: str, manifests: Iterable[Json]) -> list[Trouble]:
        """Make the cluster have what a service wants, and no more of it; what could not be done.

        Raises:
            BusyError: the API server is away: all of it is for later.
        """
        wanted = {(resource_of(manifest), place_of(manifest)): manifest for manifest in manifests}
        found = [await self._bring_one(identity, manifest) for identity, manifest in wanted.items()]
        mine = [each for each, mark in self._marks.items() if mark.service_label == service_label]
        stale = [each for each in mine if each[1].namespace == namespace and each not in wanted and each[0] != CLAIMS]
        await asyncio.gather(*(self._delete(each) for each in stale))
        return [trouble for trouble in found if trouble is not None]

    async def _bring_one(self, identity: Identity, manifest: Json) -> Trouble | None:
        name = f"{identity[0].kind} {identity[1].name}"
        try:
            await self._apply(identity, manifest)
        except BusyError:
            raise
        except _TakenError as error:
            return Trouble("ObjectTaken", f"{name} is there already and {error}: delete it or give it another name")
        except ClusterError as error:
            return Trouble("ObjectRefused", f"{name}: {error.reason}")
        return None

    async def _apply(self, identity: Identity, manifest: Json) -> None:
        name, metadata = manifest_name(manifest), manifest["metadata"]
        annotations = {**metadata.get("annotations", {}), APPLIED_ANNOTATION: name}
        signed = manifest | {"metadata": metadata | {"annotations": annotations}}
        if await self._is_as_applied(identity, name, signed):
            return
        answer = mark_of(await self._api.apply(signed))
        newest = self._marks.get(identity, answer)
        if newest.version <= answer.version:
            self._marks[identity] = answer
            self._changed.discard(identity)

    async def _is_as_applied(self, identity: Identity, name: str, signed: Json) -> bool:
        """Whether nothing is to be done. Raises _TakenError."""
        known = self._marks.get(identity)
        if known is None:
            await self._check_owner(identity, signed)
            return False
        if known.applied != name or identity in self._changed:
            return False
        if identity in self._untried:
            # Nobody looked after it while no operator ran.
            if mark_of(await self._api.try_apply(signed)).state != known.state:
                return False
            self._untried.discard(identity)
        return True

    async def _check_owner(self, identity: Identity, manifest: Json) -> None:
        """Our fields win in an apply: it must not be somebody else's object."""
        try:
            raw = await self._api.get(*identity)
        except AbsentError:
            return
        if not is_ours(raw, manifest):
            writer = writer_of(raw)
            raise _TakenError(f"somebody else's ({writer} made it)" if writer else "somebody else's")

    async def _delete(self, identity: Identity) -> None:
        await self._api.delete(*identity)
        self._marks.pop(identity, None)
