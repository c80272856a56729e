"""The shape of the project: sizes, source roots, docstrings, and what no file may name."""

import ast
import re
import statistics
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_FUNCTION_LINES_P90 = 40

# Built from pieces, so that this file does not name them either.
PACKAGE_INDEXES = [
    "".join(pieces)
    for pieces in (
        ("pypi", ".org"),
        ("pypi", ".python.org"),
        ("python", "hosted.org"),
        ("npm", "js.org"),
        ("npm", "js.com"),
        ("crates", ".io"),
        ("proxy.golang", ".org"),
        ("deb.", "debian.org"),
        ("conda", ".anaconda.org"),
    )
]
MACHINE_PATHS = [
    "".join(pieces)
    for pieces in (
        ("/wo", "rk/main"),
        ("/wo", "rk/shared"),
        ("/ro", "ot/"),
        ("/tmp/", "brief"),
    )
]


@cache
def _tracked() -> tuple[Path, ...]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, timeout=30).stdout
    paths = (ROOT / name for name in listed.decode().split("\0") if name)
    return tuple(path for path in paths if path.is_file())


@cache
def _texts() -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8", errors="replace") for path in _tracked()}


def _python() -> Iterator[tuple[str, str]]:
    for name, text in _texts().items():
        if name.endswith(".py") or text.startswith("#!/usr/bin/env python"):
            yield name, text


@cache
def _function_lines() -> dict[str, int]:
    functions = {}
    for name, text in _python():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions[f"{name}:{node.lineno} {node.name}"] = (node.end_lineno or node.lineno) - node.lineno + 1
    return functions


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


def _make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_no_file_is_too_long() -> None:
    lines = {name: text.count("\n") for name, text in _python()}
    assert {name: count for name, count in lines.items() if count > MAX_FILE_LINES} == {}


def test_no_function_is_too_long() -> None:
    assert {name: lines for name, lines in _function_lines().items() if lines > MAX_FUNCTION_LINES} == {}


def test_long_functions_are_rare() -> None:
    assert statistics.quantiles(_function_lines().values(), n=10)[-1] <= MAX_FUNCTION_LINES_P90


@pytest.mark.parametrize("source_root", ["mta", "operator"])
def test_source_roots_are_not_packages(source_root: str) -> None:
    assert not (ROOT / source_root / "__init__.py").exists()


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {(ROOT / name).parent for name, _ in _python() if name.startswith(("mta/", "operator/", "tests/"))}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_every_package_says_what_it_is() -> None:
    packages = {n: t for n, t in _python() if n.startswith(("mta/", "operator/")) and n.endswith("/__init__.py")}
    assert len(packages) > 2
    assert [name for name, text in packages.items() if not ast.get_docstring(ast.parse(text))] == []


@pytest.mark.parametrize("forbidden", PACKAGE_INDEXES + MACHINE_PATHS)
def test_no_file_names(forbidden: str) -> None:
    pattern = re.compile(rf"(?<![\w.-]){re.escape(forbidden)}" if forbidden[0] == "/" else re.escape(forbidden))
    assert [name for name, text in _texts().items() if pattern.search(text)] == []


def test_the_lock_names_no_host() -> None:
    hosts = set(re.findall(r"[a-z+]+://([^/\"]*)", _texts()["uv.lock"]))
    assert hosts == {"index.invalid"}


def test_the_lock_knows_every_dependency() -> None:
    project = next(package for package in _toml("uv.lock")["package"] if package["name"] == "paquebot")
    declared = _toml("pyproject.toml")
    extras = declared["project"]["optional-dependencies"].values()
    groups = declared["dependency-groups"].values()
    wanted = {
        re.split(r"[^A-Za-z0-9.-]", line)[0].lower().replace(".", "-")
        for lines in (declared["project"]["dependencies"], *extras, *groups)
        for line in lines
        if isinstance(line, str)
    }
    grouped = project["metadata"]["requires-dev"].values()
    locked = {entry["name"] for entries in (project["metadata"]["requires-dist"], *grouped) for entry in entries}
    assert locked == wanted


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_make_command_in_a_page_exists(page: str) -> None:
    named = set(re.findall(r"\bmake ([a-z-]+)", "\n".join(_code(_texts()[page]))))
    assert named
    assert named <= _make_targets()


def _code(page: str) -> Iterator[str]:
    """Yield what a Markdown page shows as code: indented or fenced lines, and spans."""
    fenced = False
    for line in page.splitlines():
        fenced ^= line.startswith("```")
        if fenced or line.startswith("    "):
            yield line
        yield from re.findall(r"`([^`]+)`", line)


def test_the_two_commands_of_the_readme_exist() -> None:
    shown = "\n".join(_code(_texts()["README.md"]))
    assert {"run", "test"} <= set(re.findall(r"\bmake ([a-z-]+)", shown)) & _make_targets()


def test_ci_runs_make_test_and_nothing_else() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert script.read_text(encoding="utf-8").splitlines()[1:] == ["exec make test"]
