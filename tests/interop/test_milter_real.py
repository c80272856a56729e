"""Debian's milters: opendkim signs, spamass-milter marks and refuses, clamav-milter finds viruses."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from paquebot_mta.config.filters import Milter, Phase
from paquebot_mta.filter.contract import Changes, Facts
from paquebot_mta.filter.decisions import PROCEED, Decision, Reject
from paquebot_mta.filter.letter import Letter
from paquebot_mta.filter.milter.milter import MilterFilter
from paquebot_mta.mail.ids import Msgid, SessionId
from paquebot_mta.mail.reply import Reply
from tests.mta.filter.asked import World
from tests.support.dkim_verifier import DkimKey
from tests.support.milters import (
    EICAR,
    SIGNED,
    SPAM,
    VIRUS,
    running_clamav_milter,
    running_opendkim,
    running_spamass_milter,
)
from tests.support.processes import peer_directory
from tests.support.requirements import needs_programs

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

HEADER = (
    b"From:  joe@example.test\r\nTo: bob@far.test,\r\n eve@far.test\r\nSubject: Hello\r\n"
    b"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.test>\r\n"
)
BODY = b"hello \r\n.a dot\r\n..two\r\n\r\n\r\n"
CLIENT = "192.0.2.1"


@pytest.fixture
def folder() -> Iterator[Path]:
    with peer_directory() as made:
        yield made


async def send(
    address: str, body: bytes = BODY, client: str = CLIENT, header: bytes = HEADER
) -> tuple[Decision, bytes]:
    """Go through a session; return the first decision, and the message after all changes."""
    milter = MilterFilter("milter", Milter(address=address), World(now=1_795_255_200.0).tools)
    facts = Facts(
        session=SessionId("00000000000000a1"), endpoint="mx", client_address=client, client_port=4711,
        client_name="mail.else.test", fcrdns="pass", hostname="mx.example.test",
    )  # fmt: skip
    letter = Letter(header + b"\r\n", body)
    try:
        decision = await _until_data(milter, facts)
        changes = Changes()
        if decision == PROCEED:
            decision, changes = await milter.judge(facts, letter)
        return decision, b"".join([chunk async for chunk in letter.changed(changes).chunks()])
    finally:
        milter.forget(facts.session)


async def _until_data(milter: MilterFilter, facts: Facts) -> Decision:
    steps: tuple[tuple[Phase, str], ...] = (
        ("connect", "mail.else.test|192.0.2.1"),
        ("ehlo", "client.else.test"),
        ("mail-from", "joe@example.test"),
        ("rcpt-to", "bob@far.test"),
        ("rcpt-to", "eve@far.test"),
        ("data", ""),
    )
    for phase, parameter in steps:
        decision = await milter.decide(phase, facts, parameter)
        if decision != PROCEED:
            return decision
        if phase == "ehlo":
            facts.helo = parameter
        elif phase == "mail-from":
            facts.reverse_path, facts.msgid = parameter, Msgid("508f4cf1")
        elif phase == "rcpt-to":
            facts.recipients.append(parameter)
    return PROCEED


@needs_programs("opendkim", "perl")
@pytest.mark.parametrize("canonicalization", ["simple/simple", "relaxed/relaxed"])
async def test_opendkims_signature_verifies(folder: Path, canonicalization: str) -> None:
    key = DkimKey(folder)
    with running_opendkim(folder, key.path, canonicalization) as address:
        decision, message = await send(address)
        _, foreign = await send(address, client="203.0.113.1")
        _, empty = await send(address, body=b"")
        _, large = await send(address, body=b"a line of many\r\n" * 5_000)
    assert decision == PROCEED
    assert message.endswith(HEADER + b"\r\n" + BODY)
    assert [key.verify(each) for each in (message, empty, large)] == [[f"{SIGNED} pass"]] * 3
    assert key.verify(message.replace(b"..two", b".two")) != [f"{SIGNED} pass"]
    assert key.verify(foreign) == []


@needs_programs("opendkim", "perl")
async def test_opendkim_takes_clients_of_ipv6(folder: Path) -> None:
    key = DkimKey(folder)
    with running_opendkim(folder, key.path) as address:
        decision, _ = await send(address, client="2001:db8::1")
    assert decision == PROCEED


@needs_programs("clamd", "clamav-milter")
async def test_clamav_refuses_viruses_and_marks_the_rest(folder: Path) -> None:
    attached = (
        b'--x\r\nContent-Type: application/octet-stream; name="a.com"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        + base64.b64encode(EICAR)
        + b"\r\n--x--\r\n"
    )
    mime = HEADER + b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="x"\r\n'
    forged = HEADER + b"X-Virus-Status: Clean, I swear\r\n"
    with running_clamav_milter(folder) as address:
        refused = [(await send(address, VIRUS + b"\r\n"))[0], (await send(address, attached, header=mime))[0]]
        decision, message = await send(address, header=forged)
    names = ("Own-Words.UNOFFICIAL", "Own-Eicar.UNOFFICIAL")
    assert refused == [Reject(Reply(550, f"Virus found: {name}", "5.7.1")) for name in names]
    assert decision == PROCEED
    assert b"X-Virus-Status: Clean\r\n" in message
    assert b"I swear" not in message
    assert message.endswith(b"\r\n" + BODY)


@needs_programs("spamd", "spamc", "spamass-milter")
async def test_spamassassin_marks_spam_and_refuses_more_of_it(folder: Path) -> None:
    with running_spamass_milter(folder) as address:
        _, good = await send(address)
        decision, spam = await send(address, SPAM + b"\r\n")
    assert decision == PROCEED
    assert b"X-Spam-Status: No, score=0.1" in good, "it was told the client's name for a Received field"
    assert b"X-Spam-Flag: YES" in spam
    assert b"Subject: [SPAM] Hello\r\n" in spam
    assert b"Subject: Hello" not in spam


@needs_programs("spamd", "spamc", "spamass-milter")
async def test_spamassassin_refuses(folder: Path) -> None:
    with running_spamass_milter(folder, reject_score=6) as address:
        decision, _ = await send(address, SPAM + b"\r\n")
    assert isinstance(decision, Reject)
    assert decision.reply.permanent
