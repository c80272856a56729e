"""All targets by name."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

from tests.fuzz import (
    targets_asked,
    targets_client,
    targets_filters,
    targets_grammar,
    targets_lookup,
    targets_server,
    targets_spool,
    targets_stream,
)

Target = Callable[[bytes], None]
"""Takes any bytes; raises if a promise is broken."""

CORPUS: Final = Path(__file__).parent / "corpus"
_PREFIX: Final = "fuzz_"
_MODULES: Final = (
    targets_grammar,
    targets_stream,
    targets_server,
    targets_client,
    targets_filters,
    targets_spool,
    targets_lookup,
    targets_asked,
)


def _targets(*modules: ModuleType) -> Iterator[tuple[str, Target]]:
    for module in modules:
        for name in vars(module):
            if name.startswith(_PREFIX):
                yield name.removeprefix(_PREFIX), getattr(module, name)


TARGETS: Final[dict[str, Target]] = dict(_targets(*_MODULES))


def kept(name: str) -> list[Path]:
    """Give the files of a target's kept corpus."""
    return sorted((CORPUS / name).glob("*"))
