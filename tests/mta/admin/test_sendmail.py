"""What ``sendmail`` makes of its options and of a message: the submission is what was meant, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.admin.sendmail import BadMessageError, BadUsageError, Wish, read_message, read_options
from paquebot_mta.mail.submission import Submission

PLAIN = b"From: Alice <alice@example.test>\nSubject: hello\n\nAhoy!\n"
WIRE = PLAIN.replace(b"\n", b"\r\n")
TO_BOB = Wish(recipients=("bob@example.test",))


def content_of(read: bytes, wish: Wish = TO_BOB) -> bytes:
    return read_message(wish, "alice", read)[1]


def recipients_of(read: bytes, *arguments: str) -> tuple[str, ...]:
    (submission,), _ = read_message(read_options(["-t", *arguments]), "alice", read)
    return submission.recipients


def test_options_of_sendmail_are_understood() -> None:
    wish = read_options(
        ["-oi", "-t", "-fbob@example.test", "-F", "Bob", "-N", "failure,delay", "-R", "hdrs", "-V", "a b", "-B8BITMIME"]
    )
    assert wish == Wish(
        sender="bob@example.test",
        full_name="Bob",
        notify="FAILURE,DELAY",
        dsn_return="HDRS",
        envelope_id="a+20b",
        from_header=True,
        dot_ends=False,
        eight_bit=True,
    )


@pytest.mark.parametrize(
    "word", ["-oem", "-odb", "-em", "-bm", "-Am", "-G", "-U", "-n", "-m", "-v", "-c", "-h5", "-X/x"]
)
def test_options_without_a_meaning_here_are_taken(word: str) -> None:
    assert read_options([word, "bob"]) == Wish(recipients=("bob",))


@pytest.mark.parametrize(
    "arguments",
    [
        ["-bs"],
        ["-bp"],
        ["-q"],
        ["-q30m"],
        ["-bd"],
        ["-Z"],
        ["-f"],
        ["-N", "always"],
        ["-N", "never,delay"],
        ["-R", "x"],
    ],
)
def test_what_is_not_supported_is_refused(arguments: list[str]) -> None:
    with pytest.raises(BadUsageError):
        read_options([*arguments])


@pytest.mark.parametrize("sender", ["<>", ""])
def test_the_null_sender_can_be_given(sender: str) -> None:
    assert read_options(["-f", sender, "bob"]).sender == ""


@pytest.mark.parametrize("sender", ["a b", "a\r\nRCPT TO:<x>", "<a", "a@b@c", "a>b"])
def test_a_sender_that_is_no_address_is_refused(sender: str) -> None:
    with pytest.raises(BadUsageError):
        read_options(["-f", sender, "bob"])


def test_recipients_may_stand_in_front_of_options_and_with_commas() -> None:
    wish = read_options(["bob@example.test, <carol@example.test>", "-i", '"a,b"@example.test'])
    assert wish.recipients == ("bob@example.test", "carol@example.test", '"a,b"@example.test')


def test_nothing_behind_two_dashes_is_an_option() -> None:
    assert read_options(["-i", "--", "-fevil@example.test"]).recipients == ("-fevil@example.test",)


def test_a_control_character_never_gets_into_a_name() -> None:
    with pytest.raises(BadUsageError):
        read_options(["-F", "Bob\nBcc: evil@example.test", "bob"])


def test_recipients_are_those_of_the_header_and_of_the_command_line_once() -> None:
    read = b"To: bob@example.test,\n\troot\nCc: List: carol@example.test, bob@example.test;\nBcc: dave@example.test\n\n"
    found = recipients_of(read, "erin@example.test")
    assert found == ("erin@example.test", "bob@example.test", "root", "carol@example.test", "dave@example.test")


def test_of_mail_sent_again_only_the_new_recipients_are_meant() -> None:
    read = b"Resent-To: carol@example.test\nResent-Bcc: dave@example.test\nTo: bob@example.test\n\nx\n"
    assert recipients_of(read) == ("carol@example.test", "dave@example.test")
    assert b"dave" not in content_of(read)


@pytest.mark.parametrize(
    "value",
    [
        b"alice@example.org )bob@example.com",
        b"<a@b.test",
        b"a b@c.test",
        b"a@b.test;c@d.test",
        b"Foo Bar",
        b"a@b.test c@d.test",
        b"a@-b-.test",
    ],
)
def test_a_recipient_that_can_not_be_read_means_that_nobody_gets_it(value: bytes) -> None:
    with pytest.raises(BadMessageError):
        recipients_of(b"To: " + value + b"\n\nx\n")


def test_without_recipients_there_is_no_message() -> None:
    with pytest.raises(BadMessageError, match="no recipients"):
        recipients_of(b"To: undisclosed-recipients:;\n\nx\n")


def test_a_header_is_not_looked_at_unless_asked() -> None:
    (submission,), _ = read_message(TO_BOB, "alice", b"To: carol@example.test\n\nx\n")
    assert submission == Submission("alice", ("bob@example.test",))


def test_many_recipients_are_several_transactions() -> None:
    wish = Wish(recipients=tuple(f"u{number}" for number in range(250)))
    submissions, _ = read_message(wish, "alice", PLAIN)
    assert [len(each.recipients) for each in submissions] == [100, 100, 50]


def test_line_ends_become_those_of_smtp() -> None:
    assert content_of(PLAIN) == WIRE
    assert content_of(WIRE) == WIRE
    assert content_of(PLAIN.rstrip(b"\n")) == WIRE


def test_a_lone_carriage_return_ends_no_line_of_a_header() -> None:
    got = content_of(b"From: a@b.test\nSubject: x\rBcc: evil@example.test\n\none\rtwo\n")
    assert got == b"From: a@b.test\r\nSubject: x Bcc: evil@example.test\r\n\r\none\r\ntwo\r\n"


def test_a_nul_is_refused() -> None:
    with pytest.raises(BadMessageError):
        content_of(b"Subject: x\n\n\0")


@pytest.mark.parametrize("end", [b".\n", b".\r\n", b"."])
def test_a_dot_ends_the_message_unless_told_otherwise(end: bytes) -> None:
    assert content_of(PLAIN + end) == WIRE
    wish = Wish(recipients=("bob",), dot_ends=False)
    assert content_of(PLAIN + b".\nmore\n", wish) == WIRE + b".\r\nmore\r\n"
    assert content_of(PLAIN + b"..\n") == WIRE + b"..\r\n"


def test_text_without_a_header_gets_one() -> None:
    assert content_of(b"hello world\n") == b"From: alice\r\n\r\nhello world\r\n"
    assert content_of(b"\nhello\n") == b"From: alice\r\n\r\nhello\r\n"
    assert content_of(b"") == b"From: alice\r\n\r\n"


def test_an_author_is_added_where_none_is_named() -> None:
    wish = Wish(recipients=("bob",), sender="a@b.test", full_name="Smith, Al")
    assert content_of(b"Subject: x\n\ny\n", wish) == b'From: "Smith, Al" <a@b.test>\r\nSubject: x\r\n\r\ny\r\n'
    assert content_of(PLAIN, wish) == WIRE
    null = Wish(recipients=("bob",), sender="")
    assert content_of(b"Subject: x\n\n", null).startswith(b"From: alice\r\n")


def test_the_line_of_a_mailbox_is_left_out() -> None:
    assert content_of(b"From alice Sat Nov 21 15:00:00 2026\n" + PLAIN) == WIRE


def test_eight_bit_content_is_told() -> None:
    (submission,), _ = read_message(TO_BOB, "alice", "Subject: x\n\nä\n".encode())
    assert submission.eight_bit


@given(st.binary(max_size=400))
def test_whatever_is_read_leaves_as_lines_of_smtp_or_not_at_all(read: bytes) -> None:
    try:
        content = content_of(read)
    except BadMessageError:
        return
    bare = content.replace(b"\r\n", b"")
    assert b"\r" not in bare
    assert b"\n" not in bare
    assert content.endswith(b"\r\n")
