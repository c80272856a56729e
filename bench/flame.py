"""Draws a profile as a flame graph: one SVG without scripts, each box with its numbers as a title. Pure.

The root is all CPU of a worker for one message. Above it are its threads, as the kernel counts them; the event loop's
is divided by its samples, outermost call at the bottom. What is too narrow to be seen is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from zlib import crc32

from msgspec import Struct, field

from bench.stages import LOOP, MAIN_THREAD, OUR_CODE, Frame, Stack, ThreadCpu

WIDTH, ROW, MARGIN = 1200, 17, 8
LEAST_SHARE = 0.003
"""Of the width: a narrower box can't be seen."""
LETTER = 6.2
"""Pixels of a letter, on average."""
HUES: Mapping[str, int] = {
    "accept": 205,
    "mail": 190,
    "spool": 25,
    "telemetry": 280,
    "dispatch": 120,
    "deliver": 95,
    "route": 75,
    "expand": 60,
}
"""A colour for each package; libraries and the interpreter's own are grey."""


class Node(Struct):
    """A call and all that it called.

    Attributes:
        weight: microseconds for each message.
    """

    name: str
    hue: int | None = None
    weight: float = 0.0
    children: dict[str, Node] = field(default_factory=dict)

    def child(self, name: str, hue: int | None) -> Node:
        """Find or make a call below this one."""
        return self.children.setdefault(name, Node(name, hue))


class Box(Struct, frozen=True):
    """A rectangle in shares of the root; ``depth`` 0 is the root's row."""

    name: str
    hue: int | None
    depth: int
    start: float
    share: float
    microseconds: float


def flame_svg(
    stacks: Iterable[Stack], threads: Mapping[str, ThreadCpu], microseconds_per_message: float, title: str
) -> str:
    """Draw it. Raises ValueError if nothing was sampled or used."""
    root = flame_tree(stacks, threads, microseconds_per_message)
    return _svg(list(boxes(root, root.weight)), title)


def flame_tree(stacks: Iterable[Stack], threads: Mapping[str, ThreadCpu], microseconds_per_message: float) -> Node:
    """Join stacks to a tree whose weights are microseconds for each message. Raises ValueError as `divide` does."""
    main = [stack for stack in stacks if stack.thread == MAIN_THREAD]
    ticks, samples = sum(cpu.ticks for cpu in threads.values()), sum(stack.samples for stack in main)
    if not ticks or not samples:
        raise ValueError("the profile is empty")
    root = Node("one message", None, microseconds_per_message)
    for name, cpu in threads.items():
        weight = microseconds_per_message * cpu.ticks / ticks
        below = root.child(LOOP if name == MAIN_THREAD else f"thread {name}", None)
        below.weight = weight
        if name == MAIN_THREAD:
            for stack in main:
                _add(below, stack.frames, weight * stack.samples / samples)
    return root


def _add(node: Node, frames: Sequence[Frame], weight: float) -> None:
    for frame in _from_our_code(frames):
        ours = frame.file.startswith(OUR_CODE)
        place = frame.file.removeprefix(OUR_CODE)
        node = node.child(f"{place} {frame.function}", HUES.get(place.partition("/")[0], 330) if ours else None)
        node.weight += weight


def _from_our_code(frames: Sequence[Frame]) -> Sequence[Frame]:
    """Leave out how the loop was started: it is below everything."""
    for at, frame in enumerate(frames):
        if frame.file.startswith(OUR_CODE) and "command.py" not in frame.file and "__main__" not in frame.file:
            return frames[at:]
    return ()


def boxes(root: Node, total: float, depth: int = 0, start: float = 0.0) -> Iterator[Box]:
    """Lay out a tree, widest first; what is too narrow is left out with all below it."""
    share = root.weight / total
    if share < LEAST_SHARE:
        return
    yield Box(root.name, root.hue, depth, start, share, root.weight)
    for child in sorted(root.children.values(), key=lambda each: -each.weight):
        yield from boxes(child, total, depth + 1, start)
        start += child.weight / total


def _svg(drawn: Sequence[Box], title: str) -> str:
    rows = max(box.depth for box in drawn) + 1
    height = (rows + 1) * ROW + 2 * MARGIN
    parts = [_box(box, rows) for box in drawn]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="11"><rect width="{WIDTH}" height="{height}" fill="#fff"/>'
        f'<text x="{MARGIN}" y="{MARGIN + 12}" font-weight="bold">{escape(title)}</text>'
    )
    return "\n".join([head, *parts, "</svg>", ""])


def _box(box: Box, rows: int) -> str:
    inner = WIDTH - 2 * MARGIN
    left, width = MARGIN + box.start * inner, box.share * inner
    top = MARGIN + (rows - box.depth) * ROW
    # Neighbours of one colour differ a little in lightness, always in the same way.
    light = 70 + crc32(box.name.encode()) % 13
    fill = f"hsl({box.hue},65%,{light}%)" if box.hue is not None else f"hsl(0,0%,{light + 10}%)"
    rectangle = f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{ROW - 1}" fill="{fill}"/>'
    letters = int((width - 4) / LETTER)
    shown = box.name if len(box.name) <= letters else f"{box.name[: letters - 1]}…"
    text = f'<text x="{left + 2:.1f}" y="{top + 12}">{escape(shown)}</text>' if letters > 3 else ""
    return f"<g><title>{escape(box.name)}: {box.microseconds:.0f} us</title>{rectangle}{text}</g>"
