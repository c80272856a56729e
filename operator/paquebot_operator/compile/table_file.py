"""The text form of a table, in a ConfigMap or Secret: a line a key, or a key and its value (OpenSMTPD's table(5)).

``#`` starts a comment line; ``key value`` and ``key: value`` are the same; the first line decides whether it is a list
or a mapping; ``# @list`` makes it a list whatever the lines look like. Errors name lines, never their content.
"""

from paquebot_mta.config.tables import Inline

MAX_BYTES = 1_048_576
MAX_KEY_CHARACTERS = 1_024
MAX_VALUE_CHARACTERS = 4_096


class TableFileError(ValueError):
    """The text is not a table; the message says why and names the line."""


def parse_table(content: bytes) -> Inline:
    """Read a table.

    Raises:
        TableFileError: not UTF-8, too large, lists and mappings mixed, a key twice, control characters.
    """
    if len(content) > MAX_BYTES:
        raise TableFileError(f"more than {MAX_BYTES} bytes; use a back end for large tables")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise TableFileError("not UTF-8") from None
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    rows = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    as_list = any(line.replace(" ", "") == "#@list" for _, line in rows)
    data = [(number, line) for number, line in rows if line and not line.startswith("#")]
    return _built([(number, *_split(number, line, as_list=as_list)) for number, line in data])


def _split(number: int, line: str, *, as_list: bool) -> tuple[str, str]:
    if not line.replace("\t", " ").isprintable():
        raise TableFileError(f"line {number}: control characters are not allowed")
    key, value = (line, "") if as_list else _halves(number, line)
    if not key or len(key) > MAX_KEY_CHARACTERS or len(value) > MAX_VALUE_CHARACTERS:
        raise TableFileError(f"line {number}: the key is empty, or key or value is too long")
    return key, value


def _halves(number: int, line: str) -> tuple[str, str]:
    if line.startswith("["):
        key, bracket, rest = line[1:].partition("]")
        if not bracket:
            raise TableFileError(f"line {number}: a bracket is not closed")
        return key, rest.removeprefix(":").strip()
    key, *rest_of_line = line.split(maxsplit=1)
    return key.removesuffix(":"), rest_of_line[0] if rest_of_line else ""


def _built(rows: list[tuple[int, str, str]]) -> Inline:
    is_list = bool(rows) and not rows[0][2]
    seen: set[str] = set()
    for number, key, value in rows:
        if is_list != (not value):
            raise TableFileError(f"line {number}: a list and a mapping are mixed (the first line decides)")
        if key in seen:
            raise TableFileError(f"line {number}: the key is there twice")
        seen.add(key)
    if is_list:
        return Inline(keys=tuple(key for _, key, _ in rows))
    return Inline(entries={key: value for _, key, value in rows})
