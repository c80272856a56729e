"""``python -m tests.fuzz.minimise [NAME ...]``: keep of each target's inputs the few small ones that reach the most.

Seeds (``seed-*``) were written by hand and always stay; of what ``.cache/fuzz`` holds and what was kept before, those
stay that reach what no seed does, named by their content.
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
MOST_FILES: Final = 16
SEED: Final = "seed-"


@click.command()
@click.argument("names", nargs=-1)
def main(names: tuple[str, ...]) -> None:
    """Choose anew for all targets, or for those named, and print what they reach."""
    for name in names or TARGETS:
        seeds = {path.read_bytes() for path in kept(name) if path.name.startswith(SEED)}
        paths = (path for path in (*kept(name), *_found(name)) if path.stat().st_size <= LARGEST_BYTES)
        inputs = {path.read_bytes() for path in paths} - seeds
        chosen, arcs = choose(TARGETS[name], inputs, seeds)
        _write(CORPUS / name, chosen)
        click.echo(f"{name}: {len(seeds)} seeds, {len(chosen)} of {len(inputs)} others, {len(arcs)} steps")
        for line in _report(arcs):
            click.echo(f"  {line}")


def _found(name: str) -> list[Path]:
    return [path for path in (WORK / name).glob("*") if not path.name.startswith(BROKEN)]


def choose(target: Target, inputs: Iterable[bytes], seeds: Iterable[bytes] = ()) -> tuple[list[bytes], set[Arc]]:
    """Choose inputs that reach what the seeds don't, what adds most first, small ones first, at most ``MOST_FILES``.

    Returns the inputs, and all that they reach together with the seeds.
    """
    seen = set[Arc]().union(*(_reach(target, each) for each in seeds))
    reached = {each: _reach(target, each) for each in sorted(inputs, key=lambda each: (len(each), each))}
    chosen: list[bytes] = []
    while reached and len(chosen) < MOST_FILES:
        best = max(reached, key=lambda each: len(reached[each] - seen))
        if reached[best] <= seen:
            break
        chosen.append(best)
        seen |= reached.pop(best)
    return chosen, seen


def _reach(target: Target, data: bytes) -> set[Arc]:
    arcs: set[Arc] = set()
    with traced(arcs):
        target(data)
    return arcs


def _write(place: Path, chosen: list[bytes]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    names = {hashlib.sha256(each).hexdigest()[:16]: each for each in chosen}
    for path in place.iterdir():
        if path.name not in names and not path.name.startswith(SEED):
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
