"""From the configuration's tables to ones that answer."""

from collections.abc import Mapping

from paquebot_mta.config.tables import Table as TableConfig
from paquebot_mta.table.lookup import Table
from paquebot_mta.table.static import StaticTable


def build_tables(configs: Mapping[str, TableConfig]) -> dict[str, Table]:
    """Make all tables, by name.

    Raises:
        ValueError: a table can't be made; the message names the table and the entry.
    """
    return {name: _build(name, config) for name, config in configs.items()}


def _build(name: str, config: TableConfig) -> Table:
    if config.inline is None:
        raise ValueError(f"table {name!r}: no back end is set")
    try:
        return StaticTable(config.inline, config.services, config.match_mode)
    except ValueError as error:
        raise ValueError(f"table {name!r}: {error}") from error
