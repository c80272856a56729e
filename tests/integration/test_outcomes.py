"""What becomes of mail that can't go at once: retries, notifications, and recipients that fare differently."""

from __future__ import annotations

import email.policy
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes
from pathlib import Path

import pytest
from flufl.bounce import scan_message

from paquebot_mta.config.service import OutboundLimits
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import DROP, RESET, Script
from tests.support.loop_thread import in_thread
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, BOB, PaquebotSettings
from tests.support.postfix import Postfix, running_postfix
from tests.support.postfix_config import PostfixSettings
from tests.support.requirements import needs_programs
from tests.support.smtp_client import SmtpClient

pytestmark = [pytest.mark.integration, needs_programs("postfix", "swaks", as_root=True)]


@pytest.fixture(scope="module")
def postfix(directory: Path) -> Iterator[Postfix]:
    with running_postfix(directory / "postfix", PostfixSettings(mailbox_domains=("far.test",))) as running:
        yield running


@pytest.fixture(scope="module")
def paquebot(directory: Path, settings: PaquebotSettings, postfix: Postfix) -> Iterator[Paquebot]:
    # Postfix looks at its table of replies before each connection, so none may be kept.
    limits = OutboundLimits(keepalive_seconds=0)
    chosen = replace(settings, outbound_port=postfix.port, outbound_limits=limits)
    with running_paquebot(directory / "paquebot", chosen) as running:
        yield running


def letter(subject: str) -> bytes:
    """Make a small message from alice."""
    return f"From: {ALICE}\r\nSubject: {subject}\r\nMessage-ID: <{subject}@client.test>\r\n\r\nbody\r\n".encode()


def reports(paquebot: Paquebot, about: str, count: int = 1) -> list[bytes]:
    """Wait for the notifications that alice got about a message."""
    found = paquebot.wait_for_delivered(ALICE, f"Message-ID: <{about}@client.test>".encode(), count)
    return [each for each in found if b"multipart/report" in each]


def test_a_refusal_for_now_is_tried_again_by_itself(paquebot: Paquebot, postfix: Postfix) -> None:
    postfix.answer_recipients({"slow@far.test": "450 4.2.1 come back"})
    paquebot.submit(ALICE, ["slow@far.test"], content=letter("retried")).checked()
    (first, *_) = paquebot.wait_for_log("delivery.tempfail", to="slow@far.test")
    assert (first["code"], first["status"]) == (450, "4.2.1")
    assert "come back" in first["stat"]
    (entry,) = [each for each in paquebot.queue() if each["recipient"] == "slow@far.test"]
    assert entry["state"] in ("pending", "inflight")
    assert "450 4.2.1" in entry["error"]
    postfix.answer_recipients({})
    assert len(postfix.wait_for_delivered("slow@far.test")) == 1
    (last,) = paquebot.wait_for_log("delivery.delivered", to="slow@far.test")
    assert last["attempt"] > 1
    paquebot.wait_for_empty_queue()


def test_a_refusal_for_good_is_told_to_the_sender(paquebot: Paquebot, postfix: Postfix) -> None:
    postfix.answer_recipients({"no@far.test": "550 5.1.1 no such person here"})
    paquebot.submit(ALICE, ["no@far.test"], content=letter("refused")).checked()
    (report,) = reports(paquebot, "refused")
    assert report.startswith(b"Return-Path: <>\n")
    parsed = message_from_bytes(report, policy=email.policy.default)
    assert not parsed.defects
    assert parsed.get_content_type() == "multipart/report"
    assert parsed["Auto-Submitted"] == "auto-replied"
    assert set(scan_message(parsed)) == {b"no@far.test"}
    parts = list(parsed.iter_parts())
    assert [part.get_content_type() for part in parts[:2]] == ["text/plain", "message/delivery-status"]
    fields = parts[1].as_string()
    assert "Reporting-MTA: dns; mx.example.test" in fields
    assert "Final-Recipient: rfc822; no@far.test" in fields
    assert "Action: failed" in fields
    assert "Status: 5.1.1" in fields
    assert "no such person here" in fields
    assert "Subject: refused" in parts[2].as_string()
    paquebot.wait_for_empty_queue()


def test_a_failed_message_with_a_null_reverse_path_is_told_to_nobody(paquebot: Paquebot, postfix: Postfix) -> None:
    postfix.answer_recipients({"no@far.test": "550 5.1.1 no such person here"})
    failed = {"event": "delivery.permfail", "from": "", "to": "no@far.test"}
    bounces = paquebot.metric("paquebot_queue_enqueued_total", source="bounce")
    paquebot.send("<>", ["no@far.test"], content=b"Subject: null\r\n\r\nx\r\n").checked()
    paquebot.wait_for(lambda: bool(paquebot.log_lines(**failed)), "the failure")
    paquebot.wait_for_empty_queue()
    assert paquebot.metric("paquebot_queue_enqueued_total", source="bounce") == bounces


def test_three_recipients_in_two_domains_fare_each_by_itself(paquebot: Paquebot, postfix: Postfix) -> None:
    postfix.answer_recipients({"never@far.test": "550 5.7.1 never", "later@far.test": "450 4.2.1 later"})
    recipients = [BOB, "good@far.test", "never@far.test", "later@far.test"]
    paquebot.submit(ALICE, recipients, content=letter("mixed")).checked()
    assert len(paquebot.wait_for_delivered(BOB, b"Subject: mixed")) == 1
    assert len(postfix.wait_for_delivered("good@far.test")) == 1
    (report,) = reports(paquebot, "mixed")
    assert set(scan_message(message_from_bytes(report))) == {b"never@far.test"}
    paquebot.wait_for(lambda: [each["recipient"] for each in paquebot.queue()] == ["later@far.test"], "one to wait")
    postfix.answer_recipients({})
    assert len(postfix.wait_for_delivered("later@far.test")) == 1
    paquebot.wait_for_empty_queue()
    assert len(postfix.delivered("good@far.test")) == 1
    assert len(reports(paquebot, "mixed")) == 1


def test_a_domain_that_takes_no_mail_fails_at_once(paquebot: Paquebot) -> None:
    paquebot.submit(ALICE, ["any@nowhere.test", "any@missing.test"], content=letter("nullmx")).checked()
    found = paquebot.wait_for_log("delivery.permfail", count=1, to="any@nowhere.test")
    assert found[0]["status"] == "5.1.10"
    (missing,) = paquebot.wait_for_log("delivery.permfail", to="any@missing.test")
    assert missing["status"].startswith("5.1.")
    told = b"".join(reports(paquebot, "nullmx"))
    assert b"any@nowhere.test" in told


def test_success_is_told_when_asked_for(paquebot: Paquebot) -> None:
    with SmtpClient(paquebot.ports.mx) as client:
        client.expect("220")
        client.command("EHLO client.test", "250")
        client.command(f"MAIL FROM:<{ALICE}> RET=HDRS ENVID=QQ314159", "250")
        client.command(f"RCPT TO:<{BOB}> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob+2B@example.test", "250")
        client.command("DATA", "354")
        client.send(letter("told") + b".\r\n")
        client.expect("250")
    (report,) = reports(paquebot, "told")
    text = message_from_bytes(report).as_string()
    assert "Action: delivered" in text
    assert "Original-Envelope-Id: QQ314159" in text
    assert "Original-Recipient: rfc822; bob+@example.test" in text


def test_a_connection_that_breaks_before_the_reply_is_tried_again(directory: Path, settings: PaquebotSettings) -> None:
    script = Script(replies={"DOT": [DROP, RESET, "250 2.0.0 taken"]})
    with in_thread(FakeMx(script)) as server:
        chosen = replace(settings, outbound_port=server.port)
        with running_paquebot(directory / "breaking", chosen) as paquebot:
            paquebot.send("joe@client.test", ["x@far.test"], content=b"Subject: broken\r\n\r\nx\r\n").checked()
            paquebot.wait_for(lambda: len(server.transactions) >= 3, "three attempts", 20.0)
            paquebot.wait_for_empty_queue()
        assert len(server.transactions) == 3
        assert len(set(server.contents)) == 1
