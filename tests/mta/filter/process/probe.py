"""A filter for tests, run as a child: what it does to questions is its first argument. No library, as an author's."""

import os
import sys
import time
from collections.abc import Callable

Say = Callable[[str], None]
Answer = Callable[[list[str], Say], None]
_HELD: list[list[str]] = []


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _result(fields: list[str], decision: str) -> str:
    return f"filter-result|{fields[5]}|{fields[6]}|{decision}"


def proceed(fields: list[str], say: Say) -> None:
    say(_result(fields, "proceed"))


def echo(fields: list[str], say: Say) -> None:
    """Decide as the parameter says."""
    say(_result(fields, fields[7].replace("!", "|")))


def backwards(fields: list[str], say: Say) -> None:
    """Keep three questions, then answer them in reverse order."""
    _HELD.append(fields)
    if len(_HELD) == 3:
        while _HELD:
            held = _HELD.pop()
            say(_result(held, f"rewrite|{held[7]}"))


def die(fields: list[str], say: Say) -> None:
    sys.stderr.write("I can't go on\x07\n")
    sys.exit(3)


def hang(fields: list[str], say: Say) -> None:
    time.sleep(60)


def deaf(fields: list[str], say: Say) -> None:
    """Answer nothing that is asked of a first session, but what comes later."""
    if fields[7] != "wait":
        say(_result(fields, "proceed"))


def garbage(fields: list[str], say: Say) -> None:
    say("one moment please")


def foreign(fields: list[str], say: Say) -> None:
    """Answer what was not asked, and another session, before the answer."""
    say(f"filter-result|{'0' * 16}|{fields[6]}|reject|550 foreign")
    say(f"filter-result|{fields[5]}|{'f' * 16}|reject|550 foreign")
    say(f"filter-dataline|{fields[5]}|{'f' * 16}|foreign")
    say(_result(fields, "proceed"))
    say(_result(fields, "reject|550 again"))


def flood(fields: list[str], say: Say) -> None:
    """Never end a line."""
    while True:
        os.write(1, b"x" * 65_536)


def wordy(fields: list[str], say: Say) -> None:
    say(_result(fields, "reject|550 5.7.1 " + "no " * 1_000))


def chatter(fields: list[str], say: Say) -> None:
    """Never end to say what nobody asked for."""
    while True:
        os.write(1, b"report|hello\n" * 2_000)


def strangers(fields: list[str], say: Say) -> None:
    """Never end to answer for sessions that there are not."""
    while True:
        os.write(1, b"filter-result|%b|%b|reject|550 no\n" % (b"0" * 16, b"1" * 16) * 2_000)


def children(fields: list[str], say: Say) -> None:
    """Tell the ids of itself and of a child that outlives it."""
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    say(_result(fields, f"report|{os.getpid()} {child}"))


def environment(fields: list[str], say: Say) -> None:
    say(_result(fields, "report|" + " ".join(sorted(os.environ))))


_STREAMS: dict[str, Callable[[str], list[str]]] = {
    "same": lambda line: [line],
    "double": lambda line: [line] if line == "." else [line, line],
    "late": lambda line: [],
    "loud": lambda line: [line] if line == "." else [line * 100] * 2_000,
    "cr": lambda line: [line + "\rx"],
    "nul": lambda line: [line + "\0x"],
    "long": lambda line: [line] if line == "." else ["." + line.ljust(65_533, "x")],
    "longer": lambda line: [line] if line == "." else [line.ljust(65_534, "x")],
    "mute": lambda line: [],
    "trickle": lambda line: [line],
    "decide": lambda line: [],
}


def stream(fields: list[str], say: Say, mode: str, kept: list[str]) -> None:
    """Give content back, in one way or another."""
    head = f"filter-dataline|{fields[5]}|{fields[6]}|"
    kept.append(fields[7])
    while mode == "trickle" and fields[7] == ".":
        time.sleep(0.1)
        say(head + "more")
    if mode == "decide":
        say(_result(fields, "proceed"))
    for line in _STREAMS[mode](fields[7]):
        say(head + line)
    if mode == "late" and fields[7] == ".":
        for line in kept:
            say(head + line)
        kept.clear()


def main() -> None:
    """Register for what the second argument names, and answer."""
    mode, wanted = sys.argv[1], sys.argv[2].split(",")
    log = open(sys.argv[3], "a", buffering=1) if len(sys.argv) > 3 else None  # noqa: SIM115 - as long as it lives
    kept: list[str] = []
    sys.stdin.reconfigure(encoding="latin-1")  # type: ignore[union-attr]
    sys.stdout.reconfigure(encoding="latin-1")  # type: ignore[union-attr]
    for raw in sys.stdin:
        line = raw.rstrip("\n")
        if log:
            log.write(line + "\n")
        if line == "config|ready":
            for each in wanted:
                _say(f"register|{each.replace(':', '|')}")
            _say("register|ready")
        fields = line.split("|", 7)
        if fields[0] == "filter":
            if fields[4] == "data-line":
                stream(fields, _say, mode, kept)
            else:
                globals().get(mode, proceed)(fields, _say)


main()
