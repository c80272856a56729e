"""Patterns in keys: ``*`` for one label, and regular expressions that no key can make slow."""

import re
from typing import Final

MAX_SUBJECT_CHARACTERS: Final = 320
"""Longer subjects never match a pattern (an address has at most 320)."""
MAX_OPEN_REPEATS: Final = 3
"""How many ``*``, ``+`` or ``{n,}`` a regular expression may have, one fewer if it does not start with ``^``: the time
of a search is the subject's length to that power."""
_MAX_STARS: Final = 8
_OPEN_REPEAT: Final = re.compile(r"[*+]|\{\d*,\d*\}")
_ANY_REPEAT: Final = re.compile(r"[*+]|\{\d*+,?\d*+\}")
_BACKREFERENCE: Final = re.compile(r"\\[1-9]|\(\?P=")


def compile_wildcard(entry: str) -> re.Pattern[str]:
    """Compile an entry in which each ``*`` stands for characters within one label, at least one.

    Raises:
        ValueError: too many wildcards; the message names the entry.
    """
    pieces = re.split(r"\*+", entry.lower())
    if len(pieces) > _MAX_STARS + 1:
        raise ValueError(f"entry {entry!r}: more than {_MAX_STARS} wildcards")
    return re.compile("[^.]+".join(re.escape(piece) for piece in pieces))


def compile_regex(entry: str) -> re.Pattern[str]:
    """Compile a regular expression that is searched for, case-sensitive unless it says ``(?i)``.

    Raises:
        ValueError: it is no regular expression, or a hostile subject could make it slow; the message names the entry.
    """
    try:
        compiled = re.compile(entry)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"entry {entry!r}: not a regular expression: {error}") from error
    if danger := _danger(entry):
        raise ValueError(f"entry {entry!r}: {danger}")
    return compiled


def regex_fault(entry: str) -> str:
    """Say why a text can't be used as a regular expression, empty if it can."""
    try:
        compile_regex(entry)
    except ValueError as error:
        return str(error)
    return ""


def _danger(entry: str) -> str:
    """Say why an expression may take more than polynomial time of a small degree, empty if it can't."""
    plain = _without_literals(entry)
    if _BACKREFERENCE.search(entry.replace("\\\\", "")):
        return "back-references are not allowed"
    anchored = plain.removeprefix("(?i)").startswith("^") and "|" not in plain
    if len(_OPEN_REPEAT.findall(plain)) > (allowed := MAX_OPEN_REPEATS - (not anchored)):
        return f"more than {allowed} open repetitions"
    if _repeated_group(plain):
        return "a repeated group may not hold a repetition or a choice"
    return ""


def _without_literals(entry: str) -> str:
    """Replace escapes and character classes by one letter each, so that what is left is structure."""
    no_escapes = re.sub(r"\\.", "x", entry, flags=re.DOTALL)
    return re.sub(r"\[\^?\]?[^\]]*+\]?", "x", no_escapes)


def _repeated_group(plain: str) -> bool:
    """Whether a group that is repeated holds something whose length or choice varies."""
    starts: list[int] = []
    for position, char in enumerate(plain):
        if char == "(":
            starts.append(position)
        elif char == ")" and starts:
            body = plain[starts.pop() + 1 : position].removeprefix("?:")
            repeated = _ANY_REPEAT.match(plain, position + 1)
            if repeated and (_OPEN_REPEAT.search(body) or "|" in body or "?" in body):
                return True
    return False
