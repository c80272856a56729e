"""A dashboard as Grafana's classic JSON (schema 41), which every Grafana since 8 reads; 13 moves it to its own form."""

import json
from collections.abc import Iterator
from typing import Any, Final

from monitoring.model import Dashboard, Panel, Row

Json = dict[str, Any]
_SOURCE: Final[Json] = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS: Final = 24
_HEIGHTS: Final = {"stat": 4, "lines": 8, "stack": 8}
_LETTERS: Final = "ABCDEFGH"


def dashboard_json(board: Dashboard) -> bytes:
    """Make the file that is imported, stable byte for byte."""
    return json.dumps(_board(board), indent=1, ensure_ascii=False).encode() + b"\n"


def _board(board: Dashboard) -> Json:
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.says,
        "tags": ["paquebot"],
        "schemaVersion": 41,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "",
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": list(_variables(board))},
        "links": [_links()],
        "panels": list(_panels(board)),
    }


def _links() -> Json:
    return {"type": "dashboards", "title": "Paquebot", "tags": ["paquebot"], "asDropdown": True, "keepTime": True}


def _variables(board: Dashboard) -> Iterator[Json]:
    yield {"name": "datasource", "label": "datasource", "type": "datasource", "query": "prometheus"}
    selection = ""
    for name in ("job", "namespace", "instance"):
        if f"${name}" in board.selection:
            yield _variable(name, f"label_values({board.anchor}{{{selection}}}, {name})")
            selection = ",".join(filter(None, (selection, f'{name}=~"${name}"')))


def _variable(name: str, query: str) -> Json:
    return {
        "name": name,
        "label": name,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": f"variable-{name}"},
        "definition": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "sort": 1,
    }


def _panels(board: Dashboard) -> Iterator[Json]:
    number, top = 0, 0
    for row in board.rows:
        number += 1
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "panels": [], "gridPos": _at(top)}
        top += 1
        for panel, left, offset in _places(row):
            number += 1
            height = _HEIGHTS[panel.look]
            place = {"h": height, "w": panel.width, "x": left, "y": top + offset}
            yield _panel(board, panel, number) | {"gridPos": place}
        top += max(offset + _HEIGHTS[panel.look] for panel, _, offset in _places(row))


def _at(top: int) -> Json:
    return {"h": 1, "w": _COLUMNS, "x": 0, "y": top}


def _places(row: Row) -> Iterator[tuple[Panel, int, int]]:
    """Put panels side by side; answers each with its column and its offset from the row's top."""
    left, offset, height = 0, 0, 0
    for panel in row.panels:
        if left + panel.width > _COLUMNS:
            left, offset, height = 0, offset + height, 0
        yield panel, left, offset
        left, height = left + panel.width, max(height, _HEIGHTS[panel.look])


def _panel(board: Dashboard, panel: Panel, number: int) -> Json:
    shape = _stat() if panel.look == "stat" else _series(stacked=panel.look == "stack")
    defaults = {"unit": panel.unit, "thresholds": _thresholds(panel)} | shape.pop("defaults", {})
    return {
        "id": number,
        "title": panel.title,
        "description": panel.says,
        "datasource": _SOURCE,
        "targets": list(_targets(board, panel)),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        **shape,
    }


def _targets(board: Dashboard, panel: Panel) -> Iterator[Json]:
    for letter, query in zip(_LETTERS, panel.queries, strict=False):
        yield {
            "refId": letter,
            "datasource": _SOURCE,
            "expr": board.expand(query.expression),
            "legendFormat": query.legend or "__auto",
        }


def _stat() -> Json:
    # The last sample may be absent: then the one before it says more than nothing.
    reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    return {"type": "stat", "options": {"reduceOptions": reduce, "colorMode": "value", "graphMode": "area"}}


def _series(*, stacked: bool) -> Json:
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 40 if stacked else 5,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
    options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    return {"type": "timeseries", "options": options, "defaults": {"custom": custom, "min": 0}}


def _thresholds(panel: Panel) -> Json:
    steps: list[Json] = [{"color": "green", "value": None}]
    if panel.warn_below is not None:
        steps = [{"color": "orange", "value": None}, {"color": "green", "value": panel.warn_below}]
    if panel.warn_above is not None:
        steps.append({"color": "orange", "value": panel.warn_above})
    return {"mode": "absolute", "steps": steps}
