"""Documents of each version, as they were written once: they never change, and every later reader takes them."""

from pathlib import Path
from typing import Final

import pytest

from paquebot_mta.config.codec import dump, load
from paquebot_mta.config.service import MtaConfig

GOLDEN: Final = Path(__file__).parent / "golden"
DIGESTS: Final = {"v1": "78aca2d6b53916a92ad4208b6d0074cd7d1656538e61a5f397e0a360e8b45a96"}


def _files(version: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (GOLDEN / version).iterdir()}


def _dumped(config: MtaConfig) -> dict[str, bytes]:
    tables = {name: table for name, table in config.tables.items() if name not in config.service.tables}
    return dump(config.service, config.domains.values(), config.generation, tables)


@pytest.mark.parametrize("version", DIGESTS)
def test_a_golden_document_is_read_and_never_changes(version: str) -> None:
    config = load(_files(version))
    assert config.digest == DIGESTS[version]
    assert (config.generation, config.service.name) == (7, "mail/main")
    assert set(config.domains) == {"example.test", "xn--bcher-kva.example"}


def test_today_writes_version_one_byte_for_byte() -> None:
    assert _dumped(load(_files("v1"))) == _files("v1")
