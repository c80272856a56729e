"""``python -m tests.fuzz.minimise [NAME ...]``: keep of each target's inputs the few small ones that reach everything.

What ``.cache/fuzz`` holds is looked at together with the kept corpus; kept files are named by their content.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from tests.fuzz.__main__ import BROKEN, WORK
from tests.fuzz.catalogue import CORPUS, TARGETS, Target, kept
from tests.fuzz.coverage import Arc, lines_of, traced

LARGEST_BYTES: Final = 8_192
MOST_FILES: Final = 40


@click.command()
@click.argument("names", nargs=-1)
def main(names: tuple[str, ...]) -> None:
    """Choose anew for all targets, or for those named, and print what they reach."""
    for name in names or TARGETS:
        inputs = {path.read_bytes() for path in (*kept(name), *_found(name)) if path.stat().st_size <= LARGEST_BYTES}
        chosen, arcs = choose(TARGETS[name], inputs)
        _write(CORPUS / name, chosen)
        click.echo(f"{name}: {len(inputs)} inputs, {len(chosen)} kept, {sum(map(len, chosen))} bytes")
        for line in _report(arcs):
            click.echo(f"  {line}")


def _found(name: str) -> list[Path]:
    return [path for path in (WORK / name).glob("*") if not path.name.startswith(BROKEN)]


def choose(target: Target, inputs: Iterable[bytes]) -> tuple[list[bytes], set[Arc]]:
    """Choose inputs that reach together what all reach, what adds most first; at most ``MOST_FILES``."""
    reached = {each: _reach(target, each) for each in sorted(inputs, key=lambda each: (len(each), each))}
    everything, seen, chosen = set[Arc]().union(*reached.values()), set[Arc](), list[bytes]()
    while seen != everything and len(chosen) < MOST_FILES:
        best = max(reached, key=lambda each: len(reached[each] - seen))
        chosen.append(best)
        seen |= reached.pop(best)
    return chosen, everything


def _reach(target: Target, data: bytes) -> set[Arc]:
    arcs: set[Arc] = set()
    with traced(arcs):
        target(data)
    return arcs


def _write(place: Path, chosen: list[bytes]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    names = {hashlib.sha256(each).hexdigest()[:16]: each for each in chosen}
    for path in place.iterdir():
        if path.name not in names:
            path.unlink()
    for name, content in names.items():
        (place / name).write_bytes(content)


def _report(arcs: set[Arc]) -> list[str]:
    """Say for each file how many of its functions' lines were reached."""
    lines: defaultdict[str, set[int]] = defaultdict(set)
    for path, _, line in arcs:
        lines[path].add(line)
    shares = ((path.rpartition("/paquebot_mta/")[2], lines_of(path), reached) for path, reached in lines.items())
    return [f"{len(can & reached):4} of {len(can):4} lines  {name}" for name, can, reached in sorted(shares) if can]


if __name__ == "__main__":
    main()
