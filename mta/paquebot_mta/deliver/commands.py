"""The command lines of an outbound transaction, with what the extensions allow (RFC 1870, 3461, 6152, 6531, 6533)."""

from collections.abc import Iterator
from typing import Literal

from paquebot_mta.deliver.capabilities import Capabilities
from paquebot_mta.deliver.transport import Task
from paquebot_mta.mail.envelope import Envelope, Notify

_NOTIFY = (Notify.NEVER, Notify.SUCCESS, Notify.FAILURE, Notify.DELAY)


def mail_line(task: Task, offered: Capabilities) -> str:
    """Spell MAIL."""
    return " ".join((f"MAIL FROM:<{task.reverse_path}>", *_mail_parameters(task, offered)))


def _mail_parameters(task: Task, offered: Capabilities) -> Iterator[str]:
    message = task.message
    if offered.size is not None:
        yield f"SIZE={message.size}"
    if offered.eight_bit and message.body == "8BITMIME":
        yield "BODY=8BITMIME"
    if offered.smtputf8 and (message.smtputf8 or not _is_ascii(task)):
        yield "SMTPUTF8"
    if offered.dsn and message.dsn_return:
        yield f"RET={message.dsn_return}"
    if offered.dsn and message.dsn_envelope_id:
        yield f"ENVID={message.dsn_envelope_id}"


def rcpt_line(envelope: Envelope, offered: Capabilities, named: Literal["Address", "User"]) -> str:
    """Spell RCPT."""
    path = envelope.user if named == "User" and envelope.user else envelope.destination
    return " ".join((f"RCPT TO:<{path}>", *_rcpt_parameters(envelope, offered)))


def _rcpt_parameters(envelope: Envelope, offered: Capabilities) -> Iterator[str]:
    if not offered.dsn:
        return
    if envelope.notify:
        yield "NOTIFY=" + ",".join(str(each.name) for each in _NOTIFY if each in envelope.notify)
    if envelope.original_recipient:
        original = envelope.original_recipient
        yield f"ORCPT={original if offered.smtputf8 else _in_ascii(original)}"


def _in_ascii(original_recipient: str) -> str:
    """Spell ORCPT for a next hop without SMTPUTF8 as utf-8-addr-xtext: ``\\x{FC}`` (RFC 6533, 3)."""
    return "".join(char if char.isascii() else f"\\x{{{ord(char):X}}}" for char in original_recipient)


def _is_ascii(task: Task) -> bool:
    return task.reverse_path.isascii() and all(each.destination.isascii() for each in task.envelopes)
