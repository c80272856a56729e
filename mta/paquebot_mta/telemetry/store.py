"""The numbers behind the metrics, and their way into prometheus_client.

Counting is a list's ``+=`` on the event loop's thread (some 50 ns once the list is at hand); prometheus_client's own
children cost ten times that, with a lock each. A scrape, on any thread, reads copies and builds the families.
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


Cell = list[float]
"""One series' numbers: a counter's or gauge's value; a histogram's buckets, infinity's too, and then its sum."""


class Series:
    """The cells of one metric by label tuple. Who counts often keeps the cell, which lives as long as the process."""

    def __init__(self, metric: Metric, on_overflow: Callable[[str], None]) -> None:
        self.metric = metric
        self.cells: dict[LabelValues, Cell] = {key: self._empty() for key in metric.initial()}
        self._on_overflow = on_overflow
        self._open: list[set[str]] = [set() for _ in metric.labels]

    def cell(self, key: LabelValues) -> Cell:
        """Find a cell; it is made when it is first asked for. Values outside their sets have that of ``other``."""
        if (cell := self.cells.get(key)) is not None:
            return cell
        known = self._known(key)
        return self.cells.setdefault(known, self._empty())

    def add(self, key: LabelValues, amount: float = 1.0) -> None:
        """Count, or move a gauge."""
        try:
            self.cells[key][0] += amount
        except KeyError:
            self.cell(key)[0] += amount

    def set(self, key: LabelValues, value: float) -> None:
        """Set a gauge."""
        self.cell(key)[0] = value

    def observe(self, key: LabelValues, value: float) -> None:
        """Put a value into a histogram."""
        cell = self.cells.get(key) or self.cell(key)
        cell[bisect_left(self.metric.buckets, value)] += 1.0
        cell[-1] += value

    def clear(self) -> None:
        """Forget all series of a gauge."""
        self.cells = {}

    def total(self, **labels: str) -> float:
        """Add up what was counted in the series with these labels."""
        names = self.metric.label_names
        wanted = [(names.index(name), value) for name, value in labels.items()]
        counted = slice(-1) if self.metric.buckets else slice(None)
        found = (cell for key, cell in self.cells.copy().items() if all(key[at] == value for at, value in wanted))
        return sum(sum(cell[counted]) for cell in found)

    def _empty(self) -> Cell:
        return [0.0] * (len(self.metric.buckets) + 2 if self.metric.buckets else 1)

    def _known(self, key: LabelValues) -> LabelValues:
        """Fold values outside their sets into ``other``; folded tuples aren't remembered, or they would be a leak."""
        known = tuple(self._value(place, value) for place, value in enumerate(key))
        if known != key:
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
        self._derive: Callable[[], None] = lambda: None

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

    def derive(self, derive: Callable[[], None]) -> None:
        """Let series be set from others at each scrape, on the scraping thread, before anything is given."""
        self._derive = derive

    def collect(self) -> Iterator[Family]:
        """Give all families, in the catalogue's order; a gauge whose reader fails has no series in this scrape."""
        self._derive()
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
    for key, cell in sorted(series.cells.copy().items()):
        family.add_metric(key, cell[0])
    return family


def _histogram(series: Series) -> HistogramMetricFamily:
    metric = series.metric
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.label_names)
    edges = [*(repr(edge) for edge in metric.buckets), "+Inf"]
    for key, (*counts, amount) in sorted(series.cells.copy().items()):
        total = 0.0
        cumulated = [(edge, total := total + count) for edge, count in zip(edges, counts, strict=True)]
        family.add_metric(key, cumulated, amount)
    return family
