"""What belongs to no MailService's pass: Tables, MailFilters, MailDomains without a service, and what can't be read."""

import asyncio
import logging
from typing import Final

from paquebot_operator.cluster.errors import ClusterError
from paquebot_operator.cluster.resources import MAIL_DOMAINS, MAIL_FILTERS, MAIL_SERVICES, TABLES, Resource
from paquebot_operator.compile.conditions import ObjectCondition
from paquebot_operator.compile.judge import judge_rest
from paquebot_operator.compile.objects import ObjectKey, service_of
from paquebot_operator.compile.tables import Kept
from paquebot_operator.control.conditions import Said, merged, ready_of
from paquebot_operator.control.debounce import Debounce
from paquebot_operator.control.parts import Parts
from paquebot_operator.control.status_queue import Wish

MAX_FAULT: Final = 1_000
RETRY_SECONDS: Final = 2.0
_BY_KIND: Final = {"Table": TABLES, "MailFilter": MAIL_FILTERS, "MailDomain": MAIL_DOMAINS}
_log = logging.getLogger("paquebot.operator")


class Leftovers:
    """Judges them a moment after anything changed."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._changes = Debounce(quiet_seconds=0.2, max_seconds=2.0, now=parts.clock.monotonic)
        self._tables: Kept = {}
        self._said: dict[tuple[str, ObjectKey], tuple[ObjectCondition, ...]] = {}

    def mark(self) -> None:
        """Something changed."""
        self._changes.mark()

    async def keep_up(self) -> None:
        """Go on for ever."""
        while True:
            await self._changes.settled()
            try:
                await self.judge()
            except ClusterError as error:
                _log.warning("Tables and filters: %s", error)
                await self._parts.clock.sleep(RETRY_SECONDS)
                self.mark()

    async def judge(self) -> None:
        """Judge all once. Raises ClusterError."""
        store = self._parts.store
        while True:
            rest = await asyncio.to_thread(judge_rest, store.all_objects(), self._tables)
            if not await self._parts.references.want("", rest.sought):
                break
        by_object: dict[tuple[str, ObjectKey], list[ObjectCondition]] = {}
        for each in rest.conditions:
            by_object.setdefault((each.kind, ObjectKey(each.namespace, each.name)), []).append(each)
        said = {identity: tuple(found) for identity, found in by_object.items()}
        for identity in [each for each, found in said.items() if self._said.get(each) != found]:
            self._put(*identity)
        self._said = said
        self._put_unreadable()

    def _put(self, kind: str, key: ObjectKey) -> None:
        resource = _BY_KIND[kind]
        self._parts.statuses.put(resource, key, lambda: self._wish(resource, kind, key))

    def _wish(self, resource: Resource, kind: str, key: ObjectKey) -> Wish | None:
        held, found = self._parts.store.shelf(resource).get(key), self._said.get((kind, key))
        if held is None or found is None or self._has_service(kind, key):
            return None
        conditions = merged(found)
        if held.fault:
            conditions = [_unreadable(held.fault), *(said for said in conditions if said.type != "Accepted")]
        if kind == "MailDomain":
            conditions = [self._unwatched(key) or said if said.type == "Accepted" else said for said in conditions]
            conditions.append(Said("Programmed", "False", "NotAccepted", "no MailService serves it"))
        return Wish((*conditions, ready_of(conditions)), held.generation)

    def _unwatched(self, key: ObjectKey) -> Said | None:
        """What is said of a MailDomain whose MailService may well be there, where this operator doesn't look."""
        held, watched = self._parts.store.domains.get(key), self._parts.settings.namespaces
        if held is None or held.item is None or held.fault or not watched:
            return None
        service = service_of(held.item)
        if service.namespace in watched:
            return None
        message = (
            f"MailService {service} can't be seen: this operator does not watch namespace {service.namespace}; "
            "add it to watchNamespaces, or name a MailService of a namespace that is watched"
        )
        return Said("Accepted", "False", "ServiceNotFound", message)

    def _has_service(self, kind: str, key: ObjectKey) -> bool:
        """A service may have come since: its own pass speaks then."""
        held = self._parts.store.domains.get(key) if kind == "MailDomain" else None
        return (
            held is not None
            and held.item is not None
            and self._parts.store.services.get(service_of(held.item)) is not None
        )

    def _put_unreadable(self) -> None:
        """Objects that this version can't read and never could; the CRDs refuse most of them."""
        for resource in (MAIL_SERVICES, MAIL_DOMAINS, TABLES, MAIL_FILTERS):
            for held in self._parts.store.shelf(resource):
                if held.item is None:
                    said = _unreadable(held.fault)
                    wish = Wish((said, ready_of([said])), held.generation)
                    self._parts.statuses.put(resource, held.key, lambda wish=wish: wish)  # type: ignore[misc]


def _unreadable(fault: str) -> Said:
    return Said("Accepted", "False", "Invalid", fault[:MAX_FAULT])
