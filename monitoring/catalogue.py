"""Every metric that boards and rules may name: the mail server's own catalogue, and what the operator exports."""

from typing import Final

from msgspec import Struct

from paquebot_mta.telemetry.catalogue import CATALOGUE

_KINDS: Final = ("MailService", "MailDomain", "Table", "MailFilter")
_CONDITIONS: Final = ("Accepted", "ResolvedRefs", "Programmed", "Ready", "DNSReady", "DKIMReady", "ClientIPPreserved")
_PREFIX: Final = "paquebot_operator_"
_SUFFIXES: Final = {"_bucket": "histogram", "_sum": "histogram", "_count": "histogram"}


class Known(Struct, frozen=True):
    """A metric: its kind, and its labels with their closed sets of values, empty where any may come."""

    kind: str
    labels: dict[str, tuple[str, ...]]


_OPERATOR: Final[dict[str, Known]] = {
    "reconciles_total": Known("counter", {"kind": _KINDS, "result": ("ok", "temporary", "permanent")}),
    "reconcile_duration_seconds": Known("histogram", {"kind": _KINDS}),
    "resource_condition": Known(
        "gauge",
        {
            "kind": _KINDS,
            "resource_namespace": (),
            "resource_name": (),
            "type": _CONDITIONS,
            "status": ("True", "False", "Unknown"),
        },
    ),
    "desired_generation": Known("gauge", {"resource_namespace": (), "resource_name": ()}),
    "leader": Known("gauge", {}),
    "resources": Known("gauge", {"kind": _KINDS}),
    "api_requests_total": Known("counter", {"verb": (), "code": ()}),
    "watch_restarts_total": Known("counter", {"kind": _KINDS}),
}


def known_metrics() -> dict[str, Known]:
    """Give all metrics by full name, histograms without suffix."""
    ours = {
        name: Known(metric.kind, {label.name: label.values for label in metric.labels})
        for name, metric in CATALOGUE.items()
    }
    return ours | {_PREFIX + name: known for name, known in _OPERATOR.items()}


def find(name: str, metrics: dict[str, Known]) -> Known | None:
    """Find a metric by the name that a query uses: a histogram by its suffixed ones only."""
    if (known := metrics.get(name)) is not None:
        return known if known.kind != "histogram" else None
    for suffix, kind in _SUFFIXES.items():
        known = metrics.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
        if known is not None and known.kind == kind:
            return known
    return None
