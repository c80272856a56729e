"""Regular expressions see what others wrote, on the event loop: whatever it is, their time is linear in its length."""

import ast
import importlib
import itertools
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import paquebot_mta

ROOT: Final = Path(paquebot_mta.__file__).parent
METHODS: Final = frozenset({"match", "fullmatch", "search", "sub", "findall", "finditer", "split"})
PIECES: Final = (*'a1.- \t"(<>,:=/%@[+|\\', '\\"', "\\(", "{1", ',"', "a.", " a", "%{", "\r\n", ">F")
"""What grammars of mail are made of: names, quotes, comments, brackets, separators, escapes, macros, folds."""
ENDS: Final = ("", "!", "\x01")
SCREENED: Final = 2_048
LARGEST: Final = 65_536
"""Octets of the longest TXT record, of the longest line of content, and of much of a header section."""
SUSPECTS: Final = 3

Use = tuple[str, "re.Pattern[Any]", str]
Attack = tuple[str, str, str]
"""What comes first, what is repeated, what comes last."""


def uses() -> Iterator[Use]:
    """Give each expression of the package with a method that it is used by, and where that is."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        names = vars(importlib.import_module(".".join(parts)))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
                pattern = pattern_of(node, names)
                if pattern is not None:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", pattern, node.func.attr


def pattern_of(call: ast.Call, names: dict[str, Any]) -> "re.Pattern[Any] | None":
    """Find what a call like ``_NAME.match(...)`` or ``re.match("...", ...)`` looks for."""
    assert isinstance(call.func, ast.Attribute)
    if not isinstance(call.func.value, ast.Name):
        return None
    found = names.get(call.func.value.id)
    if found is re and call.args and isinstance(call.args[0], ast.Constant):
        return re.compile(call.args[0].value)
    return found if isinstance(found, re.Pattern) else None


def cost(use: Use, attack: Attack, size: int) -> float:
    """Measure the CPU seconds for a text of about that size."""
    _, pattern, method = use
    before, repeated, end = attack
    plain = before + repeated * (size // len(repeated)) + end
    text = plain.encode() if isinstance(pattern.pattern, bytes) else plain
    look: Callable[..., Any] = getattr(pattern, method)
    given = (text[:0], text) if method == "sub" else (text,)
    began = time.thread_time()
    found = look(*given)
    if method == "finditer":
        list(found)
    return time.thread_time() - began


def slowest(use: Use, size: int) -> tuple[float, Attack]:
    """Try texts of a screening size, and those that took longest with ``size``; give the longest time, and its text."""
    attacks = itertools.product(("", *PIECES), PIECES, ENDS)
    suspects = sorted(attacks, key=lambda attack: cost(use, attack, SCREENED))[-SUSPECTS:]
    return max((cost(use, attack, size), attack) for attack in suspects)


@pytest.mark.parametrize("use", [pytest.param(each, id=f"{each[0]}.{each[2]}") for each in uses()])
def test_no_text_makes_an_expression_slow(use: Use) -> None:
    seconds, attack = slowest(use, LARGEST)
    assert seconds < 2, attack  # about 0.01; from 4 to 50 if it is the square


@pytest.mark.parametrize("looks_back", [r"a\.[a-z0-9]*[a-z][a-z0-9]*$", r'"(?:[^"\\]|\\.)*"'])
def test_an_expression_that_looks_back_too_often_is_found(looks_back: str) -> None:
    size = LARGEST // 16
    once, _ = slowest(("here", re.compile("[a-z]*"), "fullmatch"), size)
    assert slowest(("here", re.compile(looks_back), "search"), size)[0] > 20 * once
