"""The rows of a board, asked from a running stage and drawn."""

from collections.abc import Iterator

from monitoring.draw import Series, draw_row, legend_of
from monitoring.model import Dashboard, Panel, Query, Row
from monitoring.stage import Stage


def draw_board(stage: Stage, board: Dashboard, start: float, end: float) -> Iterator[tuple[str, str]]:
    """Give each row's file name and picture."""
    for number, row in enumerate(board.rows, 1):
        words = "-".join("".join(char if char.isalnum() else " " for char in row.title.lower()).split())
        yield f"{board.uid.removeprefix('paquebot-')}-{number}-{words}.svg", _row(stage, board, row, start, end)


def _row(stage: Stage, board: Dashboard, row: Row, start: float, end: float) -> str:
    panels = [(panel, tuple(_series(stage, board, panel, start, end))) for panel in row.panels]
    return draw_row(f"{board.title}: {row.title}", panels, start, end)


def _series(stage: Stage, board: Dashboard, panel: Panel, start: float, end: float) -> Iterator[Series]:
    for query in panel.queries:
        yield from _lines(stage, board, query, start, end)


def _lines(stage: Stage, board: Dashboard, query: Query, start: float, end: float) -> Iterator[Series]:
    """Leave out lines that are nothing but 0 where a query has several: they would only fill the legend."""
    found = stage.lines(board, query, start, end)
    moving = [line for line in found if any(value for _, value in line.points)] or found[:1]
    for line in moving:
        yield Series(legend_of(query.legend, line.labels) or query.expression, line.points)
