"""Pictures of panels, as SVG, from what Prometheus answered. Like Grafana's, but not Grafana's."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

from msgspec import Struct

from monitoring.model import Panel
from monitoring.scale import Scale, spell, ticks

Points = Sequence[tuple[float, float]]

COLUMN: Final = 50
GAP: Final = 8
HEIGHTS: Final = {"stat": 92, "lines": 236, "stack": 236}
_TOP, _LEFT, _RIGHT, _AXIS = 30, 56, 12, 22
_LEGEND_LINE: Final = 15
_LEGEND_LINES: Final = 3
_COLOURS: Final = (
    "#3d7fc1", "#e07b39", "#4f9d5d", "#c0504d", "#8064a2", "#2a9d9d", "#b8860b", "#d46a9f", "#6b7a8f", "#7b9e2f",
    "#8c564b", "#17a2b8",
)  # fmt: skip
_STYLE: Final = (
    "text{font:12px system-ui,sans-serif;fill:#333}.t{font-weight:600;font-size:13px}.s{font-size:11px;fill:#666}"
    ".n{font-size:34px;font-weight:600}.g{stroke:#e3e6ea}.p{fill:#fff;stroke:#d5d9de}"
)


class Series(Struct, frozen=True):
    """A line of a panel: its name in the legend, and its points in order."""

    name: str
    points: tuple[tuple[float, float], ...]


class Placed(Struct, frozen=True):
    """A panel with its series, and where it is drawn."""

    panel: Panel
    series: tuple[Series, ...]
    x: int
    y: int

    @property
    def width(self) -> int:
        """Pixels."""
        return self.panel.width * COLUMN - GAP

    @property
    def height(self) -> int:
        """Pixels."""
        return HEIGHTS[self.panel.look]


def legend_of(template: str, labels: Mapping[str, str]) -> str:
    """Fill in a legend: ``{{result}}`` becomes the label's value."""
    text = template
    for label, value in labels.items():
        text = text.replace("{{" + label + "}}", value)
    return text


def draw_row(title: str, panels: Sequence[tuple[Panel, tuple[Series, ...]]], start: float, end: float) -> str:
    """Draw the panels of a row side by side; the times are those of the left and the right edge."""
    placed = list(_place(panels))
    height = max(each.y + each.height for each in placed) + GAP
    body = "".join(part for each in placed for part in _draw(each, start, end))
    size = f'width="{24 * COLUMN}" height="{height}" viewBox="0 0 {24 * COLUMN} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">'
    return f'{head}<style>{_STYLE}</style><rect width="100%" height="100%" fill="#f4f5f7"/>{body}</svg>\n'


def _place(panels: Sequence[tuple[Panel, tuple[Series, ...]]]) -> Iterator[Placed]:
    left, top, height = 0, GAP, 0
    for panel, series in panels:
        if left + panel.width > 24:
            left, top, height = 0, top + height + GAP, 0
        yield Placed(panel, series, left * COLUMN + GAP // 2, top)
        left, height = left + panel.width, max(height, HEIGHTS[panel.look])


def _draw(placed: Placed, start: float, end: float) -> Iterator[str]:
    yield f'<g transform="translate({placed.x},{placed.y})">'
    yield f'<rect class="p" width="{placed.width}" height="{placed.height}" rx="3"/>'
    yield f'<text class="t" x="10" y="19">{escape(placed.panel.title)}</text>'
    yield from _number(placed) if placed.panel.look == "stat" else _plot(placed, start, end)
    yield "</g>"


def _number(placed: Placed) -> Iterator[str]:
    value = placed.series[0].points[-1][1] if placed.series else None
    text = "no data" if value is None else spell(value, placed.panel.unit)
    yield f'<text class="n" x="10" y="70" style="fill:{_mood(placed.panel, value)}">{escape(text)}</text>'


def _mood(panel: Panel, value: float | None) -> str:
    """Choose green or orange by the panel's thresholds."""
    bad = value is None
    if value is not None and panel.warn_above is not None:
        bad = value >= panel.warn_above
    if value is not None and panel.warn_below is not None:
        bad = bad or value < panel.warn_below
    return "#d9822b" if bad else "#3c8d40"


def _plot(placed: Placed, start: float, end: float) -> Iterator[str]:
    series = _stacked(placed.series) if placed.panel.look == "stack" else list(placed.series)
    highest = max((value for each in series for _, value in each.points), default=0.0)
    bottom = placed.height - _AXIS - _LEGEND_LINE * _LEGEND_LINES
    marks = ticks(highest)
    up = Scale(0.0, marks[-1], bottom, _TOP)
    across = Scale(start, end, _LEFT, placed.width - _RIGHT)
    yield from _grid(placed, marks, up, across)
    fill = placed.panel.look == "stack"
    for place, each in reversed(list(enumerate(series))):
        yield _path(each.points, up, across, _COLOURS[place % len(_COLOURS)], fill=fill)
    yield from _legend(placed, bottom + _AXIS)


def _stacked(series: Sequence[Series]) -> list[Series]:
    """Put each series on top of those before it."""
    below: dict[float, float] = {}
    found = []
    for each in series:
        points = []
        for at, value in each.points:
            below[at] = below.get(at, 0.0) + value
            points.append((at, below[at]))
        found.append(Series(each.name, tuple(points)))
    return found


def _grid(placed: Placed, marks: Sequence[float], up: Scale, across: Scale) -> Iterator[str]:
    right = placed.width - _RIGHT
    for mark in marks:
        y = up.at(mark)
        yield f'<path class="g" d="M{_LEFT} {y:.0f}H{right}"/>'
        label = escape(spell(mark, placed.panel.unit))
        yield f'<text class="s" x="{_LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{label}</text>'
    seconds = across.to - across.from_
    y = up.at(0) + 15
    yield f'<text class="s" x="{_LEFT}" y="{y:.0f}">{seconds:.0f} s ago</text>'
    yield f'<text class="s" x="{right}" y="{y:.0f}" text-anchor="end">now</text>'


def _path(points: Points, up: Scale, across: Scale, colour: str, *, fill: bool) -> str:
    if not points:
        return ""
    line = "L".join(f"{across.at(at):.1f} {up.at(value):.1f}" for at, value in points)
    if len(points) == 1:
        line += "h1"
    area = ""
    if fill:
        ground, first, last = up.at(0), across.at(points[0][0]), across.at(points[-1][0])
        area = f'<path d="M{line}L{last:.1f} {ground:.1f}L{first:.1f} {ground:.1f}Z" fill="{_pale(colour)}"/>'
    return f'{area}<path d="M{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _pale(colour: str) -> str:
    """Mix a colour with white, for areas: they lie over each other, so they can't be transparent."""
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{(part + 255) // 2:02x}" for part in parts)


def _legend(placed: Placed, top: float) -> Iterator[str]:
    """Name the lines, as many as there is room for."""
    left, line = 10, 0
    for place, each in enumerate(placed.series):
        width = 22 + int(6.6 * len(each.name))
        if left > 10 and left + width > placed.width:
            left, line = 10, line + 1
        if line == _LEGEND_LINES:
            return
        y = top + 10 + line * _LEGEND_LINE
        yield f'<rect x="{left}" y="{y - 8:.0f}" width="10" height="4" fill="{_COLOURS[place % len(_COLOURS)]}"/>'
        yield f'<text class="s" x="{left + 14}" y="{y:.0f}">{escape(each.name)}</text>'
        left += width
