"""Looking at a header section as bytes (RFC 5322, 2.2): finding fields, never making them anew.

What a message holds stays as it came: this module gives positions and slices, so that a caller can leave a field out or
put bytes in front, and all other bytes are untouched. Junk is tolerated: a line that is no field is a field without a
name. Time is linear, and nothing behind ``limit`` bytes is looked at.
"""

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

HEADER_BYTES: Final = 262_144
"""How far a header section is followed, unless told otherwise."""

_FIELD: Final = re.compile(rb"([!-9;-~]+)[ \t]*:")
_FOLD: Final = re.compile(rb"\r?\n(?=[ \t])")
_BLANK: Final = re.compile(rb"\r?\n")
_END: Final = re.compile(rb"\n\r?\n")


class Field(Struct, frozen=True):
    """One header field.

    Attributes:
        name: as spelled, empty for a line that is no field.
        value: the bytes after the colon, folding kept, without the final line end.
        start, end: where the field lies in the content, its final line end included.
    """

    name: bytes
    value: bytes
    start: int
    end: int


def find_body(content: bytes | bytearray, limit: int = HEADER_BYTES, start: int = 0) -> int | None:
    """Find where the body starts, behind the empty line that ends the header; None if that line is not there.

    The first ``start`` bytes are known from an earlier look not to hold that line, but for a part of it at their end.
    """
    found = _BLANK.match(content) or _END.search(content, max(start - 2, 0), min(len(content), limit))
    return None if found is None else found.end()


def scan_fields(content: bytes, limit: int = HEADER_BYTES) -> Iterator[Field]:
    """Yield the fields in order, up to the empty line, the end of the content or ``limit`` bytes."""
    position, stop = 0, min(len(content), limit)
    while position < stop and not _BLANK.match(content, position, stop):
        end = _field_end(content, position, stop)
        yield _field(content, position, end)
        position = end


def _field_end(content: bytes, start: int, stop: int) -> int:
    """Find the end of the line at ``start`` and of the lines that continue it (RFC 5322, 2.2.3)."""
    position = start
    while True:
        newline = content.find(b"\n", position, stop)
        if newline < 0:
            return stop
        position = newline + 1
        if content[position : position + 1] not in (b" ", b"\t"):
            return position


def _field(content: bytes, start: int, end: int) -> Field:
    """Split one field; a name may be followed by spaces (RFC 5322, 4.5)."""
    found = _FIELD.match(content, start, end)
    value = content[found.end() if found else start : end]
    value = value.removesuffix(b"\n").removesuffix(b"\r")
    return Field(found.group(1) if found else b"", value, start, end)


def field_values(content: bytes, name: bytes, limit: int = HEADER_BYTES) -> tuple[bytes, ...]:
    """Give the values of all fields of that name (in any case), in order, unfolded and without outer white space."""
    wanted = name.lower()
    return tuple(unfold(each.value) for each in scan_fields(content, limit) if each.name.lower() == wanted)


def first_value(content: bytes, name: bytes, limit: int = HEADER_BYTES) -> bytes | None:
    """Give the value of the first field of that name, unfolded; None if there is none."""
    wanted = name.lower()
    found = (unfold(each.value) for each in scan_fields(content, limit) if each.name.lower() == wanted)
    return next(found, None)


def count_fields(content: bytes, name: bytes, limit: int = HEADER_BYTES) -> int:
    """Count the fields of that name: ``Received`` ones tell how often a message was passed on (RFC 5321, 6.3)."""
    wanted = name.lower()
    return sum(1 for each in scan_fields(content, limit) if each.name.lower() == wanted)


def unfold(value: bytes) -> bytes:
    """Join a folded value to one line, without outer white space (RFC 5322, 2.2.3)."""
    return _FOLD.sub(b"", value).strip(b" \t\r\n")


def strip_fields(content: bytes, name: bytes, limit: int = HEADER_BYTES) -> bytes:
    """Leave out all fields of that name; all other bytes stay."""
    wanted = name.lower()
    kept, position = [], 0
    for each in scan_fields(content, limit):
        if each.name.lower() == wanted:
            kept.append(content[position : each.start])
            position = each.end
    return b"".join((*kept, content[position:])) if position else content
