"""Commands of SMTP as a server reads them: a line in, a frozen value out, or the reply that refuses it.

Knows the grammar (RFC 5321, 4.1; RFC 1870, 3030, 3461, 4954, 6152, 6531), never the state of a session.
"""

import re
from typing import Final, Literal

from msgspec import Struct

from paquebot_mta.mail.address import Address, AddressError, parse_domain, parse_path
from paquebot_mta.mail.envelope import Body, Notify
from paquebot_mta.mail.parameters import CommandError, parse_parameters
from paquebot_mta.mail.reply import Reply

COMMAND_BYTES: Final = 2_048
"""Longest command line, CRLF included: 512 (RFC 5321, 4.5.3.1.4) and the growth by extensions, with room to spare."""
AUTH_BYTES: Final = 12_288
"""Longest line of AUTH (RFC 4954, 4)."""

_PATH: Final = re.compile(r' *+(<(?:"(?:[^"\\]|\\.)*+"|[^">])*+>)(?: ++(.*))?')
_CHUNK: Final = re.compile(r"([0-9]{1,20})(?: ++(LAST))? *+", re.IGNORECASE | re.ASCII)
_SYNTAX: Final = Reply(501, "Invalid command: Syntax error", "5.5.2")
_CONTROL: Final = Reply(501, "Invalid command: Invalid character", "5.5.2")


class Command(Struct, frozen=True):
    """A command line: the verb in upper case, and what follows it without outer spaces."""

    verb: str
    argument: str


class Mail(Struct, frozen=True):
    """MAIL.

    Attributes:
        reverse_path: None is the null reverse-path.
        size: SIZE, 0 if not given (RFC 1870).
        body, smtputf8: RFC 6152, 6531.
        dsn_return, dsn_envelope_id: RET and ENVID, xtext not decoded (RFC 3461).
        submitter: AUTH, xtext not decoded (RFC 4954, 5); nobody believes it.
    """

    reverse_path: Address | None
    size: int = 0
    body: Body = "7BIT"
    smtputf8: bool = False
    dsn_return: Literal["", "FULL", "HDRS"] = ""
    dsn_envelope_id: str = ""
    submitter: str = ""


class Recipient(Struct, frozen=True):
    """RCPT: the forward-path, NOTIFY, and ORCPT as received (RFC 3461, 4.1, 4.2)."""

    address: Address
    notify: Notify = Notify.UNSET
    original_recipient: str = ""


class Chunk(Struct, frozen=True):
    """BDAT: how many bytes follow, and whether they end the content (RFC 3030, 2)."""

    size: int
    last: bool


def parse_command(line: bytes) -> Command:
    """Read a line without its CRLF.

    Raises:
        CommandError: it holds control characters or is not UTF-8.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise CommandError(_CONTROL) from None
    if not text.isprintable():
        raise CommandError(_CONTROL)
    verb, _, argument = text.partition(" ")
    return Command(verb.upper(), argument.strip(" "))


def parse_host(argument: str) -> str:
    """Read the argument of HELO, EHLO or LHLO: a domain or an address literal (RFC 5321, 4.1.1.1).

    Names with underscores and the like are common among honest clients, so any atom is taken as it is.

    Raises:
        CommandError: empty, too long or more than one word.
    """
    try:
        return parse_domain(argument)
    except AddressError:
        if not argument or len(argument) > 255 or not re.fullmatch(r"[A-Za-z0-9._:\[\]-]+", argument):
            raise CommandError(Reply(501, "Invalid command: HELO requires a host name", "5.5.2")) from None
        return argument


def parse_mail(argument: str, *, dsn: bool) -> Mail:
    """Read what follows MAIL; ``dsn`` says whether DSN was offered.

    Raises:
        CommandError: not a MAIL command that can be served.
    """
    path, given = _split(argument, "FROM:")
    try:
        reverse_path = parse_path(path)
    except AddressError as error:
        raise CommandError(Reply(553, f"Sender address syntax error: {error}", "5.1.0")) from None
    if not given:
        _require_utf8(reverse_path, allowed=False)
        return Mail(reverse_path)
    parameters = parse_parameters(given)
    mail = Mail(
        reverse_path,
        size=parameters.size(),
        body=parameters.body(),
        smtputf8=parameters.flag("SMTPUTF8"),
        dsn_return=parameters.dsn_return() if dsn else "",
        dsn_envelope_id=parameters.envelope_id() if dsn else "",
        submitter=parameters.submitter(),
    )
    parameters.refuse_others()
    _require_utf8(reverse_path, allowed=mail.smtputf8)
    return mail


def parse_recipient(argument: str, *, dsn: bool, smtputf8: bool, postmaster_domain: str = "") -> Recipient:
    """Read what follows RCPT; ``smtputf8`` is MAIL's, ``postmaster_domain`` where ``<Postmaster>`` lives.

    Raises:
        CommandError: not a RCPT command that can be served.
    """
    path, given = _split(argument, "TO:")
    try:
        address = parse_path(path, postmaster_domain=postmaster_domain)
    except AddressError as error:
        raise CommandError(Reply(553, f"Recipient address syntax error: {error}", "5.1.3")) from None
    if address is None:
        raise CommandError(Reply(553, "Recipient address syntax error: the null path receives nothing", "5.1.3"))
    _require_utf8(address, allowed=smtputf8)
    return _with_notifications(address, given, dsn=dsn) if given else Recipient(address)


def parse_chunk(argument: str) -> Chunk:
    """Read what follows BDAT.

    Raises:
        CommandError: not ``size [LAST]``.
    """
    found = _CHUNK.fullmatch(argument)
    if found is None:
        raise CommandError(_SYNTAX)
    return Chunk(int(found[1]), found[2] is not None)


def _with_notifications(address: Address, given: str, *, dsn: bool) -> Recipient:
    parameters = parse_parameters(given)
    if not dsn:
        parameters.refuse_others()
        return Recipient(address)
    recipient = Recipient(address, parameters.notify(), parameters.original_recipient())
    parameters.refuse_others()
    return recipient


def _split(argument: str, keyword: str) -> tuple[str, str]:
    """Take ``FROM:<path> parameters`` apart; a space before the path is common, and harmless."""
    length = len(keyword)
    if argument[:length].upper() != keyword:
        raise CommandError(_SYNTAX)
    found = _PATH.fullmatch(argument, length)
    if found is None:
        raise CommandError(_SYNTAX)
    return found[1], found[2] or ""


def _require_utf8(address: Address | None, *, allowed: bool) -> None:
    """Refuse a mailbox that needs SMTPUTF8 where it was not asked for (RFC 6531, 3.5)."""
    if not allowed and address is not None and not address.ascii:
        raise CommandError(Reply(553, "Address needs SMTPUTF8", "5.6.7"))
