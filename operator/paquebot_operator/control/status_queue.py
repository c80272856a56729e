"""Statuses on their way to the API server: the newest of each object, some at a time, none that changes nothing."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

import msgspec

from paquebot_operator.cluster.api import Api
from paquebot_operator.cluster.errors import AbsentError, ClusterError, DeniedError, RefusedError
from paquebot_operator.cluster.resources import Place, Resource
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.control.backoff import Backoff
from paquebot_operator.control.clocks import Clock
from paquebot_operator.control.conditions import Said, dated
from paquebot_operator.control.store import Store

IN_FLIGHT: Final = 24
Item = tuple[Resource, ObjectKey]


class Wish(msgspec.Struct, frozen=True):
    """What a status should say; ``fields`` beside conditions and the generation, without empty ones."""

    conditions: tuple[Said, ...]
    generation: int
    fields: dict[str, Any] = {}


class StatusQueue:
    """Writes statuses.

    Args:
        flipped: told of each condition whose status became another, and what it was (empty: new), once it is written.
        failed: told of each write that failed.
    """

    def __init__(
        self,
        api: Api,
        store: Store,
        clock: Clock,
        flipped: Callable[[Resource, ObjectKey, str, Said], None],
        failed: Callable[[Resource, ClusterError], None],
    ) -> None:
        self._api = api
        self._store = store
        self._clock = clock
        self._flipped = flipped
        self._failed = failed
        self._wishes: dict[Item, Callable[[], Wish | None]] = {}
        self._under_way: set[Item] = set()
        self._backoff: Backoff[Item] = Backoff()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._wishes) + len(self._under_way)

    def put(self, resource: Resource, key: ObjectKey, wish: Callable[[], Wish | None]) -> None:
        """Write a status soon; ``wish`` is asked when its turn comes, None for nothing to say any more."""
        self._wishes[resource, key] = wish
        self._wake.set()

    async def keep_up(self) -> None:
        """Write for ever."""
        await asyncio.gather(*(self._work() for _ in range(IN_FLIGHT)))

    async def _work(self) -> None:
        while True:
            item = self._next()
            if item is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.25):
                        await self._wake.wait()
                self._wake.clear()
                continue
            wish = self._wishes.pop(item)
            self._under_way.add(item)
            try:
                await self._write(item, wish)
            finally:
                self._under_way.discard(item)
            # Most statuses are as they should be: without this the loop would do nothing else for seconds.
            await asyncio.sleep(0)

    def _next(self) -> Item | None:
        now = self._clock.monotonic()
        ready = (each for each in self._wishes if each not in self._under_way and self._backoff.is_due(each, now))
        return next(ready, None)

    async def _write(self, item: Item, wish: Callable[[], Wish | None]) -> None:
        resource, key = item
        try:
            await self._write_if_changed(resource, key, wish())
        except AbsentError:
            self._backoff.forget(item)
        except ClusterError as error:
            self._failed(resource, error)
            slow = isinstance(error, DeniedError | RefusedError)
            self._backoff.failed(item, self._clock.monotonic(), at_least=30.0 if slow else 0.0)
            self._wishes.setdefault(item, wish)
        else:
            self._backoff.forget(item)

    async def _write_if_changed(self, resource: Resource, key: ObjectKey, wish: Wish | None) -> None:
        held = self._store.shelf(resource).get(key)
        if held is None or wish is None:
            return
        before = msgspec.json.decode(held.status, type=dict[str, Any])
        old = [each for each in before.get("conditions") or () if isinstance(each, dict)]
        conditions = dated(wish.conditions, wish.generation, old, self._clock.stamp())
        status = {"observedGeneration": wish.generation, "conditions": conditions, **wish.fields}
        if _same(status, before):
            return
        answer = await self._api.apply_status(resource, Place(*key), status)
        self._store.shelf(resource).put(answer)
        statuses = {each.get("type"): each.get("status") for each in old}
        for said in wish.conditions:
            if statuses.get(said.type) != said.status:
                self._flipped(resource, key, str(statuses.get(said.type, "")), said)


def _same(wanted: dict[str, Any], before: dict[str, Any]) -> bool:
    """Whether nothing would change: conditions of others don't count, nor what is empty and so may be a default."""
    old = {each.get("type"): each for each in before.get("conditions") or ()}
    mine = [old.get(each["type"], {}) for each in wanted["conditions"]]
    return bool(_pruned(wanted) == _pruned(before | {"conditions": mine}))


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: kept for name, item in value.items() if (kept := _pruned(item)) not in (None, "", 0, {}, [])}
    return [_pruned(item) for item in value] if isinstance(value, list) else value
