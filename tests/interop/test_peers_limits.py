"""What a peer can't do: still so, as the matrix says, and what becomes of mail that would need it."""

from __future__ import annotations

import ssl
from email import message_from_bytes

import pytest

from tests.support.fake_mx import FakeMx
from tests.support.opensmtpd import PACKAGE, OpenSmtpd
from tests.support.paquebot import Paquebot
from tests.support.paquebot_config import ALICE
from tests.support.smtp_client import DialogError, SmtpClient
from tests.support.unpacked import needs_unpacked

from .cells import domain

pytestmark = [pytest.mark.integration, needs_unpacked(PACKAGE)]


def test_opensmtpd_offers_no_smtputf8(opensmtpd: OpenSmtpd) -> None:
    with SmtpClient(opensmtpd.port) as client:
        client.expect("220")
        assert "SMTPUTF8" not in client.command("EHLO client.test", "250").texts


def test_opensmtpd_offers_starttls_but_fails_every_handshake(opensmtpd: OpenSmtpd) -> None:
    with SmtpClient(opensmtpd.port) as client:
        client.expect("220")
        assert "STARTTLS" in client.command("EHLO client.test", "250").texts
        client.command("STARTTLS", "220")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with pytest.raises(DialogError, match="alert internal error"):
            client.start_tls(context)


def test_opportunistic_mail_goes_in_plain_text_where_tls_fails(
    paquebot: Paquebot, opensmtpd: OpenSmtpd, sink: FakeMx
) -> None:
    recipient = f"fallback@{domain('opensmtpd', 'out', 'opportunistic')}"
    paquebot.send("joe@client.test", [recipient], content=b"Subject: fallback\r\n\r\nx\r\n").checked()
    (delivery,) = paquebot.wait_for_log("delivery.delivered", to=recipient)
    assert not delivery.get("tls_version")
    paquebot.wait_for(lambda: any(recipient in sent.addresses for sent in sink.transactions), "the message")


def test_mail_that_must_be_sealed_waits_where_tls_fails(paquebot: Paquebot, opensmtpd: OpenSmtpd, sink: FakeMx) -> None:
    recipient = f"sealed@{domain('opensmtpd', 'out', 'tls')}"
    paquebot.send("joe@client.test", [recipient], content=b"Subject: must not leak\r\n\r\nx\r\n").checked()
    (first, *_) = paquebot.wait_for_log("delivery.tempfail", to=recipient)
    assert first["status"] == "4.7.5"
    assert not any(recipient in sent.addresses for sent in sink.transactions)
    paquebot.cli("remove", first["msgid"]).checked()


def test_an_internationalised_recipient_is_told_unreachable_where_the_peer_knows_ascii_only(
    paquebot: Paquebot, opensmtpd: OpenSmtpd, sink: FakeMx
) -> None:
    recipient = f"frédéric@{domain('opensmtpd', 'out', 'plain')}"
    with SmtpClient(paquebot.ports.mx) as client:
        client.expect("220")
        client.command("EHLO client.test", "250")
        client.command(f"MAIL FROM:<{ALICE}> SMTPUTF8", "250")
        client.command(f"RCPT TO:<{recipient}>", "250")
        client.command("DATA", "354")
        client.send(b"Subject: no mangling\r\n\r\nx\r\n.\r\n")
        client.expect("250")
    (failure,) = paquebot.wait_for_log("delivery.permfail", to=recipient)
    assert failure["status"] == "5.6.7"
    (report,) = paquebot.wait_for_delivered(ALICE, b"multipart/report")
    assert "Status: 5.6.7" in message_from_bytes(report).as_string()
    assert not any("no mangling" in sent.content.decode("latin-1") for sent in sink.transactions)
