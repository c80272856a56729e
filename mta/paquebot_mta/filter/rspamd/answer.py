"""rspamd's answer: one strict, bounded reader of what matters of its JSON."""

from typing import Any, Final

import msgspec

from paquebot_mta.filter.fields import is_field_name

MAX_BYTES: Final = 4_194_304
"""An answer longer than this is none."""
MAX_SYMBOLS: Final = 200
MAX_FIELDS: Final = 50
_MAX_TEXT: Final = 998


class Symbol(msgspec.Struct, frozen=True):
    """A rule that matched."""

    name: str
    score: float


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What rspamd found.

    Attributes:
        action: in its own words: ``no action``, ``greylist``, ``add header``, ``rewrite subject``, ``soft reject``,
            ``reject``, ``discard``, ``quarantine``, or one that was configured there.
        symbols: the heaviest first.
        message: for the client, empty if it has none.
        subject: a new one, empty if it has none.
        added, removed: header fields; of the latter the occurrence, 0 for all.
        reverse_path, add_recipients, remove_recipients: of the envelope, None and nothing to leave them.
    """

    action: str
    score: float = 0.0
    required: float = 0.0
    symbols: tuple[Symbol, ...] = ()
    message: str = ""
    subject: str = ""
    added: tuple[tuple[str, str], ...] = ()
    removed: tuple[tuple[str, int], ...] = ()
    reverse_path: str | None = None
    add_recipients: tuple[str, ...] = ()
    remove_recipients: tuple[str, ...] = ()


class _Symbol(msgspec.Struct):
    score: float = 0.0


class _Milter(msgspec.Struct):
    """The block of wishes for the message; rspamd's plugins write it, so its values have several shapes."""

    add_headers: dict[str, Any] = {}
    remove_headers: dict[str, Any] = {}
    change_from: str | None = None
    add_rcpt: list[str] | str = []
    del_rcpt: list[str] | str = []


class _Body(msgspec.Struct):
    action: str
    score: float = 0.0
    required_score: float = 0.0
    symbols: dict[str, _Symbol] = {}
    # An object of texts by name, or in old releases (and empty) a list.
    messages: Any = None
    subject: str | None = None
    milter: _Milter = msgspec.field(default_factory=_Milter)
    dkim_signature: Any = msgspec.field(default=None, name="dkim-signature")


_DECODER: Final = msgspec.json.Decoder(_Body, strict=False)


class AnswerError(ValueError):
    """The bytes are no answer of rspamd."""


def parse_answer(body: bytes) -> Answer:
    """Read an answer.

    Raises:
        AnswerError: it is none.
    """
    try:
        found = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerError(f"not an answer of rspamd: {str(error)[:200]}") from error
    ordered = sorted(found.symbols.items(), key=lambda each: (-abs(each[1].score), each[0]))
    return Answer(
        action=found.action,
        score=found.score,
        required=found.required_score,
        symbols=tuple(Symbol(_line(name), symbol.score) for name, symbol in ordered[:MAX_SYMBOLS]),
        message=_message(found.messages),
        subject=_line(found.subject or ""),
        added=_added(found),
        removed=_removed(found.milter.remove_headers),
        reverse_path=_address(found.milter.change_from) if found.milter.change_from is not None else None,
        add_recipients=_addresses(found.milter.add_rcpt),
        remove_recipients=_addresses(found.milter.del_rcpt),
    )


def _line(text: str) -> str:
    """Make one printable line of bounded length."""
    return "".join(char if char.isprintable() else " " for char in text[:_MAX_TEXT]).strip()


def _message(messages: object) -> str:
    text = messages.get("smtp_message") if isinstance(messages, dict) else None
    return _line(text) if isinstance(text, str) else ""


def _added(found: _Body) -> tuple[tuple[str, str], ...]:
    """Give the fields to add: those of the block, and the signature that stands beside it."""
    signatures = found.dkim_signature if isinstance(found.dkim_signature, list) else [found.dkim_signature]
    fields = [("DKIM-Signature", each) for each in signatures if isinstance(each, str) and each]
    for name, value in found.milter.add_headers.items():
        several = value if isinstance(value, list) else [value]
        fields += [(name, text) for text in map(_value, several) if text is not None]
    return tuple(field for field in fields if is_field_name(field[0]))[:MAX_FIELDS]


def _value(value: object) -> str | None:
    """Read a value: a text, or an object that has one (and says where it should stand)."""
    text = value.get("value") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None


def _removed(wanted: dict[str, Any]) -> tuple[tuple[str, int], ...]:
    """Give the fields to remove; what counts from the end (below 0) removes all."""
    found: list[tuple[str, int]] = []
    for name, value in wanted.items():
        places = value if isinstance(value, list) else [value]
        found += [(name, max(place, 0)) for place in places if isinstance(place, int) and is_field_name(name)]
    return tuple(found[:MAX_FIELDS])


def _addresses(value: list[str] | str) -> tuple[str, ...]:
    return tuple(_address(each) for each in ([value] if isinstance(value, str) else value[:MAX_FIELDS]) if each)


def _address(text: str) -> str:
    return _line(text).removeprefix("<").removesuffix(">")
