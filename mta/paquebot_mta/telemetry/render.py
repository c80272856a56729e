"""A log line as bytes: JSON for machines, coloured text for people. Control characters are escaped in both."""

import math
import time
from collections.abc import Callable
from typing import Final

import msgspec

Value = str | int | float | bool
_MAX_VALUE: Final = 2_048
_COLOURS: Final = {"debug": "2", "info": "32", "warning": "33", "error": "1;31"}
_LEVEL_WIDTH: Final = 7
# As numbers: a byte is found four times faster than a string of one byte.
_BACKSLASH: Final = 0x5C
_DELETE: Final = 0x7F
_MILLION: Final = 1_000_000
_DELAY: Final = "delay_seconds"
_ENCODE: Final = msgspec.json.Encoder().encode


class Head:
    """What all lines of one level and name begin with; as JSON it is spelled once.

    Attributes:
        json: behind the time of the line, up to the last value.
    """

    __slots__ = ("event", "json", "level")

    def __init__(self, level: str, event: str, component: str, pod: str, generation: int) -> None:
        self.level = level
        self.event = clean(event)
        head = {"level": level, "event": self.event, "component": component, "pod": clean(pod), "gen": generation}
        self.json = b'",' + _ENCODE(head)[1:-1]


Render = Callable[[Head, str, dict[str, Value]], bytes]
"""Makes bytes of a line: its head, its time, its fields, which are the line's own."""


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
        now = self._wall_clock()
        passed = now - self._second
        if not 0 <= passed < 1:
            self._second = math.floor(now)
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(self._second))
            passed = now - self._second
        # The leading one makes six digits of any fraction, faster than a format does.
        return f"{self._text}{str(_MILLION + int(passed * _MILLION))[1:]}Z"


def render_json(head: Head, ts: str, fields: dict[str, Value]) -> bytes:
    """One JSON object and a newline; keys in the line's order. Cleans the values of ``fields``."""
    try:
        body = _ENCODE(fields)
    except UnicodeEncodeError:  # a lone surrogate
        body = b""
    # Three looks at the whole are cheaper than one at each value: JSON escapes control characters, the rest is ASCII.
    if not body.isascii() or _BACKSLASH in body or _DELETE in body or not 2 < len(body) <= _MAX_VALUE:
        body = _ENCODE({key: clean(value) if isinstance(value, str) else value for key, value in fields.items()})
    return b'{"ts":"%b%b%b%b\n' % (ts.encode(), head.json, b"," if fields else b"", body[1:])


def render_text(head: Head, ts: str, fields: dict[str, Value], *, colour: bool) -> bytes:
    """Time, level, event, then ``key=value`` in the line's order, quoted where needed."""
    level, event = head.level, head.event
    start = f"{level:<{_LEVEL_WIDTH}} {event}"
    if colour:
        start = f"\x1b[{_COLOURS.get(level, '0')}m{level:<{_LEVEL_WIDTH}}\x1b[0m \x1b[1m{event}\x1b[0m"
    pairs = [f"{key}={_quoted(value)}" for key, value in fields.items() if key != _DELAY]
    if _DELAY in fields:
        pairs.append(f"delay={duration(float(fields[_DELAY]))}")
    return " ".join([ts[11:23], start, *pairs]).encode() + b"\n"


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
