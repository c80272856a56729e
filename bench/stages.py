"""Sums up the samples of a profile by stage, module and function. Pure.

The samples are py-spy's folded stacks, taken only of the thread that holds the interpreter's lock: of the event loop
that is all but the waiting. CPU of each thread comes from the kernel and is exact; the samples only divide it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

MAIN_THREAD = "MainThread"
LOOP = "event loop"
OUR_CODE = "paquebot_mta/"
# How the loop was started; what happens below it but in no code of ours is the loop's own.
ENTRY = frozenset({"paquebot_mta/__main__.py", "paquebot_mta/service/command.py"})

SPEAKERS = frozenset({"accept", "deliver"})
SEND = ".flush"
"""How functions end that hand what was gathered for a peer to the socket."""
LOG_MODULES = frozenset({"log.py", "loglines.py", "lognames.py", "render.py", "privacy.py", "sink.py"})

_THREAD = re.compile(r"thread \((?:0x[0-9A-Fa-f]+|\d+)\)(?:: (?P<name>.*))?")
_FRAME = re.compile(r"(?P<function>.*) \((?P<file>[^()]*):(?P<line>\d+)\)")
_POOL_NUMBER = re.compile(r"_\d+$")


class Frame(Struct, frozen=True):
    """One call: function and file as py-spy shortens it."""

    function: str
    file: str


class Stack(Struct, frozen=True):
    """A call stack of a thread, outermost first, and how many samples met it."""

    thread: str
    frames: tuple[Frame, ...]
    samples: int


class Slice(Struct, frozen=True, kw_only=True):
    """A part of the CPU time of one process: its share of all, and what that is for each message."""

    name: str
    share: float
    microseconds_per_message: float


class ThreadCpu(Struct, frozen=True, kw_only=True):
    """CPU of the threads of one name, in clock ticks."""

    user_ticks: int
    system_ticks: int

    @property
    def ticks(self) -> int:
        """Both together."""
        return self.user_ticks + self.system_ticks


def parse_folded(text: str) -> list[Stack]:
    """Read folded stacks, each with its thread as outermost frame; lines of other shapes are left out."""
    return [stack for line in text.splitlines() if (stack := _parse_line(line)) is not None]


def pool_name(thread: str) -> str:
    """Name the pool of a thread: ``spool-read_3`` is one of ``spool-read``."""
    return _POOL_NUMBER.sub("", thread)


def stage_of(stack: Stack) -> str:
    """Name the package of ours that works: the innermost one, with all that it calls in libraries and the kernel.

    Sending on a socket and writing log lines are stages of their own.
    """
    frame = _innermost(stack)
    if frame is None:
        return LOOP
    package, _, module = frame.file.removeprefix(OUR_CODE).partition("/")
    if package in SPEAKERS and frame.function.endswith(SEND):
        return f"{package}: send() to the peer"
    if package == "telemetry":
        return f"telemetry: {'log lines' if module in LOG_MODULES else 'events and metrics'}"
    return package


def module_of(stack: Stack) -> str:
    """Name the module of ours that works, as ``accept/core.py``."""
    frame = _innermost(stack)
    return LOOP if frame is None else frame.file.removeprefix(OUR_CODE)


def function_of(stack: Stack) -> str:
    """Name the function of ours that works, as ``accept/core.py Class.method``."""
    frame = _innermost(stack)
    return LOOP if frame is None else f"{frame.file.removeprefix(OUR_CODE)} {frame.function}"


def divide(
    stacks: Iterable[Stack],
    threads: Mapping[str, ThreadCpu],
    microseconds_per_message: float,
    name_of: Callable[[Stack], str] = stage_of,
) -> list[Slice]:
    """Divide a process's CPU: the main thread's by its samples, each other pool of threads as a whole.

    ``microseconds_per_message`` is all of it, as measured without a profiler. Biggest first. Raises ValueError if
    nothing was sampled or used.
    """
    counts = Counter[str]()
    for stack in stacks:
        if stack.thread == MAIN_THREAD:
            counts[name_of(stack)] += stack.samples
    total, sampled = sum(cpu.ticks for cpu in threads.values()), counts.total()
    if not total or not sampled:
        raise ValueError("the profile is empty")
    main = threads[MAIN_THREAD].ticks / total
    shares = {name: main * samples / sampled for name, samples in counts.items()}
    shares |= {f"thread {name}": cpu.ticks / total for name, cpu in threads.items() if name != MAIN_THREAD}
    slices = [
        Slice(name=name, share=share, microseconds_per_message=share * microseconds_per_message)
        for name, share in shares.items()
    ]
    return sorted(slices, key=lambda each: -each.share)


def _innermost(stack: Stack) -> Frame | None:
    ours = (frame for frame in reversed(stack.frames) if frame.file.startswith(OUR_CODE) and frame.file not in ENTRY)
    return next(ours, None)


def _parse_line(line: str) -> Stack | None:
    names, _, samples = line.rpartition(" ")
    first, *rest = names.split(";")
    thread = _THREAD.fullmatch(first)
    if thread is None or not samples.isdigit():
        return None
    return Stack(thread["name"] or "", tuple(_parse_frames(rest)), int(samples))


def _parse_frames(names: Sequence[str]) -> Iterable[Frame]:
    for name in names:
        if (found := _FRAME.fullmatch(name)) is not None:
            yield Frame(found["function"], found["file"])
