"""The numbers behind the metrics, and their way into prometheus_client.

Counting is a dictionary's ``+=`` on the event loop's thread (60 ns); prometheus_client's own children cost ten times
that, with a lock each. A scrape, on any thread, reads copies and builds the families.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from paquebot_mta.telemetry.catalogue import CATALOGUE
from paquebot_mta.telemetry.metric import MAX_OPEN_VALUES, OTHER, LabelValues, Metric

Read = Callable[[], float | Mapping[LabelValues, float]]
"""Gives a gauge's value, or its values by label tuple, when it is scraped."""


class Series:
    """The values of one metric by label tuple: a counter or gauge in ``values``, a histogram in ``buckets`` too."""

    def __init__(self, metric: Metric, on_overflow: Callable[[str], None]) -> None:
        self.metric = metric
        self.values: dict[LabelValues, float] = dict.fromkeys(metric.initial(), 0.0)
        self.buckets: dict[LabelValues, list[int]] = {key: self._no_buckets() for key in self.values if metric.buckets}
        self._on_overflow = on_overflow
        self._folded: dict[LabelValues, LabelValues] = {key: key for key in self.values}
        self._open: list[set[str]] = [set() for _ in metric.labels]

    def add(self, key: LabelValues, amount: float = 1.0) -> None:
        """Count, or move a gauge."""
        try:
            self.values[key] += amount
        except KeyError:
            known = self._known(key)
            self.values[known] = self.values.get(known, 0.0) + amount

    def set(self, key: LabelValues, value: float) -> None:
        """Set a gauge."""
        self.values[self._known(key)] = value

    def observe(self, key: LabelValues, value: float) -> None:
        """Put a value into a histogram; the sum is in ``values``."""
        known = self._known(key)
        if (buckets := self.buckets.get(known)) is None:
            buckets = self.buckets.setdefault(known, self._no_buckets())
        self.values[known] = self.values.get(known, 0.0) + value
        buckets[bisect_left(self.metric.buckets, value)] += 1

    def clear(self) -> None:
        """Forget all series of a gauge."""
        self.values = {}

    def _no_buckets(self) -> list[int]:
        return [0] * (len(self.metric.buckets) + 1)

    def _known(self, key: LabelValues) -> LabelValues:
        """Fold values outside their sets into ``other``; folded tuples aren't remembered, or they would be a leak."""
        if (known := self._folded.get(key)) is not None:
            return known
        known = tuple(self._value(place, value) for place, value in enumerate(key))
        if known == key:
            self._folded[key] = key
        else:
            self._on_overflow(self.metric.name)
        return known

    def _value(self, place: int, value: str) -> str:
        closed = self.metric.labels[place].values
        if closed:
            return value if value in closed else OTHER
        seen = self._open[place]
        if value not in seen and len(seen) >= MAX_OPEN_VALUES:
            return OTHER
        seen.add(value)
        return value


class Store(Collector):
    """All series of the catalogue; a prometheus_client collector."""

    def __init__(self) -> None:
        self._series = {name: Series(metric, self._overflow) for name, metric in CATALOGUE.items()}
        self._reads: dict[str, Read] = {}

    def series(self, name: str) -> Series:
        """Find the series of a metric by its full name.

        Raises:
            KeyError: the catalogue doesn't have it.
        """
        return self._series[name]

    def read(self, name: str, read: Read) -> None:
        """Let a gauge be read at each scrape, on the scraping thread; ``read`` must not block.

        Raises:
            KeyError: the catalogue doesn't have it.
        """
        self._series[name].clear()
        self._reads[name] = read

    def collect(self) -> Iterator[Family]:
        """Give all families, in the catalogue's order; a gauge whose reader fails has no series in this scrape."""
        for name, series in self._series.items():
            if (read := self._reads.get(name)) is not None:
                _refresh(series, read)
            yield _family(series)

    def _overflow(self, name: str) -> None:
        self._series["paquebot_label_overflow_total"].add((name,))


def _refresh(series: Series, read: Read) -> None:
    series.clear()
    try:
        found = read()
    except Exception:
        return
    for key, value in (found if isinstance(found, Mapping) else {(): found}).items():
        series.set(key, value)


def _family(series: Series) -> Family:
    metric = series.metric
    if metric.kind == "histogram":
        return _histogram(series)
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.label_names)
    for key, value in sorted(series.values.copy().items()):
        family.add_metric(key, value)
    return family


def _histogram(series: Series) -> HistogramMetricFamily:
    metric = series.metric
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.label_names)
    edges = [*(repr(edge) for edge in metric.buckets), "+Inf"]
    for key, counts in sorted(series.buckets.copy().items()):
        total = 0
        cumulated = [(edge, total := total + count) for edge, count in zip(edges, counts, strict=True)]
        family.add_metric(key, cumulated, series.values.get(key, 0.0))
    return family
