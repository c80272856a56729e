"""What a next hop offers (RFC 5321, 4.1.1.1), and which messages that is not enough for."""

from typing import Final

from msgspec import Struct

from paquebot_mta.deliver.transport import Task
from paquebot_mta.mail.header import HEADER_BYTES, find_body
from paquebot_mta.mail.reply import Reply

_TOO_BIG: Final = Reply(552, "Message too large for peer", "5.3.4")
_NO_UTF8: Final = Reply(553, "Next hop does not support SMTPUTF8", "5.6.7")
_NO_BINARY: Final = Reply(554, "Next hop does not support BINARYMIME", "5.6.3")


class Capabilities(Struct, frozen=True):
    """Extensions of the reply to EHLO; a server that only knows HELO has none.

    Attributes:
        size: longest message in bytes, 0 for no limit; None if SIZE is not offered (RFC 1870).
        auth: mechanisms in upper case.
    """

    pipelining: bool = False
    size: int | None = None
    eight_bit: bool = False
    smtputf8: bool = False
    dsn: bool = False
    starttls: bool = False
    auth: frozenset[str] = frozenset()


def parse_capabilities(reply: Reply) -> Capabilities:
    """Read the reply to EHLO or LHLO: a keyword and parameters on each line after the first. Junk is passed over."""
    offered: dict[str, list[str]] = {}
    for line in reply.text.split("\n")[1:]:
        # "AUTH=PLAIN" is how servers before RFC 4954 said it.
        words = line.upper().replace("AUTH=", "AUTH ").split()
        if words:
            offered.setdefault(words[0], []).extend(words[1:])
    return Capabilities(
        pipelining="PIPELINING" in offered,
        size=_size(offered.get("SIZE")),
        eight_bit="8BITMIME" in offered,
        smtputf8="SMTPUTF8" in offered,
        dsn="DSN" in offered,
        starttls="STARTTLS" in offered,
        auth=frozenset(offered.get("AUTH", ())),
    )


def _size(parameters: list[str] | None) -> int | None:
    if parameters is None:
        return None
    value = parameters[0] if parameters else "0"
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 20 else 0  # RFC 1870, 4


async def unmet_need(task: Task, offered: Capabilities) -> Reply | None:
    """Say why this next hop never can take the message, None if it can.

    8-bit content goes to a server without 8BITMIME as it is: nearly all take it, and converting would break signatures.
    """
    if offered.size and task.message.size > offered.size:
        return _TOO_BIG
    if task.message.body == "BINARYMIME":
        return _NO_BINARY
    if not offered.smtputf8 and await _needs_smtputf8(task):
        return _NO_UTF8
    return None


async def _needs_smtputf8(task: Task) -> bool:
    """Whether an address or, in a message that was declared so, the header is not ASCII (RFC 6531, 3.4)."""
    addresses = (task.reverse_path, *(each.destination for each in task.envelopes))
    if not all(address.isascii() for address in addresses):
        return True
    return task.message.smtputf8 and not (await read_header(task)).isascii()


async def read_header(task: Task) -> bytes:
    """Read the content until its header ends, 256 KiB at most."""
    header = b""
    async for chunk in task.content():
        header += chunk
        if (end := find_body(header)) is not None:
            return header[:end]
        if len(header) >= HEADER_BYTES:
            break
    return header
