"""Mail from swaks and smtp-source into maildirs: what lies there, and what log, metrics and queue say about it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from paquebot_mta.config.domains import Domain
from tests.support.fake_mx import FakeMx
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, BOB, PaquebotSettings, maildirs
from tests.support.requirements import needs_programs
from tests.support.smtp_client import SmtpClient
from tests.support.smtp_tools import SourceLoad, run_source

pytestmark = [pytest.mark.integration, needs_programs("swaks", "smtp-source")]

JOE = "joe@client.test"


@pytest.fixture(scope="module")
def paquebot(directory: Path, settings: PaquebotSettings) -> Iterator[Paquebot]:
    place = directory / "paquebot"
    catching = Domain(name="catch.test", delivery=maildirs(place), mailboxes=("carol",), catch_all=("carol", BOB))
    with running_paquebot(place, replace(settings, domains=(catching,))) as running:
        yield running


def content_of(marker: str) -> bytes:
    """Make a message with things that a careless server changes."""
    head = f"From: Joe <{JOE}>\r\nX-Odd:\t  {marker}  \r\nSubject: =?utf-8?q?hall=C3=B6?=\r\n folded\r\n\r\n"
    return (
        head.encode() + b".one dot\r\n..two dots\r\n.\tdot tab\r\nFrom here\r\ntrailing blanks  \r\n\xe9\xff 8 bit\r\n"
    )


def accepted_id(transcript: str) -> str:
    """Read the message id out of the reply to the end of DATA."""
    found = re.search(r"250 2\.0\.0 ([0-9a-f]{8}) Message accepted for delivery", transcript)
    assert found, transcript
    return found[1]


def test_a_message_lies_in_the_maildir_byte_for_byte_below_our_fields(paquebot: Paquebot) -> None:
    content = content_of("exact")
    msgid = accepted_id(paquebot.send(JOE, [ALICE], content=content).checked().transcript)
    (stored,) = paquebot.wait_for_delivered(ALICE, b"exact")
    ours, rest = stored[: -len(content.replace(b"\r\n", b"\n"))], stored[-len(content.replace(b"\r\n", b"\n")) :]
    assert rest == content.replace(b"\r\n", b"\n")
    assert re.fullmatch(
        rf"Return-Path: <{JOE}>\n"
        rf"Delivered-To: {ALICE}\n"
        r"Received: from client\.test \((localhost|<unknown>) \[127\.0\.0\.1\]\)\n"
        rf"\tby mx\.example\.test \(Paquebot\) with ESMTP id {msgid}\n"
        rf"\tfor <{ALICE}>;\n"
        r"\t[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000\n",
        ours.decode(),
    ), ours.decode()
    stamped = parsedate_to_datetime(ours.decode().splitlines()[-1].strip())
    assert abs(stamped.timestamp() - time.time()) < 60


def test_the_log_tells_a_messages_story_by_one_id(paquebot: Paquebot) -> None:
    msgid = accepted_id(paquebot.send(JOE, [ALICE], content=content_of("story")).checked().transcript)
    (delivery,) = paquebot.wait_for_log("delivery.delivered", msgid=msgid)
    assert delivery["from"] == JOE
    assert delivery["to"] == ALICE
    assert delivery["result"] == "Ok"
    assert delivery["delay_seconds"] < 5
    paquebot.wait_for_log("smtp-in.tx-commit", msgid=msgid)
    story = paquebot.story(msgid)
    assert story.index("queue.committed") <= story.index("delivery.delivered")
    (commit,) = paquebot.log_lines(event="smtp-in.tx-commit", msgid=msgid)
    session = commit["session"]
    events = [line["event"] for line in paquebot.log_lines(session=session)]
    assert events[0] == "smtp-in.link-connect"
    paquebot.wait_for_log("smtp-in.link-disconnect", session=session)


def test_metrics_count_a_message_and_the_queue_is_empty_afterwards(paquebot: Paquebot) -> None:
    before = [paquebot.metric(name, **labels) for name, labels in COUNTED]
    paquebot.send(JOE, [ALICE], content=content_of("counted")).checked()
    paquebot.wait_for_delivered(ALICE, b"counted")
    paquebot.wait_for_empty_queue()
    after = [paquebot.metric(name, **labels) for name, labels in COUNTED]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1.0] * len(COUNTED)
    assert paquebot.queue() == []


COUNTED: list[tuple[str, dict[str, str]]] = [
    ("paquebot_smtp_sessions_total", {"direction": "in"}),
    ("paquebot_smtp_transactions_started_total", {"direction": "in"}),
    ("paquebot_smtp_message_size_bytes_count", {"direction": "in"}),
    ("paquebot_queue_enqueued_total", {}),
    ("paquebot_deliveries_total", {}),
]


@pytest.mark.parametrize(
    ("recipient", "boxes"),
    [
        ("ALICE@Example.TEST", [ALICE]),
        ("alice+news@example.test", [ALICE]),
        ("postmaster@example.test", [ALICE]),
        ("team@example.test", [ALICE, BOB]),
        ("team+news@example.test", [ALICE, BOB]),
        ("carol@catch.test", ["carol@catch.test"]),
        ("anyone@catch.test", ["carol@catch.test", BOB]),
    ],
)
def test_a_recipient_reaches_its_mailboxes(paquebot: Paquebot, recipient: str, boxes: list[str]) -> None:
    marker = f"marker {recipient}"
    paquebot.send(JOE, [recipient], content=f"Subject: {marker}\r\n\r\nhello\r\n".encode()).checked()
    for box in boxes:
        (stored,) = paquebot.wait_for_delivered(box, marker.encode())
        extension = "+news" if "+" in recipient else ""
        assert f"\nDelivered-To: {box.replace('@', extension + '@')}\n".encode().lower() in stored.lower()
    others = {ALICE, BOB, "carol@catch.test"} - set(boxes)
    assert not any(marker.encode() in content for other in others for content in paquebot.delivered(other))


def test_an_alias_may_lead_to_another_domain_that_a_rule_relays(paquebot: Paquebot, far_mx: FakeMx) -> None:
    paquebot.send(JOE, ["abroad@example.test"], content=b"Subject: abroad\r\n\r\nx\r\n").checked()
    paquebot.wait_for(lambda: bool(far_mx.transactions), "the message at its next hop")
    (transaction,) = far_mx.transactions
    assert transaction.addresses == ("friend@far.test",)
    assert transaction.sender.address == JOE


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        ("nobody@example.test", "550 5.1.1 "),
        ("gone@example.test", "550 5.1.6 moved away"),
        ("later@example.test", "451 4.3.0 try later"),
        ("alice@elsewhere.test", "550 5.7.1 "),
    ],
)
def test_a_recipient_is_refused_by_name(paquebot: Paquebot, recipient: str, reply: str) -> None:
    with SmtpClient(paquebot.ports.mx) as client:
        client.expect("220")
        client.command("EHLO client.test", "250")
        client.command(f"MAIL FROM:<{JOE}>", "250")
        found = client.command(f"RCPT TO:<{recipient}>", reply)
        assert found.last.endswith(f": <{recipient}>")


def test_smtp_source_sends_by_twenty_sessions_and_all_arrives(paquebot: Paquebot) -> None:
    load = SourceLoad(sessions=20, messages=200, length_bytes=4096, recipient=BOB, sender="load@client.test")
    run_source(paquebot.ports.mx, load)
    found = paquebot.wait_for_delivered(BOB, b"Return-Path: <load@client.test>", count=200, timeout=30.0)
    assert len(found) == 200
    assert {len(content) // 1000 for content in found} == {4}
