"""The table of faults: every row is proven, or says why not; every proof is there; the page shows all of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.faults.rows import ROWS, Row

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "durability.md"


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_row_is_there_once() -> None:
    assert [row.number for row in ROWS] == list(range(1, 35))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))
def test_a_row_is_proven_or_says_why_not(row: Row) -> None:
    assert row.proofs or row.reason
    for proof in row.proofs:
        path, _, name = proof.partition("::")
        assert (TESTS / path).is_file(), proof
        assert not name or name in names_in(TESTS / path), proof


def test_the_page_shows_the_rows() -> None:
    missing = [line for line in lines_of_page() if line not in PAGE.read_text()]
    assert not missing, "put these into docs/durability.md:\n" + "\n".join(missing)


def lines_of_page() -> list[str]:
    """A line a row, for the table of the page."""
    return [f"| {row.number} | {row.fault} | {row.expected} | {_proven(row)} |" for row in ROWS]


def _proven(row: Row) -> str:
    files = dict.fromkeys(proof.partition("::")[0] for proof in row.proofs)
    shown = [", ".join(f"`{name}`" for name in files)] if files else []
    return ". ".join([*shown, *([row.reason.rstrip(".")] if row.reason else [])])
