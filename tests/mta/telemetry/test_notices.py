"""Every notice in the source has a name of the catalogue."""

import ast
from collections.abc import Iterator

import pytest

from paquebot_mta.telemetry.lognames import LOG_NAMES

CALLS = {"Notice": "event", "_notice": 1, "_say": 0}


def _constants(node: ast.expr | None) -> Iterator[str]:
    """Yield the texts that an expression may be: itself, or both arms of a choice."""
    for part in ast.walk(node) if node is not None else ():
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def _named(call: ast.Call) -> Iterator[str]:
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    place = CALLS.get(name)
    for keyword in call.keywords:
        if keyword.arg == place:
            yield from _constants(keyword.value)
    if isinstance(place, int) and len(call.args) > place:
        yield from _constants(call.args[place])


def _assigned(node: ast.Assign) -> Iterator[str]:
    """A name that is chosen first and used later is called ``event``."""
    chosen = any(isinstance(target, ast.Name) and target.id == "event" for target in node.targets)
    if not chosen or not isinstance(node.value, ast.Constant | ast.IfExp):
        return
    arms = [node.value] if isinstance(node.value, ast.Constant) else [node.value.body, node.value.orelse]
    for arm in arms:
        yield from _constants(arm)


def test_every_notice_in_the_source_is_in_the_catalogue(request: pytest.FixtureRequest) -> None:
    found: dict[str, str] = {}
    for path in (request.config.rootpath / "mta").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                _named(node) if isinstance(node, ast.Call) else _assigned(node) if isinstance(node, ast.Assign) else ()
            )
            found.update(dict.fromkeys(names, path.name))
    assert len(found) > 5
    assert {name: file for name, file in found.items() if name not in LOG_NAMES} == {}
