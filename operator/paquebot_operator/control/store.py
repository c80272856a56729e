"""All that the operator knows of the cluster, and which MailServices a change is a matter of."""

from collections.abc import Callable, Iterator
from typing import TypeVar, cast

from paquebot_operator.api.core import ConfigMap, Secret
from paquebot_operator.api.decode import decode
from paquebot_operator.api.maildomain import MailDomain
from paquebot_operator.api.mailfilter import MailFilter
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.api.table import Table
from paquebot_operator.cluster.resources import MAIL_DOMAINS, MAIL_FILTERS, MAIL_SERVICES, PODS, TABLES, Json, Resource
from paquebot_operator.compile.objects import ObjectKey, Objects, service_of
from paquebot_operator.control.pods import Pod, pod_of
from paquebot_operator.control.shelf import Change, Held, Shelf
from paquebot_operator.desired.names import service_label

_METADATA = frozenset({"name", "namespace", "uid", "generation", "creationTimestamp", "labels"})
Item = TypeVar("Item", MailService, MailDomain, Table, MailFilter)


class Store:
    """Shelves by kind.

    Attributes:
        secrets, config_maps: those that objects refer to; None for one that is not there.
    """

    def __init__(self) -> None:
        self.services: Shelf[MailService] = Shelf(_decoder(MailService), _spec_mark)
        self.domains: Shelf[MailDomain] = Shelf(_decoder(MailDomain), _spec_mark)
        self.tables: Shelf[Table] = Shelf(_decoder(Table), _spec_mark)
        self.filters: Shelf[MailFilter] = Shelf(_decoder(MailFilter), _spec_mark)
        self.pods: Shelf[Pod] = Shelf(pod_of, pod_of)
        self.secrets: dict[ObjectKey, Secret | None] = {}
        self.config_maps: dict[ObjectKey, ConfigMap | None] = {}
        self._attached: dict[ObjectKey, dict[ObjectKey, MailDomain]] = {}
        self._shelves: dict[Resource, Shelf[object]] = cast(
            dict[Resource, Shelf[object]],
            {
                MAIL_SERVICES: self.services,
                MAIL_DOMAINS: self.domains,
                TABLES: self.tables,
                MAIL_FILTERS: self.filters,
                PODS: self.pods,
            },
        )

    def shelf(self, resource: Resource) -> Shelf[object]:
        """Where objects of a kind are."""
        return self._shelves[resource]

    def domains_of(self, service: ObjectKey) -> dict[ObjectKey, MailDomain]:
        """MailDomains that name a service, whether it allows them or not."""
        return self._attached.get(service, {})

    def pods_of(self, service: ObjectKey) -> list[Pod]:
        """Pods of a service, by name."""
        label = service_label(service.name)
        found = (held.item for held in self.pods if held.item is not None)
        mine = (pod for pod in found if pod.namespace == service.namespace and pod.service_label == label)
        return sorted(mine, key=lambda pod: pod.name)

    def objects_for(self, service: ObjectKey) -> Objects:
        """What a compilation of one service may see: a copy, that stays as it is."""
        held = self.services.get(service)
        return Objects(
            services={service: held.item} if held is not None and held.item is not None else {},
            domains=dict(self.domains_of(service)),
            tables=self.tables.items(),
            secrets={key: found for key, found in self.secrets.items() if found is not None},
            config_maps={key: found for key, found in self.config_maps.items() if found is not None},
            filters=self.filters.items(),
        )

    def all_objects(self) -> Objects:
        """Everything, a copy."""
        return Objects(
            services=self.services.items(),
            domains=self.domains.items(),
            tables=self.tables.items(),
            secrets={key: found for key, found in self.secrets.items() if found is not None},
            config_maps={key: found for key, found in self.config_maps.items() if found is not None},
            filters=self.filters.items(),
        )

    def touched(self, resource: Resource, change: Change[object]) -> set[ObjectKey]:
        """Bring indexes up to date and say which services a change is a matter of."""
        held = [each for each in (change.before, change.after) if each is not None]
        if resource == MAIL_SERVICES:
            return {each.key for each in held}
        if resource == MAIL_DOMAINS:
            return self._attach(cast(Change[MailDomain], change))
        if resource == PODS:
            return {key for each in held for key in self._services_of_pod(cast(Held[Pod], each))}
        return self.services_near(held[0].key.namespace)

    def services_near(self, namespace: str) -> set[ObjectKey]:
        """Services in a namespace, and those that domains in it name: who may use what lies there."""
        here = {held.key for held in self.services if held.key.namespace == namespace}
        attached = self._attached.items()
        return here | {service for service, domains in attached if any(key.namespace == namespace for key in domains)}

    def _attach(self, change: Change[MailDomain]) -> set[ObjectKey]:
        touched = set()
        for held in (change.before, change.after):
            if held is not None and held.item is not None:
                service = service_of(held.item)
                touched.add(service)
                if held is change.before:
                    self._attached.get(service, {}).pop(held.key, None)
                else:
                    self._attached.setdefault(service, {})[held.key] = held.item
        return touched

    def _services_of_pod(self, held: Held[Pod]) -> Iterator[ObjectKey]:
        for service in self.services:
            label = held.item.service_label if held.item is not None else ""
            if service.key.namespace == held.key.namespace and service_label(service.key.name) == label:
                yield service.key


def _decoder(kind: type[Item]) -> Callable[[Json], Item]:
    """Make the decoder of a kind; what no compilation reads (statuses, annotations) is not kept."""

    def decoded(raw: Json) -> Item:
        metadata = {name: value for name, value in raw["metadata"].items() if name in _METADATA}
        found = decode(
            {"apiVersion": raw["apiVersion"], "kind": raw["kind"], "metadata": metadata, "spec": raw.get("spec")}
        )
        if not isinstance(found, kind):
            raise ValueError(f"not a {kind.__name__}")  # noqa: TRY004 - a fault of the object
        return found

    return decoded


def _spec_mark(raw: Json) -> object:
    """The API server counts a generation up with each change of the spec."""
    return raw["metadata"].get("generation", 0), raw["metadata"].get("deletionTimestamp")
