"""Small messages with any ESMTP parameter, and the reports about them as Python's own parser reads them."""

from __future__ import annotations

import email.policy
from email import message_from_bytes
from email.message import EmailMessage, Message

from paquebot_mta.config.rules import For, From, Match, Pattern, Rule
from tests.support.paquebot import Paquebot
from tests.support.paquebot_config import ALICE
from tests.support.smtp_client import SmtpClient


def letter(subject: str, body: str = "body") -> bytes:
    """Make a small message whose Message-ID has the subject, so that reports on it are found."""
    head = f"From: {ALICE}\r\nSubject: {subject}\r\nMessage-ID: <{subject}@client.test>\r\n"
    return f"{head}\r\n{body}\r\n".encode()


def inject(paquebot: Paquebot, mail: str, recipients: list[str], content: bytes) -> str:
    """Send a message to the MX listener and return its id.

    `mail` and each of `recipients` is an address without <>, and parameters after a space if there are any.
    """
    with SmtpClient(paquebot.ports.mx) as client:
        client.expect("220")
        client.command("EHLO client.test", "250")
        client.command(f"MAIL FROM:{_path(mail)}", "250")
        for each in recipients:
            client.command(f"RCPT TO:{_path(each)}", "250")
        client.command("DATA", "354")
        client.send(content + b".\r\n")
        return client.expect("250").last.split()[2]


def _path(text: str) -> str:
    address, _, parameters = text.partition(" ")
    return f"<{address}> {parameters}".rstrip()


def reports(paquebot: Paquebot, subject: str, count: int = 1) -> list[EmailMessage]:
    """Wait until alice has `count` reports on a message; those that came are returned, parsed without any defect."""
    marker = f"Message-ID: <{subject}@client.test>".encode()
    if count:
        paquebot.wait_for_delivered(ALICE, marker, count)
    found = [each for each in paquebot.delivered(ALICE) if marker in each and b"multipart/report" in each]
    return [parsed_report(each) for each in found]


def parsed_report(raw: bytes) -> EmailMessage:
    """Read a report, and check what every report has."""
    parsed = message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    assert not parsed.defects
    assert parsed.get_content_type() == "multipart/report"
    assert parsed.get_param("report-type") == "delivery-status"
    assert parsed["Auto-Submitted"] == "auto-replied"
    assert len(list(parsed.iter_parts())) == 3
    return parsed


def blocks(report: EmailMessage) -> list[Message]:
    """Return the fields of the message and of each recipient (RFC 3464, 2.1)."""
    status = list(report.iter_parts())[1]
    assert status.get_content_type() == "message/delivery-status"
    found = status.get_payload()
    assert isinstance(found, list)
    return [each for each in found if isinstance(each, Message) and each.keys()]


def told_actions(report: EmailMessage) -> dict[str, str]:
    """Return what is said of each final recipient."""
    return {str(each["Final-Recipient"]).partition("; ")[2]: str(each["Action"]) for each in blocks(report)[1:]}


def returned(report: EmailMessage) -> Message:
    """Return the part that gives the message back."""
    return list(report.iter_parts())[2]


def rule_for(action: str, *domains: str) -> Rule:
    """Make the rule that gives anybody's mail for these domains to an action."""
    match = Match(from_=From(any=True), for_=For(domains=Pattern(values=domains)))
    return Rule(name=f"to-{domains[0]}", match=match, outcome="Action", action=action)
