"""Delivery status notifications both ways: passed on to who knows them, else made by us (RFC 3461)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest
from flufl.bounce import scan_message

from paquebot_mta.config.actions import Action, Relay
from paquebot_mta.config.service import Queue
from tests.support.dns_server import DnsServer
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Script, Transaction
from tests.support.loop_thread import in_thread
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, BOB, PaquebotSettings
from tests.support.processes import LOOPBACK

from .letters import blocks, inject, letter, parsed_report, reports, returned, rule_for, told_actions

pytestmark = pytest.mark.integration

PLAIN_HOST = "127.0.0.2"
DEAD_HOST = "127.0.0.3"
LARGEST_BYTES = 100_000
NOT_DSN = ("PIPELINING", f"SIZE {LARGEST_BYTES}", "8BITMIME", "ENHANCEDSTATUSCODES")
REFUSED = "550 5.1.1 no such person here"
LATER = "450 4.2.1 come back"
ZONES = {
    "far.test": {"MX": ["10 mx.far.test."]},
    "brief.test": {"MX": ["10 mx.far.test."]},
    "mx.far.test": {"A": [LOOPBACK]},
    "plain.test": {"MX": ["10 mx.plain.test."]},
    "mx.plain.test": {"A": [PLAIN_HOST]},
    "dead.test": {"MX": ["10 mx.dead.test."]},
    "mx.dead.test": {"A": [DEAD_HOST]},
}
REPLIES = {
    "RCPT no@far.test": REFUSED,
    "RCPT no@plain.test": REFUSED,
    "RCPT grüße@far.test": REFUSED,
    "RCPT slow@far.test": [LATER, LATER, LATER, "250 2.1.5 at last"],
    "RCPT late@brief.test": LATER,
    "RCPT quiet@brief.test": LATER,
    "RCPT null@brief.test": LATER,
}


@pytest.fixture(scope="module")
def dns() -> Iterator[DnsServer]:
    with in_thread(DnsServer(ZONES)) as server:
        yield server


@pytest.fixture(scope="module")
def far_mx() -> Iterator[FakeMx]:
    """A next hop that knows DSN."""
    with in_thread(FakeMx(Script(REPLIES, hostname="mx.far.test"))) as server:
        yield server


@pytest.fixture(scope="module")
def plain_mx(far_mx: FakeMx) -> Iterator[FakeMx]:
    """A next hop that does not, nor SMTPUTF8."""
    script = Script(REPLIES, hostname="mx.plain.test", extensions=NOT_DSN)
    with in_thread(FakeMx(script, host=PLAIN_HOST, port=far_mx.port)) as server:
        yield server


@pytest.fixture(scope="module")
def paquebot(directory: Path, settings: PaquebotSettings, plain_mx: FakeMx) -> Iterator[Paquebot]:
    chosen = replace(
        settings,
        actions={"brief": Action(relay=Relay(ttl_seconds=3))},
        rules=(rule_for("relay", "far.test", "plain.test"), rule_for("brief", "brief.test", "dead.test")),
        queue=Queue(minimum_free_percent=0, warn_after_seconds=(2,)),
    )
    with running_paquebot(directory / "paquebot", chosen) as running:
        yield running


def arrived(paquebot: Paquebot, server: FakeMx, subject: str) -> Transaction:
    """Wait for a message at a next hop."""
    marker = f"Message-ID: <{subject}@client.test>".encode()

    def matching() -> list[Transaction]:
        return [each for each in server.transactions if marker in each.content]

    paquebot.wait_for(lambda: bool(matching()), f"{subject} at the next hop")
    (found,) = matching()
    return found


# Passed on.


def test_every_parameter_reaches_a_next_hop_that_knows_dsn_as_it_came(paquebot: Paquebot, far_mx: FakeMx) -> None:
    recipients = [
        "one@far.test NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;o+2Bne@far.test",
        "two@far.test NOTIFY=NEVER",
        "three@far.test",
    ]
    inject(paquebot, f"{ALICE} RET=HDRS ENVID=QQ+2B314+3D159", recipients, letter("passed"))
    found = arrived(paquebot, far_mx, "passed")
    parameters = {each.address: each.parameters for each in found.recipients}
    assert [each for each in found.sender.parameters if not each.startswith(("SIZE=", "BODY="))] == [
        "RET=HDRS",
        "ENVID=QQ+2B314+3D159",
    ]
    assert parameters == {
        "one@far.test": ("NOTIFY=SUCCESS,FAILURE,DELAY", "ORCPT=rfc822;o+2Bne@far.test"),
        "two@far.test": ("NOTIFY=NEVER",),
        "three@far.test": (),
    }


def test_success_is_told_by_the_next_hop_that_knows_dsn_and_not_by_us_too(paquebot: Paquebot, far_mx: FakeMx) -> None:
    inject(paquebot, ALICE, ["good@far.test NOTIFY=SUCCESS"], letter("theirs"))
    arrived(paquebot, far_mx, "theirs")
    paquebot.wait_for_empty_queue()
    assert reports(paquebot, "theirs", 0) == []


def test_a_next_hop_without_dsn_sees_no_parameter_of_it(paquebot: Paquebot, plain_mx: FakeMx) -> None:
    recipients = ["x@plain.test NOTIFY=NEVER ORCPT=rfc822;x@plain.test"]
    inject(paquebot, f"{ALICE} RET=FULL ENVID=Q1", recipients, letter("hidden"))
    found = arrived(paquebot, plain_mx, "hidden")
    (recipient,) = found.recipients
    assert recipient.parameters == ()
    assert not [each for each in found.sender.parameters if each.startswith(("RET", "ENVID"))]


# Made by us.


def test_mail_handed_to_who_does_not_know_dsn_is_told_to_be_relayed(paquebot: Paquebot) -> None:
    recipients = ["good@plain.test NOTIFY=SUCCESS ORCPT=rfc822;first+2Blast@old.test", "other@plain.test"]
    inject(paquebot, f"{ALICE} RET=FULL ENVID=Q+2BQ", recipients, letter("relayed"))
    (report,) = reports(paquebot, "relayed")
    message, recipient = blocks(report)
    assert message["Original-Envelope-Id"] == "Q+Q"
    assert message["Reporting-MTA"] == "dns; mx.example.test"
    assert recipient["Original-Recipient"] == "rfc822; first+last@old.test"
    assert recipient["Final-Recipient"] == "rfc822; good@plain.test"
    assert recipient["Action"] == "relayed"
    assert recipient["Status"].startswith("2.")
    assert recipient["Remote-MTA"] == "dns; mx.plain.test"
    # The content comes back with failures only (RFC 3461, 4.3).
    assert returned(report).get_content_type() == "text/rfc822-headers"


def test_mail_in_a_mailbox_is_told_to_be_delivered(paquebot: Paquebot) -> None:
    inject(paquebot, f"{ALICE} ENVID=L1", [f"{BOB} NOTIFY=SUCCESS"], letter("local"))
    (report,) = reports(paquebot, "local")
    message, recipient = blocks(report)
    assert message["Original-Envelope-Id"] == "L1"
    assert recipient["Action"] == "delivered"
    assert "Remote-MTA" not in recipient


UNASKED = {
    "never-failed": "no@plain.test NOTIFY=NEVER",
    "never-refused-by-dsn": "no@far.test NOTIFY=NEVER",
    "success-only-failed": "no@far.test NOTIFY=SUCCESS",
    "delay-only-failed": "no@far.test NOTIFY=DELAY",
    "never-relayed": "good@plain.test NOTIFY=NEVER",
    "never-local": f"{BOB} NOTIFY=NEVER",
    "failure-only-relayed": "good@plain.test NOTIFY=FAILURE",
    "nothing-said-relayed": "good@plain.test",
}


def test_what_nobody_asked_for_is_told_to_nobody(paquebot: Paquebot) -> None:
    before = paquebot.metric("paquebot_queue_enqueued_total", source="bounce")
    sent = {name: inject(paquebot, ALICE, [recipient], letter(name)) for name, recipient in UNASKED.items()}
    paquebot.wait_for(lambda: all(endings(paquebot, msgid) for msgid in sent.values()), "all ends")
    paquebot.wait_for_empty_queue()
    ends = {name: endings(paquebot, msgid) for name, msgid in sent.items()}
    failed = {name for name, end in ends.items() if end == ["delivery.permfail"]}
    assert failed == {"never-failed", "never-refused-by-dsn", "success-only-failed", "delay-only-failed"}
    assert [name for name in UNASKED if reports(paquebot, name, 0)] == []
    assert paquebot.metric("paquebot_queue_enqueued_total", source="bounce") == before


def endings(paquebot: Paquebot, msgid: str) -> list[str]:
    """Return how the envelopes of a message ended."""
    final = {"delivery.delivered", "delivery.permfail", "delivery.expired"}
    return [event for event in paquebot.story(msgid) if event in final]


@pytest.mark.parametrize(("ret", "kind"), [("FULL", "message/rfc822"), ("HDRS", "text/rfc822-headers")])
def test_a_failure_returns_what_ret_says(paquebot: Paquebot, ret: str, kind: str) -> None:
    subject = f"ret-{ret.lower()}"
    recipients = ["no@far.test ORCPT=rfc822;orig@far.test", "good@far.test NOTIFY=FAILURE"]
    inject(paquebot, f"{ALICE} RET={ret} ENVID=R+2D1", recipients, letter(subject, "unique body"))
    (report,) = reports(paquebot, subject)
    message, recipient = blocks(report)
    # It takes the recipient as the sender knows it.
    assert set(scan_message(report)) == {b"orig@far.test"}
    assert told_actions(report) == {"no@far.test": "failed"}
    assert (message["Original-Envelope-Id"], recipient["Original-Recipient"]) == ("R-1", "rfc822; orig@far.test")
    assert recipient["Status"] == "5.1.1"
    assert recipient["Diagnostic-Code"] == f"smtp; {REFUSED}"
    assert returned(report).get_content_type() == kind
    assert (b"unique body" in report.as_bytes()) == (ret == "FULL")
    assert f"Subject: {subject}" in returned(report).as_string()


def test_a_large_message_comes_back_as_its_header_whatever_ret_says(paquebot: Paquebot) -> None:
    body = "\r\n".join(["z" * 70] * 1_000)
    inject(paquebot, f"{ALICE} RET=FULL", ["no@far.test"], letter("large", body))
    (report,) = reports(paquebot, "large")
    assert returned(report).get_content_type() == "text/rfc822-headers"
    assert len(report.as_bytes()) < 10_000


def test_a_report_travels_with_the_null_reverse_path_and_asks_for_none(paquebot: Paquebot, far_mx: FakeMx) -> None:
    inject(paquebot, "joe@far.test RET=HDRS ENVID=J1", ["no@plain.test NOTIFY=FAILURE"], letter("abroad"))
    found = arrived(paquebot, far_mx, "abroad")
    assert found.sender.address == ""
    assert found.addresses == ("joe@far.test",)
    assert not [each for each in found.sender.parameters if each.startswith(("RET", "ENVID"))]
    assert found.recipients[0].parameters == ()
    assert set(scan_message(parsed_report(found.content))) == {b"no@plain.test"}


# Delays and the end of all patience.


def test_a_delay_is_told_once_and_a_late_success_needs_no_second_word(paquebot: Paquebot, far_mx: FakeMx) -> None:
    msgid = inject(paquebot, f"{ALICE} RET=FULL ENVID=D1", ["slow@far.test"], letter("slow", "unique body"))
    (report,) = reports(paquebot, "slow")
    message, recipient = blocks(report)
    assert message["Original-Envelope-Id"] == "D1"
    assert (recipient["Action"], recipient["Status"]) == ("delayed", "4.2.1")
    assert recipient["Diagnostic-Code"] == f"smtp; {LATER}"
    assert recipient["Will-Retry-Until"]
    assert b"unique body" not in report.as_bytes()
    paquebot.wait_for_log("delivery.tempfail", 3, msgid=msgid)
    paquebot.cli("schedule", msgid).checked()
    arrived(paquebot, far_mx, "slow")
    paquebot.wait_for_empty_queue()
    assert len(reports(paquebot, "slow")) == 1


def test_mail_whose_time_is_up_fails_with_the_last_reply(paquebot: Paquebot) -> None:
    msgid = inject(paquebot, f"{ALICE} ENVID=E1", ["late@brief.test NOTIFY=FAILURE"], letter("late"))
    (report,) = reports(paquebot, "late")
    _, recipient = blocks(report)
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.4.7")
    assert "Will-Retry-Until" not in recipient
    assert recipient["Diagnostic-Code"] == f"smtp; {LATER}"
    assert "expired" in next(report.iter_parts()).as_string()
    assert set(scan_message(report)) == {b"late@brief.test"}
    assert endings(paquebot, msgid) == ["delivery.expired"]


# Whose words they are.


def explained(report: EmailMessage) -> str:
    """Return what people read, in one line."""
    return " ".join(next(report.iter_parts()).as_string().split())


def test_a_server_that_was_never_reached_said_nothing(paquebot: Paquebot) -> None:
    inject(paquebot, ALICE, ["late@dead.test NOTIFY=FAILURE"], letter("dead"))
    (report,) = reports(paquebot, "dead")
    _, recipient = blocks(report)
    assert (recipient["Action"], recipient["Remote-MTA"]) == ("failed", None)
    assert recipient["Diagnostic-Code"].startswith("x-paquebot; 451 4.")
    assert "said:" not in explained(report)
    assert "last error: 451" in explained(report)


def test_a_server_that_was_not_asked_said_nothing(paquebot: Paquebot) -> None:
    inject(paquebot, ALICE, ["good@plain.test"], letter("oversize", "\r\n".join(["z" * 70] * (LARGEST_BYTES // 70))))
    (report,) = reports(paquebot, "oversize")
    _, recipient = blocks(report)
    assert (recipient["Status"], recipient["Remote-MTA"]) == ("5.3.4", "dns; mx.plain.test")
    assert recipient["Diagnostic-Code"] == "x-paquebot; 552 5.3.4 Message too large for peer"
    assert f"While talking to {PLAIN_HOST} (mx.plain.test): 552 5.3.4" in explained(report)


def test_a_server_s_refusal_is_told_as_its_own(paquebot: Paquebot) -> None:
    inject(paquebot, ALICE, ["no@plain.test"], letter("own-words"))
    (report,) = reports(paquebot, "own-words")
    assert f"{PLAIN_HOST} (mx.plain.test) said: {REFUSED}" in explained(report)


def test_delay_and_expiry_are_told_to_nobody_who_must_not_be_told(paquebot: Paquebot) -> None:
    before = paquebot.metric("paquebot_queue_enqueued_total", source="bounce")
    silent = inject(paquebot, ALICE, ["quiet@brief.test NOTIFY=NEVER"], letter("silent"))
    nobody = inject(paquebot, "", ["null@brief.test NOTIFY=FAILURE,DELAY"], letter("nobody"))
    for msgid in (silent, nobody):
        paquebot.wait_for_log("delivery.expired", msgid=msgid)
    paquebot.wait_for_empty_queue()
    assert paquebot.metric("paquebot_queue_enqueued_total", source="bounce") == before


# Internationalised mail.


def test_an_internationalised_message_gets_the_global_forms(paquebot: Paquebot) -> None:
    content = letter("global").replace(b"\r\n\r\n", "\r\nX-Name: Grüße\r\n\r\n".encode())
    inject(paquebot, f"{ALICE} SMTPUTF8 RET=FULL", ["grüße@far.test ORCPT=utf-8;gr\\x{FC}\\x{DF}e@far.test"], content)
    (report,) = reports(paquebot, "global")
    kinds = [each.get_content_type() for each in report.iter_parts()]
    assert kinds == ["text/plain", "message/global-delivery-status", "message/global"]
    text = report.as_bytes().decode()
    assert "Final-Recipient: utf-8; grüße@far.test" in text
    assert "X-Name: Grüße" in text


def test_its_report_asks_for_smtputf8_where_the_sender_needs_it(paquebot: Paquebot, far_mx: FakeMx) -> None:
    inject(paquebot, "jörg@far.test SMTPUTF8", ["no@plain.test"], letter("utf8-sender"))
    found = arrived(paquebot, far_mx, "utf8-sender")
    assert (found.sender.address, found.addresses) == ("", ("jörg@far.test",))
    assert "SMTPUTF8" in found.sender.parameters
    assert b"Content-Type: message/global-delivery-status\r\n" in found.content


def test_a_sender_whose_server_knows_no_smtputf8_is_told_all_the_same(paquebot: Paquebot, plain_mx: FakeMx) -> None:
    inject(paquebot, "joe@plain.test SMTPUTF8", ["grüße@far.test"], letter("downgraded"))
    found = arrived(paquebot, plain_mx, "downgraded")
    assert found.addresses == ("joe@plain.test",)
    assert "SMTPUTF8" not in found.sender.parameters
