"""Every metric that boards and rules may name: the mail server's own catalogue, and what the operator exports."""

from typing import Final

from msgspec import Struct
from prometheus_client.metrics import MetricWrapperBase

from paquebot_mta.telemetry.catalogue import CATALOGUE
from paquebot_operator.control.metrics import Metrics

_SUFFIXES: Final = ("_bucket", "_sum", "_count")
_VALUES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "paquebot_operator_reconciles_total": {"result": ("written", "unchanged", "refused", "failed")},
    "paquebot_operator_domains": {"state": ("total", "accepted", "programmed")},
    "paquebot_operator_service_condition": {"type": ("Accepted", "ResolvedRefs", "Programmed", "Ready")},
}
"""Closed sets of the operator's labels: prometheus_client knows none."""


class Known(Struct, frozen=True):
    """A metric: its kind, and its labels with their closed sets of values, empty where any may come."""

    kind: str
    labels: dict[str, tuple[str, ...]]


def known_metrics() -> dict[str, Known]:
    """Give all metrics by full name, histograms without suffix."""
    ours = {
        name: Known(metric.kind, {label.name: label.values for label in metric.labels})
        for name, metric in CATALOGUE.items()
    }
    return ours | _operator_metrics()


def _operator_metrics() -> dict[str, Known]:
    """Read the operator's metrics from the objects themselves, so that the two can't drift."""
    found = {}
    for metric in vars(Metrics()).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            values = _VALUES.get(name, {})
            found[name] = Known(family.type, {label: values.get(label, ()) for label in metric._labelnames})
    return found


def find(name: str, metrics: dict[str, Known]) -> Known | None:
    """Find a metric by the name that a query uses: a histogram by its suffixed ones only."""
    if (known := metrics.get(name)) is not None:
        return known if known.kind != "histogram" else None
    for suffix in _SUFFIXES:
        known = metrics.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
        if known is not None and known.kind == "histogram":
            return known
    return None
