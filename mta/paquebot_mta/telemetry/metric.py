"""What a metric's definition says: the one source of metric objects, documentation and checks."""

import itertools
from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct

PREFIX: Final = "paquebot_"
OTHER: Final = "other"
"""What a label value outside its closed set becomes."""
MAX_OPEN_VALUES: Final = 64
"""How many values a label from the configuration may have before the rest become ``other``."""

Kind = Literal["counter", "gauge", "histogram"]
Merge = Literal["sum", "max", "min"]
LabelValues = tuple[str, ...]


class Label(Struct, frozen=True):
    """A label; ``values`` is its closed set, empty if the configuration gives its values."""

    name: str
    values: LabelValues = ()


class Metric(Struct, frozen=True, kw_only=True):
    """One metric.

    Attributes:
        name: with prefix and unit; a counter's ends in ``_total``.
        kind: counter, gauge or (classic) histogram.
        help: one sentence.
        source: the event, or the function of the process, that feeds it.
        labels: in the order of the label tuples.
        buckets: upper edges of a histogram, ascending, without infinity.
        merge: how the values of several workers become one.
        sparse: series appear with their first event, for their product is large; else closed sets start at 0.
    """

    name: str
    kind: Kind
    help: str
    source: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    merge: Merge = "sum"
    sparse: bool = False

    @property
    def label_names(self) -> LabelValues:
        """Names of the labels, in order."""
        return tuple(label.name for label in self.labels)

    def initial(self) -> Iterator[LabelValues]:
        """Give the label tuples that start at 0: all of them, if all labels are closed and the metric isn't sparse."""
        if not self.sparse and all(label.values for label in self.labels):
            yield from itertools.product(*(label.values for label in self.labels))


def counter(name: str, help_: str, source: str, *labels: Label, sparse: bool = False) -> Metric:
    """Define a counter; ``_total`` is added to its name."""
    full_name = f"{PREFIX}{name}_total"
    return Metric(name=full_name, kind="counter", help=help_, source=source, labels=labels, sparse=sparse)


def gauge(name: str, help_: str, source: str, *labels: Label, merge: Merge = "sum") -> Metric:
    """Define a gauge: it has no series until something sets it."""
    return Metric(name=PREFIX + name, kind="gauge", help=help_, source=source, labels=labels, merge=merge, sparse=True)


def histogram(
    name: str, help_: str, source: str, buckets: tuple[float, ...], *labels: Label, sparse: bool = False
) -> Metric:
    """Define a histogram."""
    return Metric(
        name=PREFIX + name, kind="histogram", help=help_, source=source, labels=labels, buckets=buckets, sparse=sparse
    )
