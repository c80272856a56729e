"""From values to places on a picture, and to words that people read."""

import math
from typing import Final

from msgspec import Struct

from monitoring.model import Unit

_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_LINES: Final = 4


class Scale(Struct, frozen=True):
    """A straight axis: the value ``from_`` lies at ``low``, ``to`` at ``high`` (pixels)."""

    from_: float
    to: float
    low: float
    high: float

    def at(self, value: float) -> float:
        """Where a value lies."""
        return self.low + (value - self.from_) / ((self.to - self.from_) or 1.0) * (self.high - self.low)


def ticks(highest: float) -> list[float]:
    """Choose round values from 0 to at least the highest."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / _LINES
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in _STEPS if each * power >= rough * 0.999)
    return [step * number for number in range(math.ceil(highest / step - 1e-9) + 1)]


def spell(value: float, unit: Unit) -> str:
    """Spell a value with its unit, short."""
    match unit:
        case "percentunit":
            return f"{_short(value * 100)} %"
        case "s":
            return _seconds(value)
        case "d":
            return f"{value:.0f} d"
        case "bytes":
            return _bytes(value)
        case "ops":
            return f"{_short(value)}/s"
        case _:
            return _short(value)


def _short(value: float) -> str:
    if abs(value) >= 10_000:
        return f"{value / 1000:.0f} k"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _seconds(value: float) -> str:
    if value == 0:
        return "0 s"
    if abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    return f"{value:.3g} s" if abs(value) < 600 else f"{value / 60:.0f} min"


def _bytes(value: float) -> str:
    for name in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.3g} {name}"
        value /= 1024
    return f"{value:.3g} TiB"
