"""What people read in a notification: what happened, to whom, why, and what they can do. Pure."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from paquebot_mta.bounce.fields import Style
from paquebot_mta.bounce.policy import Kind, RecipientReport

SUBJECTS: Final[dict[Kind, str]] = {"failure": "failed", "delay": "delayed", "success": "success"}

_OPENINGS: Final[dict[Kind, str]] = {
    "failure": "Your message could not be delivered to the recipients below. It will not be tried again.",
    "delay": "Your message is delayed: it could not be delivered to the recipients below yet.",
    "success": "Your message was delivered to the recipients below, as you asked to be told.",
}
_ADVICE: Final[dict[Kind, str]] = {
    "failure": "Check the addresses and the reasons given, and send the message again if you can mend the cause. "
    "For help, forward this notification to your postmaster.",
    "delay": "You need not do anything: delivery is tried again, and you are told if it fails for good.",
    "success": "A recipient that was handed on to another server may not be reported on again.",
}
_WIDTH: Final = 72


def explain(kind: Kind, recipients: Sequence[RecipientReport], hostname: str, style: Style) -> str:
    """Write the text part; lines are separated by LF."""
    paragraphs = [
        f"This is the mail system at {hostname}.",
        _wrapped(_OPENINGS[kind]),
        *("\n".join(_recipient(each, style)) for each in recipients),
        _wrapped(_ADVICE[kind]),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _recipient(report: RecipientReport, style: Style) -> Iterator[str]:
    address, asked = report.envelope.destination, report.envelope.recipient
    yield f"<{style.text(address)}>" + (f" (was {style.text(asked)})" if asked != address else "")
    told = style.text(_attributed(report))
    yield textwrap.fill(told, _WIDTH, initial_indent="    ", subsequent_indent="    ")


def _attributed(report: RecipientReport) -> str:
    """Say the reason, and whose words it is in."""
    if not report.remote or report.last_reply is not None:
        return str(report.reply)
    said = f"{report.remote} said" if report.reply.remote else f"While talking to {report.remote}"
    return f"{said}: {report.reply}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH)
