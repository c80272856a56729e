"""The objects that a compilation sees, found by kind and name; their order never matters."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from paquebot_operator.api.core import ConfigMap, Secret
from paquebot_operator.api.decode import ApiObject
from paquebot_operator.api.maildomain import MailDomain
from paquebot_operator.api.mailfilter import MailFilter
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.api.table import Table


class ObjectKey(NamedTuple):
    """Namespace and name of an object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Objects:
    """All objects by kind and key; ``local``: they are run on this machine, without a cluster."""

    services: Mapping[ObjectKey, MailService]
    domains: Mapping[ObjectKey, MailDomain]
    tables: Mapping[ObjectKey, Table]
    secrets: Mapping[ObjectKey, Secret]
    config_maps: Mapping[ObjectKey, ConfigMap]
    filters: Mapping[ObjectKey, MailFilter]
    local: bool = False

    @classmethod
    def of(cls, objects: Iterable[ApiObject], *, local: bool = False) -> "Objects":
        """Sort objects by kind; of two with one key the later stays, as the API server has one only."""
        found: dict[str, dict[ObjectKey, ApiObject]] = {}
        for item in objects:
            found.setdefault(item.kind, {})[key_of(item)] = item
        kinds = ("MailService", "MailDomain", "Table", "Secret", "ConfigMap", "MailFilter")
        found_sorted = [dict(sorted(found.get(kind, {}).items())) for kind in kinds]
        return cls(*found_sorted, local=local)  # type: ignore[arg-type, misc]


def key_of(item: ApiObject) -> ObjectKey:
    """Key of an object."""
    return ObjectKey(item.metadata.namespace, item.metadata.name)


def service_of(domain: MailDomain) -> ObjectKey:
    """Key of the MailService that a domain refers to."""
    ref = domain.spec.service_ref
    return ObjectKey(ref.namespace or domain.metadata.namespace, ref.name)
