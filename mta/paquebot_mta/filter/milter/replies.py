"""What a milter may answer, and what its answers make of a message."""

import struct
from typing import Final

from msgspec import Struct

from paquebot_mta.filter.contract import FieldEdit
from paquebot_mta.filter.decisions import Decision, Disconnect, Reject
from paquebot_mta.filter.fields import encode_field, is_field_name
from paquebot_mta.filter.milter.wire import MilterError, split_strings
from paquebot_mta.mail.replies import ReplyError, ReplyReader
from paquebot_mta.mail.reply import Reply

CONTINUE: Final = b"c"
ACCEPT: Final = b"a"
DISCARD: Final = b"d"
SKIPPED: Final = b"s"
PROGRESS: Final = b"p"
REFUSALS: Final = frozenset({b"r", b"t", b"y", b"4", b"f"})
FINAL: Final = REFUSALS | {CONTINUE, ACCEPT, DISCARD, SKIPPED}
REJECTED: Final = Reply(550, "Command rejected", "5.7.1")
TEMPORARY: Final = Reply(451, "Service unavailable, try again later", "4.7.1")
SHUTDOWN: Final = Reply(421, "Server shutting down", "4.7.0")
_INDEX: Final = struct.Struct(">I")
MAX_CHANGES: Final = 5_000
MAX_HEADER_BYTES: Final = 1_048_576
"""Of all that is added to a header section."""


def refusal(letter: bytes, data: bytes) -> Decision:
    """Make the decision of a refusal.

    Raises:
        MilterError: its text is no reply.
    """
    if letter == b"r":
        return Reject(REJECTED)
    if letter == b"t":
        return Reject(TEMPORARY)
    if letter == b"y":
        return _worded(data)
    return Disconnect(SHUTDOWN)


def _worded(data: bytes) -> Decision:
    """Read a reply in the milter's own words, of one line or several."""
    text = data.removesuffix(b"\0").replace(b"%%", b"%").rstrip(b"\r\n")
    reader = ReplyReader()
    try:
        reader.feed(b"\r\n".join(text.splitlines()) + b"\r\n")
        reply = reader.next_reply()
    except ReplyError as error:
        raise MilterError(f"its reply: {error}") from error
    if reply is None or reply.code < 400:
        raise MilterError("its reply refuses nothing")
    return Disconnect(reply) if reply.code == 421 else Reject(reply)


class _Insert(Struct, frozen=True):
    index: int
    field: bytes


class Modifications:
    """What a milter wants done with a message, collected until its last answer.

    Args:
        body_limit: bytes that a new body may have.

    Attributes:
        edits: of the fields that are there.
        body: a new one.
        quarantined: why, empty if it is not.
    """

    def __init__(self, body_limit: int) -> None:
        """Start with none."""
        self.edits: list[FieldEdit] = []
        self.body: bytearray | None = None
        self.reverse_path: str | None = None
        self.added_recipients: list[str] = []
        self.removed_recipients: list[str] = []
        self.quarantined = ""
        self._inserts: list[_Insert] = []
        self._appended: list[bytes] = []
        self._body_limit = body_limit
        self._left_bytes = MAX_HEADER_BYTES
        self._left = MAX_CHANGES

    def take(self, letter: bytes, data: bytes) -> None:
        """Take one modification.

        Raises:
            MilterError: it is none, or there are too many.
        """
        self._left -= letter != b"b"
        self._left_bytes -= len(data) if letter != b"b" else 0
        if self._left < 0 or self._left_bytes < 0:
            raise MilterError("it changes too much")
        match letter:
            case b"h":
                self._appended.append(_field(*_texts(data, 2)))
            case b"i" | b"m":
                self._take_indexed(letter, data)
            case b"b":
                self._take_body(data)
            case b"+" | b"2":
                self.added_recipients.append(_address(_texts(data, 1)[0]))
            case b"-":
                self.removed_recipients.append(_address(_texts(data, 1)[0]))
            case b"e":
                self.reverse_path = _address(_texts(data, 1)[0])
            case b"q":
                self.quarantined = _texts(data, 1)[0] or "quarantined"
            case _:
                raise MilterError(f"it answers {letter!r}")

    def _take_indexed(self, letter: bytes, data: bytes) -> None:
        if len(data) < _INDEX.size:
            raise MilterError("a change is cut short")
        (index,) = _INDEX.unpack_from(data)
        name, value = _texts(data[_INDEX.size :], 2)
        if letter == b"i":
            self._inserts.append(_Insert(index, _field(name, value)))
        elif is_field_name(name):
            self.edits.append(FieldEdit(name, max(index, 1), value if value.strip() else None))
        else:
            raise MilterError("a field without a name")

    def _take_body(self, data: bytes) -> None:
        if self.body is None:
            self.body = bytearray()
        self.body += data
        if len(self.body) > self._body_limit:
            raise MilterError("its body is too long")

    @property
    def prepend(self) -> tuple[bytes, ...]:
        """Fields to put in front: those with a place first, in the order that their places give, then the others.

        A place deep in the header is the front, too: what is there already is never moved apart.
        """
        placed: list[bytes] = []
        for insert in self._inserts:
            placed.insert(insert.index, insert.field)
        return (*placed, *self._appended)


def _texts(data: bytes, wanted: int) -> list[str]:
    """Read at least so many strings (parameters of an address may follow)."""
    if not data.endswith(b"\0"):
        raise MilterError("a text without an end")
    found = split_strings(data)
    if len(found) < wanted:
        raise MilterError("a text is missing")
    return found[:wanted]


def _field(name: str, value: str) -> bytes:
    try:
        return encode_field(name, value)
    except ValueError as error:
        raise MilterError(str(error)) from error


def _address(text: str) -> str:
    """Take an address out of its brackets; who applies it parses it."""
    return "".join(char for char in text.strip() if char.isprintable()).removeprefix("<").removesuffix(">")
