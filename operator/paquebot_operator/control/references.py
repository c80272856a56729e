"""Secrets and ConfigMaps that objects refer to: read by name, and looked at again every few seconds.

They are never listed nor watched: an operator that may list Secrets may read all of them. What is asked again is the
version only, from the API server's cache, so that hundreds of them cost next to nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

import msgspec

from paquebot_operator.api.core import ConfigMap, Secret
from paquebot_operator.cluster.api import Api
from paquebot_operator.cluster.errors import AbsentError, ClusterError, DeniedError
from paquebot_operator.cluster.resources import CONFIG_MAPS, SECRETS, Json, Place, Resource
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.compile.scope import Sought
from paquebot_operator.control.clocks import Clock
from paquebot_operator.control.store import Store

POLL_SECONDS: Final = 2.0
MAX_POLLS_PER_SECOND: Final = 25
IN_FLIGHT: Final = 8
_RESOURCES: Final[dict[str, Resource]] = {"Secret": SECRETS, "ConfigMap": CONFIG_MAPS}
Kind = TypeVar("Kind", Secret, ConfigMap)
Changed = Callable[[ObjectKey], None]


class References:
    """Keeps ``store.secrets`` and ``store.config_maps`` up to date for what services look for.

    Args:
        changed: told of each object that is not what it was.
    """

    def __init__(self, api: Api, store: Store, clock: Clock, changed: Changed) -> None:
        self._api = api
        self._store = store
        self._clock = clock
        self._changed = changed
        self._wanted: dict[object, frozenset[Sought]] = {}
        self._versions: dict[Sought, str] = {}
        self._slots = asyncio.Semaphore(IN_FLIGHT)

    def __len__(self) -> int:
        return len(self._versions)

    async def want(self, by: object, sought: Iterable[Sought]) -> bool:
        """Say what ``by`` looks for from now on; True if any of it was not known and has been read now.

        Raises:
            ClusterError: the API server doesn't answer; nothing is known of an object then, not even that it is absent.
        """
        wanted = frozenset(each for each in sought if each[0] in _RESOURCES)
        self._wanted[by] = wanted
        unknown = [each for each in wanted if each not in self._versions]
        await asyncio.gather(*(self._in_slot(self._read(each)) for each in unknown))
        return bool(unknown)

    def forget(self, by: object) -> None:
        """Nothing is looked for by this any more."""
        self._wanted.pop(by, None)

    async def keep_up(self) -> None:
        """Look for changes, for ever."""
        while True:
            wanted = self._all_wanted()
            await self._clock.sleep(max(POLL_SECONDS, len(wanted) / MAX_POLLS_PER_SECOND))
            await self.poll()

    async def poll(self) -> None:
        """Look once at everything; an API server that doesn't answer leaves all as it is."""
        wanted = self._all_wanted()
        for gone in [each for each in self._versions if each not in wanted]:
            self._forget(gone)
        await asyncio.gather(*(self._in_slot(self._look(each)) for each in wanted))

    def _all_wanted(self) -> set[Sought]:
        return set().union(*self._wanted.values())

    async def _in_slot(self, work: Awaitable[None]) -> None:
        async with self._slots:
            await work

    async def _look(self, sought: Sought) -> None:
        try:
            version = await self._api.resource_version(_RESOURCES[sought[0]], Place(*sought[1]))
        except (AbsentError, DeniedError):
            version = ""
        except ClusterError:
            return
        if self._versions.get(sought) == version:
            return
        try:
            await self._read(sought)
        except ClusterError:
            return
        self._changed(sought[1])

    async def _read(self, sought: Sought) -> None:
        kind, key = sought
        try:
            raw = await self._api.get(_RESOURCES[kind], Place(*key))
        except (AbsentError, DeniedError):
            self._keep(sought, None, "")
        else:
            self._keep(sought, raw, str(raw["metadata"].get("resourceVersion", "")))

    def _keep(self, sought: Sought, raw: Json | None, version: str) -> None:
        kind, key = sought
        self._versions[sought] = version
        if kind == "Secret":
            self._store.secrets[key] = _converted(raw, Secret)
        else:
            self._store.config_maps[key] = _converted(raw, ConfigMap)

    def _forget(self, sought: Sought) -> None:
        self._versions.pop(sought, None)
        (self._store.secrets if sought[0] == "Secret" else self._store.config_maps).pop(sought[1], None)


def _converted(raw: Json | None, kind: type[Kind]) -> Kind | None:
    """The object, without its metadata's bulk; one that is not of the shape of its kind is as good as none."""
    if raw is None:
        return None
    metadata = {name: raw["metadata"][name] for name in ("name", "namespace", "uid") if name in raw["metadata"]}
    try:
        return msgspec.convert(raw | {"metadata": metadata}, kind)
    except msgspec.ValidationError:
        return None
