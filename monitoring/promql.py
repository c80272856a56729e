"""Which metrics, labels and label values an expression of ours names: enough to find what doesn't exist. No parser."""

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

TARGET_LABELS: Final = frozenset(
    {"job", "namespace", "pod", "instance", "container", "le", "paquebot_dev_service", "app_kubernetes_io_instance"}
)
"""What a scrape adds (the pods' labels for MailService and Helm release, too), and a histogram's own."""
_USE: Final = re.compile(r"\b(?P<name>paquebot_\w+)(?:\{(?P<selector>[^}]*)\})?")
_MATCHER: Final = re.compile(r"(?P<label>\w+)\s*(?P<operator>=~|!~|!=|=)\s*\"(?P<value>[^\"]*)\"")
_GROUPING: Final = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
_LEGEND: Final = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}")
_PLAIN_VALUES: Final = re.compile(r"[\w.:-]+(?:\|[\w.:-]+)*")


class Use(Struct, frozen=True):
    """A metric in an expression, with the values that its labels are compared with, by label."""

    name: str
    compared: dict[str, tuple[str, ...]]


def uses(expression: str) -> Iterator[Use]:
    """Find the metrics of an expression, as written: a histogram with its suffix."""
    for found in _USE.finditer(_GROUPING.sub("", expression)):
        compared = {each["label"]: _values(each["value"]) for each in _MATCHER.finditer(found["selector"] or "")}
        yield Use(found["name"], compared)


def grouped_labels(expression: str) -> frozenset[str]:
    """Find the labels that an expression groups or joins by."""
    parts = (part.strip() for found in _GROUPING.findall(expression) for part in found.split(","))
    return frozenset(filter(None, parts))


def legend_labels(text: str) -> frozenset[str]:
    """Find the labels that a legend or an annotation shows."""
    return frozenset(_LEGEND.findall(text))


def _values(text: str) -> tuple[str, ...]:
    """Split alternatives; a real pattern, or a variable, says nothing that can be checked."""
    return tuple(text.split("|")) if _PLAIN_VALUES.fullmatch(text) else ()
