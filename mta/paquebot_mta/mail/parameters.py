"""Parameters of MAIL and RCPT (RFC 5321, 4.1.1.11): keywords and values, case kept, each read once."""

import re
from typing import Final, Literal

from paquebot_mta.mail.envelope import Body, Notify
from paquebot_mta.mail.reply import Reply

_KEYWORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*+")
_VALUE: Final = re.compile(r"[!-<>-~\u00a0-\U0010ffff]++")
_XTEXT: Final = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})++")
_ORIGINAL: Final = re.compile(r"[A-Za-z0-9-]++;(?:[!-*,-<>-~\u00a0-\U0010ffff]|\+[0-9A-F]{2})++")
_NUMBER: Final = re.compile(r"[0-9]{1,20}")
_ENVELOPE_ID_CHARS: Final = 100  # RFC 3461, 4.4
_LONG_CHARS: Final = 500  # RFC 3461, 4.2; RFC 4954, 5
_BODIES: Final[dict[str, Body]] = {"7BIT": "7BIT", "8BITMIME": "8BITMIME"}
_RETURNS: Final[dict[str, Literal["", "FULL", "HDRS"]]] = {"": "", "FULL": "FULL", "HDRS": "HDRS"}
_NOTIFY: Final = {"SUCCESS": Notify.SUCCESS, "FAILURE": Notify.FAILURE, "DELAY": Notify.DELAY}


class CommandError(ValueError):
    """The command can't be served; ``reply`` says so to the client."""

    def __init__(self, reply: Reply) -> None:
        """Keep the reply."""
        super().__init__(str(reply))
        self.reply: Final = reply


class Parameters:
    """Keyword and value pairs; what was not asked for at the end was not understood."""

    def __init__(self, values: dict[str, str | None]) -> None:
        """Take values by upper-case keyword; None is a keyword without ``=``."""
        self._values = values

    def refuse_others(self) -> None:
        """Make sure that nothing is left.

        Raises:
            CommandError: something is (RFC 5321, 4.1.1.11).
        """
        for keyword in self._values:
            raise CommandError(Reply(555, f"Unsupported option: {keyword}", "5.5.4"))

    def flag(self, keyword: str) -> bool:
        """Whether a keyword without value was given.

        Raises:
            CommandError: it was given with a value.
        """
        if keyword not in self._values:
            return False
        if self._values.pop(keyword) is not None:
            raise _bad(keyword)
        return True

    def size(self) -> int:
        """SIZE in bytes (RFC 1870, 5), 0 if not given.

        Raises:
            CommandError: not a number of at most 20 ASCII digits.
        """
        value = self._take("SIZE")
        if value and not _NUMBER.fullmatch(value):
            raise _bad("SIZE")
        return int(value or 0)

    def body(self) -> Body:
        """BODY (RFC 6152), 7BIT if not given; BINARYMIME is not offered.

        Raises:
            CommandError: neither 7BIT nor 8BITMIME.
        """
        value = self._take("BODY").upper() or "7BIT"
        if value not in _BODIES:
            raise CommandError(Reply(501, "BODY must be 7BIT or 8BITMIME", "5.5.4"))
        return _BODIES[value]

    def dsn_return(self) -> Literal["", "FULL", "HDRS"]:
        """RET (RFC 3461, 4.3).

        Raises:
            CommandError: neither FULL nor HDRS.
        """
        value = self._take("RET").upper()
        if value not in _RETURNS:
            raise CommandError(Reply(501, "RET must be FULL or HDRS", "5.5.4"))
        return _RETURNS[value]

    def envelope_id(self) -> str:
        """ENVID as xtext (RFC 3461, 4.4).

        Raises:
            CommandError: too long, or not xtext.
        """
        return self._take_xtext("ENVID", _ENVELOPE_ID_CHARS)

    def submitter(self) -> str:
        """AUTH as xtext (RFC 4954, 5), ``<>`` allowed.

        Raises:
            CommandError: too long, or not xtext.
        """
        if self._values.get("AUTH") == "<>":
            return self._take("AUTH")
        return self._take_xtext("AUTH", _LONG_CHARS)

    def notify(self) -> Notify:
        """NOTIFY (RFC 3461, 4.1); NEVER stands alone.

        Raises:
            CommandError: another word, or NEVER among others.
        """
        words = self._take("NOTIFY").upper()
        if not words:
            return Notify.UNSET
        if words == "NEVER":
            return Notify.NEVER
        found = Notify.UNSET
        for word in words.split(","):
            if word not in _NOTIFY:
                raise CommandError(Reply(553, "NOTIFY must be NEVER, or of SUCCESS, FAILURE and DELAY", "5.5.4"))
            found |= _NOTIFY[word]
        return found

    def original_recipient(self) -> str:
        """ORCPT as ``type;xtext`` (RFC 3461, 4.2; RFC 6533, 3).

        Raises:
            CommandError: too long, or not of that form.
        """
        value = self._take("ORCPT")
        if value and (len(value) > _LONG_CHARS or not _ORIGINAL.fullmatch(value)):
            raise CommandError(Reply(553, "ORCPT must be an address type and xtext", "5.5.4"))
        return value

    def _take(self, keyword: str) -> str:
        """Remove a value; empty if the keyword was not given."""
        if keyword not in self._values:
            return ""
        return self._values.pop(keyword) or _fail(keyword)

    def _take_xtext(self, keyword: str, limit: int) -> str:
        value = self._take(keyword)
        if value and (len(value) > limit or not _XTEXT.fullmatch(value)):
            raise CommandError(Reply(501, f"{keyword} must be xtext of at most {limit} characters", "5.5.4"))
        return value


def parse_parameters(text: str) -> Parameters:
    """Read ``KEYWORD=value KEYWORD ...``.

    Raises:
        CommandError: not of that form, or a keyword twice.
    """
    values: dict[str, str | None] = {}
    for word in text.split():
        keyword, equals, value = word.partition("=")
        upper = keyword.upper()
        if not _KEYWORD.fullmatch(keyword) or upper in values or (equals and not _VALUE.fullmatch(value)):
            raise CommandError(Reply(501, "Invalid command: Malformed or repeated option", "5.5.4"))
        values[upper] = value if equals else None
    return Parameters(values)


def _bad(keyword: str) -> CommandError:
    return CommandError(Reply(501, f"Invalid value of {keyword}", "5.5.4"))


def _fail(keyword: str) -> str:
    raise _bad(keyword)
