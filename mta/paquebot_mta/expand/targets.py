"""Alias targets: a mailbox, an address, or ``error:CODE text``. Files, pipes and includes are refused."""

import re
from typing import Final

from msgspec import Struct

from paquebot_mta.mail.address import Address, AddressError, parse_address
from paquebot_mta.mail.reply import Reply

_ERROR: Final = re.compile(r":?error:\s*([45]\d\d) (?:([245]\.\d{1,3}\.\d{1,3}) )?(\w.*)", re.DOTALL)
_ERROR_START: Final = (":error:", "error:")
_REFUSED_START: Final = ("/", "|", "~", ":include:", '"|', '"/')


class MailboxTarget(Struct, frozen=True):
    """A bare word: a mailbox, or another alias, of the same domain."""

    local_part: str


class AddressTarget(Struct, frozen=True):
    """An address, ours or not."""

    address: Address


class ErrorTarget(Struct, frozen=True):
    """The answer to RCPT, the recipient not yet appended."""

    reply: Reply


AliasTarget = MailboxTarget | AddressTarget | ErrorTarget


def parse_target(text: str) -> AliasTarget:
    """Read one target. An error target runs to the end: no quotes, no commas are looked at.

    Raises:
        ValueError: it is none; the message says why.
    """
    text = text.strip()
    if text.startswith(_ERROR_START):
        return _parse_error(text)
    if text.startswith(_REFUSED_START):
        raise ValueError(f"target {text!r}: files, pipes and includes are not allowed")
    try:
        if "@" in text:
            return AddressTarget(parse_address(text))
        return MailboxTarget(parse_address(f"{text}@localhost").local_part)
    except AddressError as error:
        raise ValueError(f"target {text!r}: {error}") from error


def parse_value(value: str) -> tuple[AliasTarget, ...]:
    """Read a table's value: targets separated by commas; an error target takes all that follows.

    Raises:
        ValueError: a target is wrong, or there is none.
    """
    targets: list[AliasTarget] = []
    rest = value.strip()
    while rest:
        is_error = rest.startswith(_ERROR_START)
        head, _, tail = (rest, "", "") if is_error else rest.partition(",")
        if head.strip():
            targets.append(parse_target(head))
        rest = tail.strip()
    if not targets:
        raise ValueError("no target")
    return tuple(targets)


def _parse_error(text: str) -> ErrorTarget:
    found = _ERROR.fullmatch(text)
    if found is None or not text.isprintable():
        raise ValueError(f"target {text!r}: error: needs a code (4yz or 5yz), a space and a text")
    code, status, words = found.groups()
    if status and status[0] != code[0]:
        raise ValueError(f"target {text!r}: the enhanced status code does not go with {code}")
    # RFC 3463, 3.3: X.2.1, the mailbox exists but takes no messages.
    return ErrorTarget(Reply(int(code), words, status or f"{code[0]}.2.1"))
