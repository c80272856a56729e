"""Debian's Postfix sends to us: with and without STARTTLS, and content that is hard to carry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import CertificateFiles
from tests.support.paquebot import Paquebot
from tests.support.paquebot_config import ALICE
from tests.support.postfix import Postfix, running_postfix
from tests.support.postfix_config import PostfixSettings
from tests.support.processes import find_program, run_command
from tests.support.requirements import needs_programs
from tests.support.smtp_tools import swaks

pytestmark = [pytest.mark.integration, needs_programs("postfix", "swaks", as_root=True)]

JOE = "joe@client.test"


@pytest.fixture(scope="module")
def postfix(directory: Path, paquebot: Paquebot, certificate: CertificateFiles) -> Iterator[Postfix]:
    settings = PostfixSettings(
        relay_port=paquebot.ports.mx,
        outgoing_tls="none",
        extra={"smtputf8_enable": "yes", "smtp_tls_CAfile": str(certificate.authority)},
    )
    with running_postfix(directory / "postfix", settings) as running:
        yield running


@pytest.fixture(scope="module")
def tls_postfix(directory: Path, paquebot: Paquebot, certificate: CertificateFiles) -> Iterator[Postfix]:
    verify = {"smtp_tls_CAfile": str(certificate.authority)}
    settings = PostfixSettings(relay_port=paquebot.ports.mx, outgoing_tls="verify", extra=verify)
    with running_postfix(directory / "postfix-tls", settings) as running:
        yield running


def test_postfix_sends_in_plain_text_and_the_received_field_says_esmtp(postfix: Postfix, paquebot: Paquebot) -> None:
    postfix.send(JOE, [ALICE], b"Subject: plain one\n\nhello\n")
    (stored,) = paquebot.wait_for_delivered(ALICE, b"plain one")
    assert b"from postfix.test (" in stored
    assert b"by mx.example.test (Paquebot) with ESMTP id " in stored
    postfix.wait_for_empty_queue()


def test_postfix_verifies_our_certificate_and_sends_over_tls(tls_postfix: Postfix, paquebot: Paquebot) -> None:
    tls_postfix.send(JOE, [ALICE], b"Subject: sealed one\n\nhello\n")
    (stored,) = paquebot.wait_for_delivered(ALICE, b"sealed one")
    assert b"(Paquebot) with ESMTPS id " in stored
    assert b" (TLSv1.3:TLS_" in stored
    assert "Verified TLS connection established" in tls_postfix.log()
    assert paquebot.metric("paquebot_smtp_tls_sessions_total", direction="in") >= 1
    tls_postfix.wait_for_empty_queue()


CONTENTS = {
    "eight bits": b"caf\xc3\xa9 \xe9\xff\x80\r\n",
    "long lines": b"x" * 998 + b"\r\n" + b"y" * 997 + b"\r\n",
    "dots": b".\r\n..\r\n.a\r\n...\r\n. \r\n",
    "blank ends": b"text\r\n\r\n\r\n",
    "empty body": b"",
}


@pytest.mark.parametrize("name", CONTENTS)
def test_content_by_way_of_postfix_stays_as_it_is(postfix: Postfix, paquebot: Paquebot, name: str) -> None:
    body = CONTENTS[name]
    head = f"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <{name.replace(' ', '.')}@client.test>\r\n".encode()
    content = head + b"From: " + JOE.encode() + b"\r\nSubject: body of " + name.encode() + b"\r\n\r\n" + body
    swaks(postfix.port, JOE, [ALICE], content=content).checked()
    (stored,) = paquebot.wait_for_delivered(ALICE, b"body of " + name.encode())
    assert stored.partition(b"\n\n")[2] == body.replace(b"\r\n", b"\n")


def test_five_mebibytes_arrive_whole(postfix: Postfix, paquebot: Paquebot) -> None:
    body = b"".join(b"%07d " % number + b"z" * 68 + b"\n" for number in range(5 * 1024 * 1024 // 77))
    postfix.send(JOE, [ALICE], b"Subject: five mebibytes\n\n" + body)
    (stored,) = paquebot.wait_for_delivered(ALICE, b"five mebibytes", timeout=30.0)
    assert stored.partition(b"\n\n")[2] == body
    postfix.wait_for_empty_queue()


def test_an_internationalised_sender_goes_from_postfix_to_the_mailbox(postfix: Postfix, paquebot: Paquebot) -> None:
    if b"smtputf8_enable" not in run_command([find_program("postconf"), "-d", "smtputf8_enable"]).stdout:
        pytest.skip("this Postfix is built without SMTPUTF8")
    postfix.send("jörg@client.test", [ALICE], "Subject: grüße aus köln\n\nhallo\n".encode())
    (stored,) = paquebot.wait_for_delivered(ALICE, "grüße aus köln".encode())
    assert stored.startswith("Return-Path: <jörg@client.test>\n".encode())
    assert b"with UTF8SMTP id " in stored
    postfix.wait_for_empty_queue()


def test_postfix_keeps_what_we_refuse_for_now_and_bounces_what_we_refuse(postfix: Postfix, paquebot: Paquebot) -> None:
    postfix.send(JOE, ["later@example.test", "gone@example.test"], b"Subject: two refusals\n\nhello\n")
    postfix.process.wait_for_log(r"to=<gone@example\.test>.*dsn=5\.1\.6, status=bounced")
    postfix.process.wait_for_log(r"to=<later@example\.test>.*dsn=4\.3\.0, status=deferred")
