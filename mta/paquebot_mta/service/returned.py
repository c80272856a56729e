"""Reports on left messages that were refused when they were submitted at last. Pure, but for reading the content."""

import os
from typing import Final

from msgspec import Struct

from paquebot_mta.bounce.dsn import RETURNED_BYTES, Reporter, Stamp, build_dsn
from paquebot_mta.bounce.policy import RecipientReport, select, wants_content
from paquebot_mta.config.service import ServiceShard
from paquebot_mta.mail.address import AddressError
from paquebot_mta.mail.envelope import Envelope, Message, Notify
from paquebot_mta.mail.ids import Msgid, RandomBits, new_evpid, new_msgid
from paquebot_mta.mail.reply import Reply
from paquebot_mta.mail.submission import Submission, qualify
from paquebot_mta.spool.offline import Left

_NOTIFY: Final = {"NEVER": Notify.NEVER, "SUCCESS": Notify.SUCCESS, "FAILURE": Notify.FAILURE, "DELAY": Notify.DELAY}


class Report(Struct, frozen=True):
    """A report that can be submitted."""

    submission: Submission
    content: bytes


def make_report(
    left: Left, failed: dict[str, Reply], service: ServiceShard, domain: str, now: float, randbits: RandomBits
) -> Report | None:
    """Make the report on these recipients; None if there is nobody to tell, or nobody wants to know (RFC 3461, 4.1).

    ``domain`` is where names without one live.

    Raises:
        OSError: the content can't be read.
    """
    message = _original(left, domain, new_msgid(randbits))
    if message is None:
        return None
    notify = _notify(left.ticket.submission.notify)
    reports = [
        RecipientReport(_envelope(message.msgid, name, domain, notify, randbits), reply)
        for name, reply in failed.items()
    ]
    selection = select("failure", message, reports)
    if not selection.send:
        return None
    report = build_dsn(
        "failure",
        message,
        selection.send,
        os.pread(left.fd, RETURNED_BYTES + 1, left.start),
        full=wants_content("failure", message, service.bounce.attach),
        reporter=Reporter(service.hostname, service.bounce.from_),
        stamp=Stamp(now, f"{randbits(64):016x}", f"{randbits(128):032x}"),
    )
    submission = Submission("", (message.reverse_path,), eight_bit=report.body != "7BIT")
    return Report(submission, report.content)


def _original(left: Left, domain: str, msgid: Msgid) -> Message | None:
    """What a report has to know of the message; None if its sender can't be told."""
    submission = left.ticket.submission
    try:
        sender = str(qualify(submission.sender, domain)) if submission.sender else ""
    except AddressError:
        return None
    return Message(
        msgid,
        sender,
        left.left_at,
        left.ticket.size,
        (),
        dsn_return="FULL" if submission.dsn_return == "FULL" else "HDRS" if submission.dsn_return == "HDRS" else "",
        dsn_envelope_id=submission.envelope_id,
    )


def _envelope(msgid: Msgid, name: str, domain: str, notify: Notify, randbits: RandomBits) -> Envelope:
    try:
        address = str(qualify(name, domain))
    except AddressError:
        address = ascii(name[:254]).strip("'")
    return Envelope(new_evpid(msgid, randbits), address, address, "", notify=notify)


def _notify(text: str) -> Notify:
    found = Notify.UNSET
    for word in text.upper().split(","):
        found |= _NOTIFY.get(word, Notify.UNSET)
    return found
