"""Several workers' metrics as one text, by the catalogue's merge rules: a pod is one target, however many workers."""

from collections.abc import Callable, Iterable
from typing import Final

from paquebot_mta.telemetry.catalogue import CATALOGUE
from paquebot_mta.telemetry.metric import Merge

_RULES: Final[dict[Merge, Callable[[float, float], float]]] = {
    "sum": lambda one, other: one + other,
    "max": max,
    "min": min,
}
_SUFFIXES: Final = ("_bucket", "_count", "_sum")


def merge_expositions(texts: list[bytes]) -> bytes:
    """Merge texts that ``exposition`` made; one HELP and TYPE a metric. Metrics out of the catalogue are left out."""
    series: dict[str, dict[str, float]] = {name: {} for name in CATALOGUE}
    for text in texts:
        for name, key, value in _samples(text):
            values = series[name]
            rule = _RULES[CATALOGUE[name].merge]
            values[key] = rule(values[key], value) if key in values else value
    return "".join(_lines(series)).encode()


def _samples(text: bytes) -> Iterable[tuple[str, str, float]]:
    """Read the samples of a text: metric, series as spelled, value."""
    for line in text.decode().splitlines():
        key, separator, value = line.rpartition(" ")
        name = _metric_of(key)
        if separator and name is not None and not line.startswith("#"):
            yield name, key, float(value)


def _metric_of(key: str) -> str | None:
    name = key.partition("{")[0]
    if name in CATALOGUE:
        return name
    for suffix in _SUFFIXES:
        base = name.removesuffix(suffix)
        if base in CATALOGUE and CATALOGUE[base].kind == "histogram":
            return base
    return None


def _lines(series: dict[str, dict[str, float]]) -> Iterable[str]:
    for name, values in series.items():
        metric = CATALOGUE[name]
        yield f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind}\n"
        for key, value in values.items():
            yield f"{key} {value!r}\n"
