"""Macros (RFC 7208, 7): read once, strictly, then expanded."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from paquebot_mta.mailauth.spf.values import SpfSyntaxError

NAME_OCTETS: Final = 253
"""Longest name; longer ones lose labels on the left (RFC 7208, 7.3)."""

_PART: Final = re.compile(r"%\{([A-Za-z])([0-9]{0,9})(r?)([.\-+,/_=]*)\}|%([%_-])|([^%]+)", re.IGNORECASE)
_LITERAL: Final = re.compile(r"[!-$&-~]*")
_TOP_LABEL: Final = re.compile(r"(?![0-9]+\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.IGNORECASE)
_LETTERS: Final = frozenset("slodiphv")
_LETTERS_OF_EXPLANATIONS: Final = _LETTERS | frozenset("crt")
_ESCAPES: Final = {"%": "%", "_": " ", "-": "%20"}


class Expand(Struct, frozen=True):
    """One ``%{...}``: ``letter`` in lower case; ``keep``: how many parts on the right, 0 for all."""

    letter: str
    escaped: bool
    keep: int
    reverse: bool
    delimiters: str


MacroString = tuple[Expand | str, ...]


def parse_domain_spec(text: str) -> MacroString:
    """Read a domain-spec: it ends with a top label or a macro.

    Raises:
        SpfSyntaxError: it is none.
    """
    parts = _parse(text, _LETTERS, spaces=False)
    if not parts or not (isinstance(parts[-1], Expand) or _ends_with_top_label(text)):
        raise SpfSyntaxError(f"not a domain: {text}")
    return parts


def _ends_with_top_label(text: str) -> bool:
    _, dot, label = text.removesuffix(".").rpartition(".")
    return bool(dot) and _TOP_LABEL.fullmatch(label) is not None


def parse_explanation(text: str) -> MacroString:
    """Read the text of an explanation, in which spaces and three more letters are allowed.

    Raises:
        SpfSyntaxError: it is none.
    """
    return _parse(text, _LETTERS_OF_EXPLANATIONS, spaces=True)


def check_macros(text: str) -> None:
    """Make sure that the value of an unknown modifier is a macro-string (RFC 7208, 6).

    Raises:
        SpfSyntaxError: it is none.
    """
    _parse(text, _LETTERS, spaces=False)


def _parse(text: str, letters: frozenset[str], *, spaces: bool) -> MacroString:
    parts: list[Expand | str] = []
    position = 0
    while position < len(text):
        found = _PART.match(text, position)
        if found is None:
            raise SpfSyntaxError(f"malformed macro: {text}")
        parts.append(_part(found, letters, spaces=spaces))
        position = found.end()
    return tuple(parts)


def _part(found: re.Match[str], letters: frozenset[str], *, spaces: bool) -> Expand | str:
    letter, digits, reverse, delimiters, escape, literal = found.groups()
    if escape:
        return _ESCAPES[escape]
    if literal:
        if not _LITERAL.fullmatch(literal.replace(" ", "") if spaces else literal):
            raise SpfSyntaxError("a character that no macro may hold")
        return str(literal)
    if letter.lower() not in letters:
        raise SpfSyntaxError(f"unknown macro letter {letter}")
    if digits and not 1 <= int(digits) <= 128:
        raise SpfSyntaxError(f"a macro can't keep {digits} parts")
    return Expand(letter.lower(), letter.isupper(), int(digits or 0), bool(reverse), delimiters or ".")


def uses(parts: MacroString, letter: str) -> bool:
    """Whether a letter stands in it."""
    return any(isinstance(part, Expand) and part.letter == letter for part in parts)


def expand(parts: MacroString, values: Mapping[str, str]) -> str:
    """Put values in place of the letters."""
    return "".join(part if isinstance(part, str) else _expanded(part, values[part.letter]) for part in parts)


def _expanded(part: Expand, value: str) -> str:
    pieces = re.split(f"[{re.escape(part.delimiters)}]", value)
    if part.reverse:
        pieces.reverse()
    kept = ".".join(pieces[-part.keep :])
    return quote(kept, safe="") if part.escaped else kept


def as_name(text: str) -> str:
    """Make an expanded text a name: no dot at its end, and labels cut off on the left until it is short enough."""
    name = text.removesuffix(".").lower()
    while len(name) > NAME_OCTETS and "." in name:
        name = name.partition(".")[2]
    return name
