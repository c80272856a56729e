"""A log line as bytes: JSON for machines, coloured text for people. Control characters are escaped in both."""

import time
from collections.abc import Callable
from typing import Final

import msgspec

Value = str | int | float | bool
Render = Callable[[dict[str, Value]], bytes]
"""Makes bytes of a line that is its own."""

_MAX_VALUE: Final = 2_048
_HIDDEN_IN_TEXT: Final = frozenset({"ts", "level", "event", "component", "pod", "gen", "delay_seconds"})
_COLOURS: Final = {"debug": "2", "info": "32", "warning": "33", "error": "1;31"}
_LEVEL_WIDTH: Final = 7
_ENCODE: Final = msgspec.json.Encoder().encode


def clean(text: str) -> str:
    r"""Escape what isn't printable (``\n``, ``\x1b``, lone surrogates), and cut what is too long."""
    if text.isprintable() and len(text) <= _MAX_VALUE:
        return text
    if len(text) > _MAX_VALUE:
        text = text[:_MAX_VALUE] + "…"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class Timestamps:
    """RFC 3339 in UTC with microseconds; the second is formatted once."""

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        self._wall_clock = wall_clock
        self._second = -1
        self._text = ""

    def now(self) -> str:
        """Spell the present."""
        second, fraction = divmod(self._wall_clock(), 1.0)
        if int(second) != self._second:
            self._second = int(second)
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{int(fraction * 1_000_000):06d}Z"


def render_json(line: dict[str, Value]) -> bytes:
    """One JSON object and a newline; keys in the line's order. Cleans the values of ``line``."""
    for key, value in line.items():
        if type(value) is str and not (value.isprintable() and len(value) <= _MAX_VALUE):
            line[key] = clean(value)
    return _ENCODE(line) + b"\n"


def render_text(line: dict[str, Value], *, colour: bool) -> bytes:
    """Time, level, event, then ``key=value`` in the line's order, quoted where needed."""
    level, event = str(line["level"]), clean(str(line["event"]))
    head = f"{level:<{_LEVEL_WIDTH}} {event}"
    if colour:
        head = f"\x1b[{_COLOURS.get(level, '0')}m{level:<{_LEVEL_WIDTH}}\x1b[0m \x1b[1m{event}\x1b[0m"
    pairs = [f"{key}={_quoted(value)}" for key, value in line.items() if key not in _HIDDEN_IN_TEXT]
    if "delay_seconds" in line:
        pairs.append(f"delay={duration(float(line['delay_seconds']))}")
    return " ".join([str(line["ts"])[11:23], head, *pairs]).encode() + b"\n"


def duration(seconds: float) -> str:
    """Spell a duration as OpenSMTPD's log does: ``0s``, ``2m5s``, ``1d2h``."""
    left = max(0, int(seconds))
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _quoted(value: Value) -> str:
    text = clean(str(value))
    if text and not any(char in text for char in ' "=\\'):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
