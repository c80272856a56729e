"""A cluster of one mail server: what is applied is compiled and given to an MTA, whose answer becomes the status."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from paquebot_operator.api.decode import decode
from paquebot_operator.cluster.api import Api
from paquebot_operator.cluster.errors import AbsentError, DeniedError
from paquebot_operator.cluster.resources import Json, Place, Resource
from paquebot_operator.compile.objects import ObjectKey, Objects
from paquebot_operator.compile.service import compile_service
from tests.operator.builders import NOW, service
from tests.support.processes import LOOPBACK

NAMESPACE = "default"
NAME = "paquebot-test"

Key = tuple[str, str]


class ClusterDouble:
    """Keeps objects; `program` is given configuration files and says whether they are in force."""

    def __init__(self, program: Callable[[dict[str, bytes]], bool], mx_port: int) -> None:
        self.objects: dict[Key, Json] = {}
        self.deleted: list[Key] = []
        self.denied: set[str] = set()
        self.conditions: dict[str, Json] = {}
        self._program = program
        # Nothing binds a Service here: the listener is where the test's MTA listens.
        self.keep(service(listeners=[{"name": "mx", "address": LOOPBACK, "port": mx_port}]))

    @property
    def api(self) -> Api:
        """Itself, for who needs no more than a trial does."""
        return cast("Api", self)

    def keep(self, manifest: Json) -> None:
        """Store an object as the API server would."""
        self.objects[manifest["kind"], manifest["metadata"]["name"]] = manifest

    def files(self) -> dict[str, bytes]:
        """Compile what there is."""
        compiled = compile_service(
            Objects.of(map(decode, self.objects.values())), ObjectKey(NAMESPACE, "post"), now=NOW
        )
        return dict(compiled.files)

    async def apply(self, manifest: Json) -> Json:
        """Keep an object, and program the MTA."""
        if manifest["kind"] in self.denied:
            raise DeniedError(403, "not for you")
        self.keep(manifest)
        held = self._program(self.files())
        self.conditions[manifest["kind"]] = _condition("Programmed", held)
        return manifest

    async def get(self, resource: Resource, place: Place) -> Json:
        """Return an object with its status."""
        found = self.objects.get((resource.kind, place.name))
        if found is None:
            raise AbsentError(404, f"no {resource.kind} {place.name}")
        status: dict[str, Any] = {"conditions": [self.conditions.get(resource.kind, _condition("Ready", True))]}
        return found | {"metadata": found["metadata"] | {"generation": 1}, "status": status}

    async def delete(self, resource: Resource, place: Place) -> None:
        """Forget an object."""
        self.deleted.append((resource.kind, place.name))
        self.objects.pop((resource.kind, place.name), None)


def _condition(kind: str, held: bool) -> Json:
    message = "" if held else "pod-1 runs an older configuration"
    status, reason = ("True", kind) if held else ("False", "Pending")
    return {"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": 1}
