"""Debian's rspamd, asked about messages."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from paquebot_mta.config.filters import Rspamd
from paquebot_mta.filter.contract import Changes, Facts
from paquebot_mta.filter.decisions import JUNK, PROCEED, Decision, Reject
from paquebot_mta.filter.letter import Letter
from paquebot_mta.filter.rspamd.rspamd import RspamdFilter
from paquebot_mta.mail.ids import Msgid, SessionId
from paquebot_mta.mail.reply import Reply
from tests.mta.filter.asked import World
from tests.support.dkim_verifier import DkimKey
from tests.support.processes import peer_directory
from tests.support.requirements import needs_programs
from tests.support.rspamd import SIGNED, running_rspamd

pytestmark = [pytest.mark.integration, needs_programs("rspamd", "perl")]

HEADER = b"From: joe@example.test\r\nTo: bob@far.test\r\nSubject: Gr=FCn\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
BODY = b"\r\nhello\r\n.dot\r\n\r\n"


@dataclass
class Scanner:
    """A running rspamd, and the key that it signs with."""

    url: str
    key: DkimKey


@pytest.fixture(scope="module")
def scanner() -> Iterator[Scanner]:
    with peer_directory() as folder:
        key = DkimKey(folder)
        with running_rspamd(folder, key.path) as url:
            yield Scanner(url, key)


def known(user: str = "") -> Facts:
    return Facts(
        session=SessionId("00000000000000a1"),
        endpoint="mx",
        client_address="192.0.2.1",
        client_name="mail.else.test",
        fcrdns="pass",
        hostname="mx.example.test",
        helo="client.else.test",
        user=user,
        msgid=Msgid("508f4cf1"),
        reverse_path="joe@example.test",
        recipients=["bob@far.test", "eve@far.test"],
    )


async def judge(scanner: Scanner, extra: bytes = b"", user: str = "") -> tuple[Decision, Changes, bytes]:
    """Return the decision, the changes, and the message as it is after them."""
    message = HEADER + extra + BODY
    letter = Letter(message[: -len(BODY) + 2], message[-len(BODY) + 2 :])
    rspamd = RspamdFilter("rspamd", Rspamd(url=scanner.url), World().tools)
    try:
        decision, changes = await rspamd.judge(known(user), letter)
    finally:
        await rspamd.close()
    return decision, changes, b"".join([chunk async for chunk in letter.changed(changes).chunks()])


async def test_it_is_told_what_is_known(scanner: Scanner) -> None:
    decision, _, message = await judge(scanner)
    assert decision == PROCEED
    envelope = "bob@far.test eve@far.test joe@example.test"
    session = "192.0.2.1 client.else.test - 508f4cf1 mx.example.test mail.else.test"
    assert f"X-Told: {envelope} {session}\r\n".encode() in message
    assert b"X-Spam-Action: no action\r\nX-Spam-Score: 0.00 / 15.00\r\n" in message
    assert message.endswith(HEADER + BODY)


async def test_a_spammy_message_is_junk_with_its_score_and_without_what_rspamd_removes(scanner: Scanner) -> None:
    decision, _, message = await judge(scanner, b"X-Points: 7\r\nX-Spam-Score: -9\r\n")
    assert decision == JUNK
    assert b"X-Spam-Score: 7.00 / 15.00\r\nX-Spam-Symbols: OWN_POINTS(7.00)," in message
    assert b"X-Spamd-Bar: +++++++\r\n" in message
    assert b"X-Points" not in message
    assert message.count(b"X-Spam-Score") == 1


async def test_the_subject_is_rewritten(scanner: Scanner) -> None:
    decision, _, message = await judge(scanner, b"X-Points: 11\r\n")
    assert decision == JUNK
    assert b"\r\nSubject: *** SPAM *** Gr=FCn\r\n" in message
    assert message.count(b"Subject:") == 1


@pytest.mark.parametrize(
    ("field", "reply"),
    [
        (b"X-Points: 20", Reply(550, "message rejected", "5.7.1")),
        (b"X-Words: reject", Reply(550, "because of reject", "5.7.1")),
        (b"X-Words: greylist", Reply(421, "because of greylist", "4.7.1")),
        (b"X-Words: soft reject", Reply(451, "because of soft reject", "4.7.1")),
    ],
)
async def test_its_refusals_are_in_its_words(scanner: Scanner, field: bytes, reply: Reply) -> None:
    assert (await judge(scanner, field + b"\r\n"))[0] == Reject(reply)


async def test_a_message_that_it_discards_has_no_recipient_left(scanner: Scanner) -> None:
    decision, changes, _ = await judge(scanner, b"X-Words: discard\r\n")
    assert decision == PROCEED
    assert changes.remove_recipients == ("bob@far.test", "eve@far.test")


async def test_its_signature_verifies(scanner: Scanner) -> None:
    _, _, message = await judge(scanner, user="joe@example.test")
    assert scanner.key.verify(message) == [f"{SIGNED} pass"]
    assert scanner.key.verify(message.replace(b".dot", b"dot")) != [f"{SIGNED} pass"]


async def test_strangers_are_not_signed_for(scanner: Scanner) -> None:
    _, _, message = await judge(scanner)
    assert scanner.key.verify(message) == []
