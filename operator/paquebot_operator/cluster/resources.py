"""Kinds that the operator reads or writes, and where the API server keeps them."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

Json = dict[str, Any]


class Resource(NamedTuple):
    """A kind: ``group`` is empty for core."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """As manifests spell it: ``v1``, ``apps/v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Path of an object or, without a name, of all of a namespace or of the cluster."""
        parts = ["apis" if self.group else "api", *filter(None, (self.group, self.version))]
        if namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/" + "/".join(quote(part, safe="") for part in parts)


class Place(NamedTuple):
    """One object: namespace and name."""

    namespace: str
    name: str


OWN_GROUP: Final = "paquebot.dev"
OWN_VERSION: Final = "v1alpha1"

MAIL_SERVICES: Final = Resource(OWN_GROUP, OWN_VERSION, "mailservices", "MailService")
MAIL_DOMAINS: Final = Resource(OWN_GROUP, OWN_VERSION, "maildomains", "MailDomain")
TABLES: Final = Resource(OWN_GROUP, OWN_VERSION, "tables", "Table")
MAIL_FILTERS: Final = Resource(OWN_GROUP, OWN_VERSION, "mailfilters", "MailFilter")
PODS: Final = Resource("", "v1", "pods", "Pod")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
SERVICES: Final = Resource("", "v1", "services", "Service")
SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
STATEFUL_SETS: Final = Resource("apps", "v1", "statefulsets", "StatefulSet")
DISRUPTION_BUDGETS: Final = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
AUTOSCALERS: Final = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
POD_MONITORS: Final = Resource("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor")
PROMETHEUS_RULES: Final = Resource("monitoring.coreos.com", "v1", "prometheusrules", "PrometheusRule")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS: Final = Resource("events.k8s.io", "v1", "events", "Event")

WATCHED: Final = (MAIL_SERVICES, MAIL_DOMAINS, TABLES, MAIL_FILTERS, PODS)
OWNED_WATCHED: Final = (
    SERVICE_ACCOUNTS,
    CLAIMS,
    SERVICES,
    DEPLOYMENTS,
    STATEFUL_SETS,
    DISRUPTION_BUDGETS,
    NETWORK_POLICIES,
    AUTOSCALERS,
)
OWNED: Final = (*OWNED_WATCHED, POD_MONITORS, PROMETHEUS_RULES)
"""What a MailService becomes, beside its config Secrets, which are found by name only. Not every cluster has the last
two, so that nothing watches them."""

_BY_KIND: Final[Mapping[tuple[str, str], Resource]] = {
    (each.api_version, each.kind): each for each in (*WATCHED, *OWNED, SECRETS, CONFIG_MAPS, LEASES, EVENTS)
}


def resource_of(manifest: Json) -> Resource:
    """The resource that a manifest is of.

    Raises:
        LookupError: the operator has no business with this kind.
    """
    key = str(manifest.get("apiVersion")), str(manifest.get("kind"))
    if key not in _BY_KIND:
        raise LookupError(f"not a kind that the operator writes: {key[1]} of {key[0]}")
    return _BY_KIND[key]


def place_of(manifest: Json) -> Place:
    """Namespace and name of a manifest."""
    metadata = manifest["metadata"]
    return Place(metadata.get("namespace", ""), metadata["name"])
