"""What the operator may do, and why: the one table that the chart's Role and the tests of refusals are made from.

``list`` and ``watch`` of Secrets and ConfigMaps are not in it: those that objects refer to are read by name.
"""

from typing import Final, NamedTuple

Verbs = tuple[str, ...]
READ: Final[Verbs] = ("get", "list", "watch")
OWN: Final[Verbs] = ("get", "list", "watch", "create", "patch", "delete")
OWN_UNWATCHED: Final[Verbs] = tuple(verb for verb in OWN if verb != "watch")


class Permission(NamedTuple):
    """Verbs on resources of one API group, in each namespace that is watched; ``by_name``: on one object alone."""

    group: str
    resources: tuple[str, ...]
    verbs: Verbs
    why: str
    by_name: bool = False


IN_WATCHED_NAMESPACES: Final = (
    Permission(
        "paquebot.dev", ("mailservices", "maildomains", "tables", "mailfilters"), READ, "what users want; never written"
    ),
    Permission(
        "paquebot.dev",
        ("mailservices/status", "maildomains/status", "tables/status", "mailfilters/status"),
        ("patch",),
        "conditions, what is programmed, DNS records",
    ),
    Permission("", ("pods",), ("get", "list", "watch", "patch"), "who must take a configuration; the nudge annotation"),
    Permission(
        "",
        ("secrets",),
        ("get", "create", "patch"),
        "referenced ones are read by name; configuration and managed DKIM keys are written, and go with their owners",
    ),
    Permission("", ("configmaps",), ("get",), "referenced ones are read by name"),
    Permission("", ("services", "serviceaccounts"), OWN, "listeners' Services, the pods' account without a token"),
    Permission(
        "",
        ("persistentvolumeclaims",),
        ("get", "list", "watch", "create", "patch"),
        "the queue's volume; never deleted, it holds mail",
    ),
    Permission("apps", ("deployments", "statefulsets"), OWN, "the pods"),
    Permission("policy", ("poddisruptionbudgets",), OWN, "how many pods may be away"),
    Permission("networking.k8s.io", ("networkpolicies",), OWN, "who may reach the pods"),
    Permission("autoscaling", ("horizontalpodautoscalers",), OWN, "spec.autoscaling"),
    Permission(
        "monitoring.coreos.com",
        ("podmonitors", "prometheusrules"),
        OWN_UNWATCHED,
        "where the Prometheus operator's CRDs are",
    ),
    Permission("events.k8s.io", ("events",), ("create",), "transitions of conditions"),
)

IN_OWN_NAMESPACE: Final = (
    # No name is known to the API server's authorization when something is created.
    Permission("coordination.k8s.io", ("leases",), ("create",), "one of several operators works"),
    Permission("coordination.k8s.io", ("leases",), ("get", "update"), "it renews the Lease of --lease", by_name=True),
)
