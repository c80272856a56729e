"""Header fields that filters add, change and remove, as bytes; what is not touched stays as it came.

Whatever a filter says, no control character reaches a message, no field breaks out of its line, and no value makes an
empty line: values come from programs and services that are asked over the network.
"""

import re
from collections.abc import Sequence
from typing import Final

from paquebot_mta.filter.contract import FieldEdit
from paquebot_mta.mail.header import HEADER_BYTES, scan_fields

VALUE_OCTETS: Final = 65_536
"""Longer values are cut."""
_NAME: Final = re.compile(r"[!-9;-~]{1,76}")
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def is_field_name(name: str) -> bool:
    """Whether a text can be the name of a header field (RFC 5322, 2.2)."""
    return _NAME.fullmatch(name) is not None


def encode_field(name: str, value: str) -> bytes:
    """Make one field with its line end; lines of the value are folded ones (RFC 5322, 2.2.3).

    Raises:
        ValueError: the name can't be one.
    """
    if not is_field_name(name):
        raise ValueError(f"not the name of a header field: {name[:80]!r}")
    first, *folded = [_CONTROL.sub("?", line) for line in _LINE_END.split(value[:VALUE_OCTETS])]
    lines = (line if line[:1] in {" ", "\t"} else f"\t{line}" for line in folded if line.strip(" \t"))
    kept = [first.lstrip(" \t"), *lines]
    return f"{name}: ".encode() + "\r\n".join(kept).encode("utf-8", "replace") + b"\r\n"


def edit_header(header: bytes, edits: Sequence[FieldEdit]) -> bytes:
    """Apply edits, in order, to a header section with or without the empty line at its end.

    Occurrences count the fields as they were before the first edit, so that one edit never moves another's.

    Raises:
        ValueError: a value is wanted for what can't be the name of a field.
    """
    return edit_sections(b"", header, edits)[1]


def edit_sections(before: bytes, header: bytes, edits: Sequence[FieldEdit]) -> tuple[bytes, bytes]:
    """As ``edit_header``, of a section whose first fields, complete ones, stand apart: both are counted through."""
    if not edits:
        return before, header
    apart, header = len(before), before + header
    fields = list(scan_fields(header, max(len(header), HEADER_BYTES)))
    end = fields[-1].end if fields else 0
    kept = [header[field.start : field.end] for field in fields]
    places: dict[bytes, list[int]] = {}
    for place, field in enumerate(fields):
        places.setdefault(field.name.lower(), []).append(place)
    for edit in edits:
        line = b"" if edit.value is None else encode_field(edit.name, edit.value)
        found = places.get(edit.name.lower().encode(), [])
        for place in found if edit.occurrence == 0 else found[edit.occurrence - 1 : edit.occurrence]:
            kept[place], line = line, b""
        kept.append(line)
    cut = sum(field.start < apart for field in fields)
    return b"".join(kept[:cut]), b"".join(kept[cut:]) + header[end:]
