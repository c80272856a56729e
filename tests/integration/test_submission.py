"""AUTH on the submission port as swaks does it, and who may not relay through us."""

from __future__ import annotations

import base64
import ssl

import pytest

from tests.support.certificates import CertificateFiles
from tests.support.fake_mx import FakeMx
from tests.support.paquebot import Paquebot
from tests.support.paquebot_config import ALICE, BOB, PASSWORD
from tests.support.requirements import needs_programs
from tests.support.smtp_client import SmtpClient
from tests.support.smtp_tools import swaks

pytestmark = [pytest.mark.integration, needs_programs("swaks")]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_user_with_the_right_password_relays(paquebot: Paquebot, far_mx: FakeMx, mechanism: str) -> None:
    content = f"From: {ALICE}\r\nSubject: by {mechanism}\r\n\r\nx\r\n".encode()
    login = ["--auth", mechanism, "--auth-user", ALICE, "--auth-password", PASSWORD]
    swaks(paquebot.ports.submission, ALICE, ["friend@far.test"], "--tls", *login, content=content).checked()
    subject = f"by {mechanism}".encode()
    paquebot.wait_for(lambda: any(subject in sent for sent in far_mx.contents), "the message at its next hop")
    sent = next(sent for sent in far_mx.contents if subject in sent)
    assert b"with ESMTPSA id " in sent
    assert b"\r\nMessage-ID: <" in sent
    assert b"\r\nDate: " in sent


def test_a_wrong_password_is_refused_without_a_hint(paquebot: Paquebot) -> None:
    for user in (ALICE, "nobody@example.test"):
        login = ["--auth", "PLAIN", "--auth-user", user, "--auth-password", "wrong"]
        run = swaks(paquebot.ports.submission, user, ["friend@far.test"], "--tls", *login)
        assert run.returncode == 28
        assert "535 5.7.8 Authentication failed" in run.transcript
    failed = paquebot.wait_for_log("smtp-in.link-auth", count=2, result="fail")
    assert {line["username"] for line in failed} == {ALICE, "nobody@example.test"}
    assert "wrong" not in paquebot.log_path.read_text()


def test_auth_is_neither_offered_nor_taken_before_tls(paquebot: Paquebot) -> None:
    with SmtpClient(paquebot.ports.submission) as client:
        client.expect("220")
        offered = client.command("EHLO client.test", "250").texts
        assert "STARTTLS" in offered
        assert not any(text.startswith("AUTH") for text in offered)
        assert client.command(f"AUTH PLAIN {_plain(ALICE, PASSWORD)}", "5").code in ("503", "530", "538")
        client.command(f"MAIL FROM:<{ALICE}>", "530 5.7.0")


def test_mail_before_auth_is_refused(paquebot: Paquebot, certificate: CertificateFiles) -> None:
    with _encrypted(paquebot, certificate) as client:
        assert any(text.startswith("AUTH PLAIN LOGIN") for text in client.command("EHLO client.test", "250").texts)
        client.command(f"MAIL FROM:<{ALICE}>", "530 5.7.0")


def test_a_user_may_not_send_as_another(paquebot: Paquebot, certificate: CertificateFiles) -> None:
    with _encrypted(paquebot, certificate) as client:
        client.command("EHLO client.test", "250")
        client.command(f"AUTH PLAIN {_plain(ALICE, PASSWORD)}", "235")
        client.command(f"MAIL FROM:<{BOB}>", "5")
        client.command(f"MAIL FROM:<{ALICE}>", "250")


STRANGE_RECIPIENTS = [
    "<victim@elsewhere.test>",
    "<victim%elsewhere.test@example.test>",
    '<"victim@elsewhere.test"@example.test>',
    '<"victim%elsewhere.test"@example.test>',
    "<victim@elsewhere.test@example.test>",
    "<@example.test:victim@elsewhere.test>",
    "<elsewhere.test!victim@example.test>",
    "<victim@[127.0.0.1]>",
    "<victim@[192.0.2.1]>",
    "<victim@localhost>",
    "<victim@mx.example.test>",
    "<victim@elsewhere.test.>",
    "<victim@sub.example.test>",
    "<victim@example.test.elsewhere.test>",
    "<alice+@elsewhere.test@example.test>",
    "<victim>",
]


@pytest.mark.parametrize("sender", ["<>", "<alice@example.test>", "<joe@client.test>", "<postmaster@[127.0.0.1]>"])
def test_nobody_relays_without_auth(paquebot: Paquebot, sender: str) -> None:
    with SmtpClient(paquebot.ports.mx) as client:
        client.expect("220")
        client.command("EHLO example.test", "250")
        client.command(f"MAIL FROM:{sender}", "250")
        for recipient in STRANGE_RECIPIENTS:
            client.command(f"RCPT TO:{recipient}", "5")
        client.command("DATA", "5")


def test_the_null_sender_reaches_mailboxes(paquebot: Paquebot) -> None:
    paquebot.send("<>", [BOB], content=b"Subject: null sender\r\n\r\nx\r\n").checked()
    (stored,) = paquebot.wait_for_delivered(BOB, b"null sender")
    assert stored.startswith(b"Return-Path: <>\n")


def _plain(user: str, password: str) -> str:
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


def _encrypted(paquebot: Paquebot, certificate: CertificateFiles) -> SmtpClient:
    client = SmtpClient(paquebot.ports.submission)
    client.expect("220")
    client.command("EHLO client.test", "250")
    client.command("STARTTLS", "220")
    context: ssl.SSLContext = certificate.client_context()
    client.start_tls(context, "localhost")
    return client
