"""Dovecot's LMTP, over TCP and a unix socket: each recipient of one message has its own outcome."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes
from pathlib import Path

import pytest

from paquebot_mta.config.actions import Action, Lmtp
from paquebot_mta.config.domains import Domain
from tests.support.dovecot import Dovecot, DovecotSettings, running_dovecot
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, PaquebotSettings
from tests.support.processes import LOOPBACK
from tests.support.requirements import needs_programs

pytestmark = [pytest.mark.integration, needs_programs("dovecot", "swaks", as_root=True)]

PLACES = ("tcp.test", "unix.test")
KNOWN = tuple(f"{user}@{domain}" for user in ("known", "other") for domain in PLACES)
FULL = tuple(f"full@{domain}" for domain in PLACES)


@pytest.fixture(scope="module")
def dovecot(directory: Path) -> Iterator[Dovecot]:
    settings = DovecotSettings(users=KNOWN, full_users=FULL, checks_quota_at_rcpt=False)
    with running_dovecot(directory / "dovecot", settings) as running:
        yield running


@pytest.fixture(scope="module")
def paquebot(directory: Path, settings: PaquebotSettings, dovecot: Dovecot) -> Iterator[Paquebot]:
    destinations = (f"{LOOPBACK}:{dovecot.port}", f"unix:{dovecot.socket_path}")
    domains = tuple(
        Domain(name=name, delivery=Action(lmtp=Lmtp(destination=destination)), accept_any_mailbox=True)
        for name, destination in zip(PLACES, destinations, strict=True)
    )
    with running_paquebot(directory / "paquebot", replace(settings, domains=domains)) as running:
        yield running


@pytest.mark.parametrize("domain", PLACES)
def test_dovecot_takes_a_message_byte_for_byte(paquebot: Paquebot, dovecot: Dovecot, domain: str) -> None:
    content = b"Subject: lmtp exact\r\n\r\n.dot\r\n\xe9 8 bit\r\n"
    paquebot.send("joe@client.test", [f"other@{domain}"], content=content).checked()
    (stored,) = dovecot.wait_for_delivered(f"other@{domain}")
    assert stored.replace(b"\r\n", b"\n").endswith(b"\n" + content.replace(b"\r\n", b"\n"))
    assert b"Return-Path: <joe@client.test>" in stored


@pytest.mark.parametrize("domain", PLACES)
def test_each_recipient_has_its_own_outcome_and_only_failures_are_told(
    paquebot: Paquebot, dovecot: Dovecot, domain: str
) -> None:
    recipients = [f"{user}@{domain}" for user in ("known", "unknown", "full")]
    paquebot.submit(ALICE, recipients, content=b"Subject: to three\r\n\r\nhello\r\n").checked()
    assert len(dovecot.wait_for_delivered(f"known@{domain}")) == 1
    paquebot.wait_for_log("delivery.delivered", to=recipients[0])
    (unknown,) = paquebot.wait_for_log("delivery.permfail", to=recipients[1])
    assert unknown["code"] == 550
    (full,) = paquebot.wait_for_log("delivery.permfail", to=recipients[2])
    assert full["code"] == 552
    (report,) = paquebot.wait_for_delivered(ALICE, domain.encode())
    told = message_from_bytes(report).as_string()
    assert f"Final-Recipient: rfc822; {recipients[1]}" in told
    assert f"Final-Recipient: rfc822; {recipients[2]}" in told
    assert f"Final-Recipient: rfc822; {recipients[0]}" not in told
    paquebot.wait_for_empty_queue()
    assert len(dovecot.delivered(f"known@{domain}")) == 1


def test_mail_waits_while_dovecot_refuses_for_now_then_goes(
    directory: Path, settings: PaquebotSettings, dovecot: Dovecot
) -> None:
    missing = directory / "late.sock"
    delivery = Action(lmtp=Lmtp(destination=f"unix:{missing}"))
    domain = Domain(name="tcp.test", delivery=delivery, accept_any_mailbox=True)
    with running_paquebot(directory / "waiting", replace(settings, domains=(domain,))) as paquebot:
        paquebot.send("joe@client.test", ["known@tcp.test"], content=b"Subject: late\r\n\r\nx\r\n").checked()
        paquebot.wait_for_log("delivery.tempfail", to="known@tcp.test")
        before = len(dovecot.delivered("known@tcp.test"))
        missing.symlink_to(dovecot.socket_path)
        dovecot.wait_for_delivered("known@tcp.test", before + 1)
        paquebot.wait_for_empty_queue()
