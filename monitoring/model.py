"""What a dashboard is made of: values, before they become anybody's JSON or picture.

Expressions are PromQL; ``$S`` stands for the selection of what is looked at (job, namespace, instance), ``$R`` for the
range of rates.
"""

from typing import Final, Literal

from msgspec import Struct

MTA_SELECTION: Final = 'job=~"$job",namespace=~"$namespace",instance=~"$instance"'
OPERATOR_SELECTION: Final = 'job=~"$job",namespace=~"$namespace"'
RATE_RANGE: Final = "$__rate_interval"

Unit = Literal["short", "ops", "s", "bytes", "percentunit", "d", "none", "bool"]
Look = Literal["lines", "stack", "stat"]


class Query(Struct, frozen=True):
    """One expression of a panel; ``legend`` may name labels: ``{{result}}``."""

    expression: str
    legend: str = ""


class Panel(Struct, frozen=True, kw_only=True):
    """One picture.

    Attributes:
        says: what it shows and what to make of it, one or two sentences.
        look: lines over time, stacked areas, or one number.
        width: of 24 columns.
        warn_above, warn_below: where a number turns orange; None for never.
    """

    title: str
    says: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    look: Look = "lines"
    width: int = 8
    warn_above: float | None = None
    warn_below: float | None = None


class Row(Struct, frozen=True):
    """Panels that belong together."""

    title: str
    panels: tuple[Panel, ...]


class Dashboard(Struct, frozen=True, kw_only=True):
    """A board.

    Attributes:
        uid: its id in Grafana and the name of its file.
        anchor: the metric whose targets fill the variables job, namespace and instance.
        selection: what ``$S`` stands for; names the variables that there are.
    """

    uid: str
    title: str
    says: str
    rows: tuple[Row, ...]
    anchor: str
    selection: str

    def panels(self) -> tuple[Panel, ...]:
        """All panels, in order."""
        return tuple(panel for row in self.rows for panel in row.panels)

    def expand(self, expression: str) -> str:
        """Put selection and range into an expression."""
        return expression.replace("$S", self.selection).replace("$R", RATE_RANGE)


def stat(title: str, says: str, expression: str, unit: Unit = "short", **thresholds: float) -> Panel:
    """Make a panel that shows one number."""
    return Panel(
        title=title,
        says=says,
        queries=(Query(expression),),
        unit=unit,
        look="stat",
        width=4,
        warn_above=thresholds.get("above"),
        warn_below=thresholds.get("below"),
    )


def lines(title: str, says: str, *queries: tuple[str, str], unit: Unit = "short", width: int = 8) -> Panel:
    """Make a panel of lines; a query is expression and legend."""
    return Panel(title=title, says=says, queries=tuple(Query(*query) for query in queries), unit=unit, width=width)


def stack(title: str, says: str, expression: str, legend: str, unit: Unit = "ops") -> Panel:
    """Make a panel of stacked areas, which add up to something."""
    return Panel(title=title, says=says, queries=(Query(expression, legend),), unit=unit, look="stack")


def quantiles(title: str, says: str, metric: str, selector: str = "$S") -> Panel:
    """Make a panel of a histogram's middle and slow values, seconds."""
    buckets = f"sum by (le) (rate({metric}_bucket{{{selector}}}[$R]))"
    queries = ((f"histogram_quantile({part / 100}, {buckets})", f"p{part}") for part in (50, 95, 99))
    return lines(title, says, *queries, unit="s")
