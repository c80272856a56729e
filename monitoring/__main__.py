"""``python -m monitoring``: write the dashboards and rules that the chart carries."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from monitoring.grafana import dashboard_json
from monitoring.operator_board import OPERATOR
from monitoring.overview import OVERVIEW
from monitoring.rules import rules_yaml

BOARDS: Final = (OVERVIEW, OPERATOR)
FILES: Final = Path(__file__).parent.parent / "charts" / "paquebot" / "files"


def generated() -> Iterator[tuple[Path, bytes]]:
    """Give each generated file with its content."""
    for board in BOARDS:
        yield FILES / "dashboards" / f"{board.uid}.json", dashboard_json(board)
    yield FILES / "rules" / "paquebot.yaml", rules_yaml()


def main() -> None:
    """Write them."""
    for path, content in generated():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    main()
