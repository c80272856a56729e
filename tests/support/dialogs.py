r"""SMTP dialogs as text files: each line says what the client sends or what the server must do.

    # a comment; blank lines are ignored
    C: EHLO client.test        the client sends this line and CRLF
    C- MAIL FROM:<a@b>\r\nRSET the client sends these bytes and nothing more
    S: 250 2.1.0               the server gives a reply (of any number of lines) whose last line starts so
    S~ 250 2\.\d\.\d .*        the server gives a reply whose last line matches the whole regular expression
    S+ SIZE \d+                some line of the last reply, without its code, matches the whole regular expression
    S! AUTH.*                  no line of the last reply matches
    S$                         the server closes the connection and says nothing more
    S0 0.05                    the server says nothing for so many seconds
    TLS mx.test                the TLS handshake (after STARTTLS and its 220); the name is for a given context only
    CLOSE                      the client closes the connection

In C lines `\r`, `\n`, `\t`, `\0`, `\\` and `\xff` are bytes, `\{a*1000}` repeats a text, and `%{name}` is replaced by a
variable; all lines may hold variables. Text is UTF-8.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .smtp_client import DialogError, RawReply, SmtpClient

_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|\{(.*?)\*(\d+)\}|(.))", re.DOTALL)
_PLAIN = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\x00", b"\\": b"\\"}
_KINDS = ("C:", "C-", "S:", "S~", "S+", "S!", "S$", "S0", "TLS", "CLOSE")


@dataclass(frozen=True)
class Step:
    """A line of a dialog: its number in the file, its kind (`C:`, `S~`, `TLS`, ...), and the rest."""

    number: int
    kind: str
    text: str


def parse_dialog(source: str, variables: Mapping[str, str] | None = None) -> tuple[Step, ...]:
    """Read a dialog. Raises ValueError, naming the line, when it isn't one or a variable is unknown."""
    steps = []
    for number, line in enumerate(source.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            steps.append(_step(number, _substituted(number, line, variables or {})))
    return tuple(steps)


def run_dialog(
    path: Path,
    target: int | Path,
    *,
    variables: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    timeout_seconds: float = 10.0,
) -> list[str]:
    """Run the dialog in the file `path` with a server and return the transcript.

    Raises `DialogError`, naming file and line, at the first thing that is not as written.
    """
    steps = parse_dialog(path.read_text(encoding="utf-8"), variables)
    with SmtpClient(target, timeout_seconds=timeout_seconds) as client:
        last: RawReply | None = None
        for step in steps:
            try:
                last = _run_step(client, step, last, tls)
            except DialogError as error:
                raise DialogError(f"{path.name}, line {step.number} ({step.kind} {step.text}): {error}") from error
        return client.transcript


def unescape(text: str) -> bytes:
    r"""Return the bytes of a C line: UTF-8, with `\r`, `\n`, `\t`, `\0`, `\\`, `\xff` and `\{text*count}` replaced."""
    return _ESCAPE.sub(_unescaped, text.encode())


def _unescaped(found: re.Match[bytes]) -> bytes:
    digits, repeated, count, letter = found.groups()
    if digits is not None:
        return bytes.fromhex(digits.decode())
    if count is not None:
        return bytes(repeated) * int(count)
    if letter not in _PLAIN:
        raise ValueError(f"unknown escape {found[0]!r}")
    return _PLAIN[letter]


def _substituted(number: int, line: str, variables: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1] not in variables:
            raise ValueError(f"line {number}: unknown variable {found[1]}")
        return variables[found[1]]

    return re.sub(r"%\{(\w+)\}", value, line)


def _step(number: int, line: str) -> Step:
    kind, _, text = line.partition(" ")
    if kind not in _KINDS:
        raise ValueError(f"line {number}: {line!r} starts with none of {', '.join(_KINDS)}")
    return Step(number, kind, text)


def _run_step(client: SmtpClient, step: Step, last: RawReply | None, tls: ssl.SSLContext | None) -> RawReply | None:
    match step.kind:
        case "C:":
            client.send(unescape(step.text) + b"\r\n")
        case "C-":
            client.send(unescape(step.text))
        case "S:":
            return client.expect(step.text)
        case "S~":
            return _matching(client.reply(), step.text)
        case "S+" | "S!":
            _check_lines(last, step)
        case "S$":
            client.expect_end()
        case "S0":
            client.expect_silence(float(step.text))
        case "TLS":
            client.start_tls(tls, step.text or None)
        case _:
            client.close()
    return last


def _matching(reply: RawReply, pattern: str) -> RawReply:
    if re.fullmatch(pattern, reply.last) is None:
        raise DialogError(f"got {reply.last!r}")
    return reply


def _check_lines(last: RawReply | None, step: Step) -> None:
    texts = () if last is None else last.texts
    has_match = any(re.fullmatch(step.text, text) for text in texts)
    if has_match != (step.kind == "S+"):
        raise DialogError(f"the reply's lines are {texts}")
