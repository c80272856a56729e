"""What ``sendmail`` is told, by options and on standard input, made a submission. Pure: nothing is sent here.

The options are sendmail's; those that mean nothing here are taken and do nothing, so that programs which call it go
on. A line of a single dot ends the message, unless ``-i`` says that it doesn't.
"""

import getopt
import re
from collections.abc import Iterator, Sequence
from email.errors import InvalidHeaderDefect
from email.headerregistry import HeaderRegistry
from email.utils import formataddr
from typing import Any, Final

from msgspec import Struct

from paquebot_mta.mail.address import AddressError
from paquebot_mta.mail.header import Field, find_body, scan_fields, unfold
from paquebot_mta.mail.submission import Submission, qualify

MOST_RECIPIENTS: Final = 100
"""Of one transaction: what every server takes (RFC 5321, 4.5.3.1.8)."""
MOST_BYTES: Final = 256 * 1024 * 1024
_OPTIONS: Final = "A:B:C:F:GL:N:O:R:UV:X:b:cd:e:f:h:imno:p:r:tvx"
_NOTIFY: Final = re.compile(r"NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY))*")
_DOT: Final = re.compile(rb"^\.(?:\r?\n|\Z)", re.MULTILINE)
_MAILBOX_LINE: Final = re.compile(rb"From [^\n]*\n")
_LINE_END: Final = re.compile(rb"\r?\n")
_NAME: Final = re.compile(r'(?:"[^"]*+"?|[^",])++')
_RECIPIENTS: Final = frozenset({b"to", b"cc", b"bcc"})
_RESENT: Final = frozenset({b"resent-to", b"resent-cc", b"resent-bcc"})
_UNQUALIFIED: Final = "addr-spec local part with no domain"
_NO_DOMAIN: Final = "localhost"
"""Only to check names that get their domain later."""


class BadUsageError(Exception):
    """The command line is wrong."""


class BadMessageError(Exception):
    """The message can't be sent as it is."""


class Wish(Struct, frozen=True):
    """What the command line said.

    Attributes:
        sender: None if not given.
        full_name: empty if not given.
        from_header: recipients are those of the header as well.
        dot_ends: a line of a dot ends the message.
    """

    recipients: tuple[str, ...] = ()
    sender: str | None = None
    full_name: str = ""
    notify: str = ""
    dsn_return: str = ""
    envelope_id: str = ""
    from_header: bool = False
    dot_ends: bool = True
    eight_bit: bool = False


def read_options(arguments: Sequence[str]) -> Wish:
    """Read sendmail's command line.

    Raises:
        BadUsageError: it is not one, or asks for what this command doesn't do.
    """
    other = next((each for each in arguments if each.startswith(("-q", "-I"))), None)
    if other is not None:
        raise BadUsageError(f"{other} is not supported: a running service works off its queue by itself")
    try:
        options, names = getopt.gnu_getopt(list(arguments), _OPTIONS)
    except getopt.GetoptError as error:
        raise BadUsageError(str(error)) from None
    flags = {name for name, _ in options}
    values = {("-f" if name == "-r" else name): value for name, value in options}
    modes = {value for name, value in options if name == "-b"} - {"m"}
    if modes:
        raise BadUsageError(f"-b{min(modes)} is not supported: only mail is taken (-bm)")
    return Wish(
        recipients=tuple(name for each in names for name in _names(each)),
        sender=None if "-f" not in values else _sender(values["-f"]),
        full_name=_full_name(values.get("-F", "")),
        notify=_checked(_NOTIFY, "-N", values.get("-N", "").upper()),
        dsn_return=_checked(re.compile("FULL|HDRS"), "-R", values.get("-R", "").upper()),
        envelope_id="".join(_xtext(values.get("-V", ""))),
        from_header="-t" in flags,
        dot_ends="-i" not in flags and not any(name == "-o" and value.startswith("i") for name, value in options),
        eight_bit=values.get("-B", "").upper() == "8BITMIME",
    )


def _sender(text: str) -> str:
    """Read -f, with its brackets or without; ``<>`` and nothing are the null reverse-path."""
    bare = text.strip()
    bare = bare[1:-1] if bare[:1] == "<" and bare[-1:] == ">" else bare
    return _known(bare) if bare else ""


def _names(text: str) -> Iterator[str]:
    """Read recipients of an argument; a comma may stand between them, as some callers do."""
    for part in _NAME.findall(text):
        bare = part.strip()
        bare = bare[1:-1] if bare[:1] == "<" and bare[-1:] == ">" else bare
        if bare:
            yield _known(bare)


def _known(name: str) -> str:
    """Check an address, or a name that will get a domain.

    Raises:
        BadUsageError: it can't be one.
    """
    try:
        qualify(name, _NO_DOMAIN)
    except AddressError as error:
        raise BadUsageError(f"{name[:254]!a}: {error}") from None
    return name


def _full_name(text: str) -> str:
    if not text.isprintable():
        raise BadUsageError("-F holds a control character")
    return text


def _checked(pattern: "re.Pattern[str]", option: str, text: str) -> str:
    if text and not pattern.fullmatch(text):
        raise BadUsageError(f"{option} does not take {text[:64]!a}")
    return text


def _xtext(text: str) -> Iterator[str]:
    """Spell ENVID (RFC 3461, 4)."""
    if not text.isascii() or not text.isprintable() or len(text) > 100:
        raise BadUsageError("-V takes at most 100 printable ASCII characters")
    for char in text:
        yield char if char.isalnum() or (char not in "+= " and char.isprintable()) else f"+{ord(char):02X}"


def read_message(wish: Wish, login: str, read: bytes) -> tuple[list[Submission], bytes]:
    """Make submissions, of at most 100 recipients each, and the content that all of them share.

    Args:
        wish: the command line.
        login: name of the user who called.
        read: standard input.

    Raises:
        BadMessageError: there is nobody to send it to, or it holds what no message may.
    """
    if len(read) > MOST_BYTES:
        raise BadMessageError(f"the message has more than {MOST_BYTES} bytes")
    sender = login if wish.sender is None else wish.sender
    lines = _with_line_ends(_message_of(read, dot_ends=wish.dot_ends))
    content, found = _without_secret(_with_author(lines, wish, sender or login))
    recipients = tuple(dict.fromkeys((*wish.recipients, *(found if wish.from_header else ()))))
    if not recipients:
        raise BadMessageError("no recipients")
    eight_bit = wish.eight_bit or not content.isascii()
    parts = (recipients[at : at + MOST_RECIPIENTS] for at in range(0, len(recipients), MOST_RECIPIENTS))
    submissions = [
        Submission(sender, part, wish.notify, wish.dsn_return, wish.envelope_id, eight_bit=eight_bit) for part in parts
    ]
    return submissions, content


def _message_of(read: bytes, *, dot_ends: bool) -> bytes:
    """Cut off the line that a mailbox puts in front of a message, and what is behind the single dot."""
    start = found.end() if (found := _MAILBOX_LINE.match(read)) else 0
    end = _DOT.search(read, start) if dot_ends else None
    return read[start : end.start() if end else len(read)]


def _with_line_ends(text: bytes) -> bytes:
    """Spell line ends as SMTP does. A CR alone ends no line of a header, or a value could begin a field."""
    if b"\0" in text:
        raise BadMessageError("the message holds a NUL")
    text = _LINE_END.sub(b"\n", text)
    body = find_body(text, len(text))
    body = len(text) if body is None else body
    text = text[:body].replace(b"\r", b" ") + text[body:].replace(b"\r", b"\n")
    return (text if text.endswith(b"\n") or not text else text + b"\n").replace(b"\n", b"\r\n")


def _with_author(content: bytes, wish: Wish, author: str) -> bytes:
    """Put a header in front of text that has none, and From in front of a header without it."""
    first = next(scan_fields(content), None)
    blank = b"" if (first is not None and first.name) or content[:2] == b"\r\n" else b"\r\n"
    if not blank and any(field.name.lower() == b"from" for field in scan_fields(content, len(content))):
        return content
    written = formataddr((wish.full_name, author)) if author.isascii() else f"<{author}>"
    return f"From: {written}\r\n".encode() + blank + content


def _without_secret(content: bytes) -> tuple[bytes, list[str]]:
    """Give the content without Resent-Bcc (the service takes Bcc away), and the recipients of its header.

    Of a message that was sent again, only those of its Resent fields are meant (RFC 5322, 3.6.6).
    """
    fields = list(scan_fields(content, len(content)))
    meant = _RESENT if any(field.name.lower() in _RESENT for field in fields) else _RECIPIENTS
    recipients = [name for field in fields if field.name.lower() in meant for name in _addresses(field)]
    for field in reversed(fields):
        if field.name.lower() == b"resent-bcc":
            content = content[: field.start] + content[field.end :]
    return content, recipients


def _addresses(field: Field) -> Iterator[str]:
    """Read the addresses of a field.

    Raises:
        BadMessageError: one can't be read: better nobody gets it than somebody else.
    """
    value = unfold(field.value).decode("utf-8", "replace")
    if not value.strip():
        return
    header: Any = HeaderRegistry()("to", value)
    wrong = [each for each in header.defects if isinstance(each, InvalidHeaderDefect) and str(each) != _UNQUALIFIED]
    if wrong:
        raise BadMessageError(f"{field.name.decode()}: {value[:100]!a}: {wrong[0]}")
    for address in header.addresses:
        spelled = address.addr_spec if address.domain else address.username
        try:
            qualify(spelled, _NO_DOMAIN)
        except AddressError as error:
            raise BadMessageError(f"{field.name.decode()}: {value[:100]!a}: {error}") from None
        yield spelled
