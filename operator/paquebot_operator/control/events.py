"""Events for people (events.k8s.io/v1): when a condition becomes another, never when it stays."""

import asyncio
from typing import Final

from paquebot_operator.cluster.api import Api
from paquebot_operator.cluster.errors import ClusterError
from paquebot_operator.cluster.resources import EVENTS, MAIL_SERVICES, Json, Resource
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.control.clocks import Clock
from paquebot_operator.control.conditions import Said
from paquebot_operator.control.store import Store

MAX_WAITING: Final = 1_000
MAX_NOTE: Final = 1_000
CONTROLLER: Final = "paquebot.dev/operator"
_TOLD: Final = frozenset({"Accepted", "ResolvedRefs", "DKIMReady"})


class Events:
    """Posts events; when there are too many, new ones are left out: conditions tell the same.

    Args:
        identity: of this operator.
    """

    def __init__(self, api: Api, store: Store, clock: Clock, identity: str) -> None:
        self._api = api
        self._store = store
        self._clock = clock
        self._identity = identity[:128]
        self._waiting: asyncio.Queue[Json] = asyncio.Queue(MAX_WAITING)
        self._count = 0

    def flipped(self, resource: Resource, key: ObjectKey, before: str, said: Said) -> None:
        """A condition became another; ``before`` is empty if it is new."""
        if not _is_news(resource, before, said):
            return
        held = self._store.shelf(resource).get(key)
        if held is None or self._waiting.full():
            return
        self._waiting.put_nowait(self._event(resource, key, held.uid, said))

    async def keep_up(self) -> None:
        """Post for ever; an event that can't be posted is lost."""
        while True:
            event = await self._waiting.get()
            try:
                await self._api.create(event)
            except ClusterError:
                await self._clock.sleep(1.0)

    def _event(self, resource: Resource, key: ObjectKey, uid: str, said: Said) -> Json:
        now = self._clock.now()
        self._count += 1
        number = f"{int(now.timestamp()):x}{self._count:x}"
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"namespace": key.namespace, "name": f"{key.name[:200]}.{number}"},
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "type": "Normal" if said.status == "True" else "Warning",
            "reason": said.reason,
            "note": (said.message or f"{said.type} is {said.status}")[:MAX_NOTE],
            "action": said.type,
            "reportingController": CONTROLLER,
            "reportingInstance": self._identity,
            "regarding": {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "namespace": key.namespace,
                "name": key.name,
                "uid": uid,
            },
        }


def _is_news(resource: Resource, before: str, said: Said) -> bool:
    """A trouble, or its end; that all went well from the start is none."""
    told = said.type in _TOLD or (resource == MAIL_SERVICES and said.type == "Programmed" and said.reason != "Pending")
    return told and (said.status == "False" or bool(before))
