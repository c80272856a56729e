"""Replies of a remote server, read as the hostile input they are (RFC 5321, 4.2; RFC 2034). No I/O.

A reply is whole or an error, never half of each: codes that differ between its lines, lines that are no reply lines,
lines or replies without an end are errors. Text is kept only so far as someone will read it, as printable characters.
"""

import re
from typing import Final

from paquebot_mta.mail.lines import LineBuffer, LineError
from paquebot_mta.mail.reply import Reply

LINE_BYTES: Final = 4_096
"""Longest line taken. RFC 5321, 4.5.3.1.5 allows 512."""
KEPT_LINES: Final = 64
KEPT_CHARACTERS: Final = 8_192
"""What is kept of a reply's text; more is read and dropped."""
MAX_LINES: Final = 1_024
"""A reply longer than this has no end."""
MAX_WAITING_BYTES: Final = 262_144
"""What a server may say ahead of our asking: the replies to a full flight of commands."""

_LINE: Final = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_STATUS: Final = re.compile(r"([245])\.([0-9]{1,3})\.([0-9]{1,3})(?: |$)")


class ReplyError(ValueError):
    """The server does not speak SMTP; nothing that follows can be understood."""


class ReplyReader:
    """Bytes in, replies out; how the bytes are cut never matters."""

    __slots__ = ("_characters", "_code", "_count", "_lines", "_texts")

    def __init__(self) -> None:
        """Start with nothing read."""
        self._lines = LineBuffer()
        self._begin()

    def _begin(self) -> None:
        self._code = b""
        self._count = 0
        self._characters = 0
        self._texts: list[str] = []

    @property
    def idle(self) -> bool:
        """Nothing was read that has not been given out."""
        return not self._lines and not self._count

    def feed(self, data: bytes) -> None:
        """Take bytes.

        Raises:
            ReplyError: the server says more than it was asked for.
        """
        if len(self._lines) + len(data) > MAX_WAITING_BYTES:
            raise ReplyError("too many bytes that were not asked for")
        self._lines.feed(data)

    def next_reply(self) -> Reply | None:
        """Give out one reply, None if none is complete.

        Raises:
            ReplyError: these bytes are no reply; the connection is of no use any more.
        """
        while (line := self._next_line()) is not None:
            if not self._count and line[3:4] == b" " and (found := _LINE.fullmatch(line)) is not None:
                return _reply(int(found[1]), [_printable(found[3])])
            if self._take(line):
                reply = _reply(int(self._code), self._texts)
                self._begin()
                return reply
        return None

    def _next_line(self) -> bytes | None:
        try:
            return self._lines.next_line(LINE_BYTES)
        except LineError as error:
            raise ReplyError(f"line with {error.fault}") from error

    def _take(self, line: bytes) -> bool:
        """Add a line; true if it was the last (code and space, or the code alone: RFC 5321, 4.2)."""
        found = _LINE.fullmatch(line)
        if found is None:
            raise ReplyError("not a reply line")
        code, separator, text = found.groups()
        if self._count and code != self._code:
            raise ReplyError("code changes within a reply")
        self._code = code
        self._count += 1
        if self._count > MAX_LINES:
            raise ReplyError("reply without an end")
        self._keep(text or b"")
        return bool(separator != b"-")

    def _keep(self, text: bytes) -> None:
        """Keep the line's text if there is room."""
        room = KEPT_CHARACTERS - self._characters
        if len(self._texts) < KEPT_LINES and (room > 0 or not self._texts):
            kept = _printable(text)[:room]
            self._characters += len(kept) + 1
            self._texts.append(kept)


def _printable(text: bytes) -> str:
    """Decode; what is neither printable nor UTF-8 (RFC 6531, 3.7.4.2) becomes ``?``."""
    decoded = text.decode("utf-8", "replace")
    if decoded.isascii() and decoded.isprintable():
        return decoded
    return "".join(char if char.isprintable() and char != "\ufffd" else "?" for char in decoded)


def _reply(code: int, texts: list[str]) -> Reply:
    """Split the enhanced status code off if its class is the code's (RFC 2034, 4); it may stand on each line."""
    found = _STATUS.match(texts[0])
    if found is None or int(found[1]) != code // 100:
        return Reply(code, "\n".join(texts))
    status = found[0].rstrip(" ")
    if len(texts) == 1:
        return Reply(code, texts[0][found.end() :], status)
    lines = (text[len(status) :].removeprefix(" ") if _leads(text, status) else text for text in texts)
    return Reply(code, "\n".join(lines), status)


def _leads(text: str, status: str) -> bool:
    """Whether the text begins with that status code."""
    return text == status or text.startswith(status + " ")
