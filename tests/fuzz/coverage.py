"""Which lines of ``paquebot_mta`` an input reaches, without any tool: enough to choose among inputs."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any, Final

Arc = tuple[str, int, int]
"""A step within a file: from one line to another; line 0 is the start of a function."""

_PACKAGE: Final = "/paquebot_mta/"


@contextmanager
def traced(arcs: set[Arc]) -> Iterator[None]:
    """Add the steps that are made within the block; slow, for this thread only."""
    before = sys.gettrace()
    sys.settrace(_tracer(arcs))
    try:
        yield
    finally:
        sys.settrace(before)


def _tracer(arcs: set[Arc]) -> Callable[[FrameType, str, Any], Any]:
    last: dict[FrameType, int] = {}

    def step(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            arcs.add((frame.f_code.co_filename, last.get(frame, 0), frame.f_lineno))
            last[frame] = frame.f_lineno
        elif event == "return":
            last.pop(frame, None)
        return step

    def call(frame: FrameType, event: str, _: Any) -> Any:
        return step if _PACKAGE in frame.f_code.co_filename else None

    return call


def lines_of(path: str) -> set[int]:
    """Give the lines of a file's functions that can be reached, those that run at its import left out."""
    with open(path, encoding="utf-8") as file:
        module = compile(file.read(), path, "exec")
    return {
        line for code in _functions(module) for _, _, line in code.co_lines() if line and line > code.co_firstlineno
    }


def _functions(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if inner.co_flags & 2:  # CO_NEWLOCALS: a function, not the body of a class
                yield inner
            yield from _functions(inner)
