"""Handing a submission over: whatever the service does, it is known what came of it, or that it isn't."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from paquebot_mta.admin.handover import Conversation, Handed, NotTakenError, UnknownEndError, hand_over
from paquebot_mta.mail.submission import Submission

MAIL = Submission("alice", ("bob", "carol@example.test"), "NEVER", "HDRS", "x", eight_bit=True)
CONTENT = [b"one\r\n", b"two\r\n"]
SIZE = 10
GREETING = ["220 mx.example.test ESMTP", "250 mx.example.test hello"]


@contextmanager
def service(*replies: str, heard: list[str] | None = None) -> Iterator[Conversation]:
    """A service that says these, one for each command or chunk (an empty one is nothing), and closes."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with suppress(OSError):
            converse()

    def converse() -> None:
        with theirs, theirs.makefile("rb") as lines:
            for number, reply in enumerate(replies):
                if number:
                    line = lines.readline()
                    if line.startswith(b"BDAT"):
                        lines.read(int(line.split()[1]))
                    if heard is not None:
                        heard.append(line.decode().rstrip())
                theirs.sendall(f"{reply}\r\n".encode() if reply else b"")

    thread = threading.Thread(target=serve)
    thread.start()
    with ours:
        yield Conversation(ours, timeout_seconds=5.0)
    thread.join()


def test_users_live_where_the_service_says() -> None:
    heard: list[str] = []
    told = ["220 mx.example.test ESMTP", "250-mx.example.test hello\r\n250-XDOMAIN example.test\r\n250 HELP"]
    with service(*told, *["250 2.1.0 Ok"] * 5, heard=heard) as conversation:
        assert hand(conversation).taken
    assert heard[1].startswith("MAIL FROM:<alice@example.test> ")
    assert heard[2:4] == ["RCPT TO:<bob@example.test> NOTIFY=NEVER", "RCPT TO:<carol@example.test> NOTIFY=NEVER"]


def hand(conversation: Conversation, mail: Submission = MAIL, *, partly: bool = False) -> Handed:
    assert conversation.greet().code == 250
    return hand_over(conversation, mail, SIZE, CONTENT, partly=partly)


def test_names_without_a_domain_are_users_of_the_service() -> None:
    heard: list[str] = []
    with service(*GREETING, *["250 2.1.0 Ok"] * 5, heard=heard) as conversation:
        assert hand(conversation).taken
    assert heard == [
        "EHLO localhost",
        "MAIL FROM:<alice@mx.example.test> SIZE=10 BODY=8BITMIME RET=HDRS ENVID=x",
        "RCPT TO:<bob@mx.example.test> NOTIFY=NEVER",
        "RCPT TO:<carol@example.test> NOTIFY=NEVER",
        "BDAT 5",
        "BDAT 5 LAST",
    ]


def test_one_refusal_is_enough_to_send_nothing() -> None:
    with service(*GREETING, "250 ok", "550 5.1.1 no", "250 ok", "250 reset") as conversation:
        handed = hand(conversation)
    assert (handed.taken, handed.reply.code, set(handed.refused)) == (False, 550, {"bob"})


def test_the_others_get_it_where_that_is_wanted() -> None:
    with service(*GREETING, "250 ok", "550 5.1.1 no", "250 ok", "250 ok", "250 ok") as conversation:
        handed = hand(conversation, partly=True)
    assert (handed.taken, set(handed.refused)) == (True, {"bob"})


def test_a_recipient_who_may_be_taken_later_keeps_all_of_it() -> None:
    with service(*GREETING, "250 ok", "550 5.1.1 no", "451 4.3.0 later", "250 reset") as conversation:
        handed = hand(conversation, partly=True)
    assert (handed.taken, handed.reply.code) == (False, 451)


@pytest.mark.parametrize("said", range(6))
def test_a_service_that_goes_away_before_the_end_has_nothing(said: int) -> None:
    with service(*[*GREETING, *["250 ok"] * 4][:said]) as conversation, pytest.raises(NotTakenError):
        hand(conversation)


def test_a_service_that_goes_away_after_the_end_may_have_it() -> None:
    with service(*GREETING, *["250 ok"] * 3, "") as conversation:
        greeted = conversation.greet()
        assert greeted.code == 250
        with pytest.raises(UnknownEndError):
            hand_over(conversation, Submission("", ("bob", "carol")), 5, [b"five\n"], partly=False)


def test_content_that_ends_early_is_never_finished() -> None:
    heard: list[str] = []
    with service(*GREETING, *["250 ok"] * 4, heard=heard) as conversation:
        conversation.greet()
        with pytest.raises(NotTakenError):
            hand_over(conversation, MAIL, SIZE, CONTENT[:1], partly=False)
    assert not any("LAST" in line for line in heard)


@pytest.mark.parametrize(
    "change",
    [
        lambda: Submission("a\r\nRSET", ("bob",)),
        lambda: Submission("alice", ("bob> NOTIFY=NEVER\r\nDATA",)),
        lambda: Submission("alice", ("bob",), notify="NEVER\r\nDATA"),
        lambda: Submission("alice", ("bob",), notify="NEVER ORCPT=rfc822;x"),
        lambda: Submission("alice", ("bob",), dsn_return="FULL\nRSET"),
        lambda: Submission("alice", ("bob",), envelope_id="x y"),
    ],
)
def test_a_hostile_envelope_says_nothing_but_what_it_may(change: Callable[[], Submission]) -> None:
    heard: list[str] = []
    with service(*GREETING, *["250 ok"] * 2, heard=heard) as conversation:
        conversation.greet()
        handed = hand_over(conversation, change(), SIZE, CONTENT, partly=False)
    assert handed.reply.permanent
    assert not [line for line in heard if line.startswith(("DATA", "BDAT"))]


def test_a_service_that_speaks_nonsense_has_nothing() -> None:
    with service("hello") as conversation, pytest.raises(NotTakenError):
        conversation.greet()
