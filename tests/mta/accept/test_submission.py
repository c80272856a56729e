"""What submission does to a header: it completes and masquerades, and leaves every other byte alone."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.accept.mailboxes import complete_mailboxes, replace_mailbox
from paquebot_mta.accept.submission import complete_header
from paquebot_mta.config.listeners import Listener, ServerAuth, ServerTls
from tests.mta.accept.conftest import Identity
from tests.mta.accept.support import DictTable, serve
from tests.mta.accept.test_auth import USERS, plain

DONE = b"Date: d\r\nMessage-ID: <m>\r\n"


def complete(fields: bytes, masquerade: str | None = None) -> bytes:
    whole = complete_header(DONE + fields + b"\r\n", "h.test", 0.0, lambda bits: 1, masquerade=masquerade)
    assert whole.startswith(DONE)
    assert whole.endswith(b"\r\n")
    return whole[len(DONE) : -2]


@pytest.mark.parametrize(
    ("value", "completed"),
    [
        (b" joe", b" joe@h.test"),
        (b" Joe <joe>", b" Joe <joe@h.test>"),
        (b" a, b@x.test,\r\n c (comment, here)", b" a@h.test, b@x.test,\r\n c@h.test (comment, here)"),
        (b' "Doe, Joe" <joe>, "joe doe"', b' "Doe, Joe" <joe@h.test>, "joe doe"@h.test'),
        (b" friends: a, B <b>;, c", b" friends: a@h.test, B <b@h.test>;, c@h.test"),
        (b" undisclosed-recipients:;", b" undisclosed-recipients:;"),
        (b" <>, ", b" <>, "),
        (b" two words", b" two words"),
        (b' "open <joe', b' "open <joe'),
        (b" a@x.test", b" a@x.test"),
        (b" joe.d", b" joe.d@h.test"),
    ],
)
def test_addresses_without_domain_get_one(value: bytes, completed: bytes) -> None:
    assert complete_mailboxes(value, b"h.test") == completed
    for name in (b"From", b"TO", b"cc"):
        assert complete(name + b":" + value + b"\r\n") == name + b":" + completed + b"\r\n"
    assert complete(b"Reply-To:" + value + b"\r\n") == b"Reply-To:" + value + b"\r\n"


@pytest.mark.parametrize(
    ("value", "masqueraded"),
    [
        (b" boss@x.test", b" joe@h.test"),
        (b' "The Boss" <boss@x.test>', b' "The Boss" <joe@h.test>'),
        (b" a@x.test, Boss <boss@x.test>", b" joe@h.test"),
        (b" Boss\r\n <boss@x.test>,\r\n <other@x.test>", b" Boss <joe@h.test>"),
        (b' "open', b" joe@h.test"),
    ],
)
def test_a_masquerade_keeps_the_name_only(value: bytes, masqueraded: bytes) -> None:
    assert replace_mailbox(value, b"joe@h.test") == masqueraded
    twice = b"From:" + value + b"\r\nSubject: s\r\nfrom: second@x.test\r\n"
    assert complete(twice, "joe@h.test") == b"From:" + masqueraded + b"\r\nSubject: s\r\n"


def test_a_masquerade_adds_the_from_that_was_left_out() -> None:
    header = complete_header(DONE + b"\r\n", "h.test", 0.0, lambda bits: 1, masquerade="joe@h.test")
    assert header == b"From: joe@h.test\r\n" + DONE + b"\r\n"


@given(st.binary(max_size=200))
def test_no_list_makes_it_fail_and_nothing_is_lost(value: bytes) -> None:
    completed = complete_mailboxes(value, b"h.test")
    assert completed.replace(b"@h.test", b"") == value.replace(b"@h.test", b"")
    assert complete_mailboxes(completed, b"h.test") == completed
    assert b"joe@h.test" in replace_mailbox(value, b"joe@h.test")


@pytest.mark.parametrize(
    "list_of_addresses",
    [b'"' + b'\\"' * 65_536, b"(" + b"\\(" * 65_536, b'"' + b'\\"' * 65_536 + b"\\", b"<" * 131_072, b"(" * 131_072],
    ids=["quoted", "comment", "escape at the end", "brackets", "comments"],
)
def test_what_is_never_closed_is_read_once_and_stays(list_of_addresses: bytes) -> None:
    began = time.thread_time()
    assert complete_mailboxes(b"joe, " + list_of_addresses, b"h.test") == b"joe, " + list_of_addresses
    assert replace_mailbox(list_of_addresses, b"joe@h.test") == b" joe@h.test"
    assert time.thread_time() - began < 2  # about 0.01; half a minute if each quote of it begins a string


@pytest.mark.parametrize(
    "text",
    [
        b"Hello, no header at all\r\nBcc: text, too\r\nFrom me\r\n",
        b"Hello,\r\n\r\nBcc: text\r\n",
        b"no colon\r\n folded\r\nTo: joe\r\n\r\n",
        b"From me to you\r\nHello\r\nBcc: text\r\n",
        b"From alone",
        b": no name\r\nBcc: text\r\n",
    ],
)
@pytest.mark.parametrize("fields", [b"", b"Subject: s\r\n"])
def test_text_begins_with_the_first_line_that_is_no_field(fields: bytes, text: bytes) -> None:
    added = b"Date: Thu, 1 Jan 1970 00:00:00 +0000\r\nMessage-ID: <000000000000000000000001@h.test>\r\n"
    assert complete_header(fields + text, "h.test", 0.0, lambda bits: 1) == added + fields + b"\r\n" + text


@pytest.mark.parametrize("header", [b"", b"\r\n", b"Subject: s\r\n", b"Subject: s\r\n\r\n"])
def test_a_header_without_text_stays_as_it_is(header: bytes) -> None:
    assert complete_header(DONE + header, "h.test", 0.0, lambda bits: 1) == DONE + header


def test_the_line_that_a_mailbox_puts_in_front_is_no_part_of_a_message() -> None:
    header = b"From joe Thu Jan  1 00:00:00 1970\r\n" + DONE + b"Bcc: b@x.test\r\n\r\n"
    assert complete_header(header, "h.test", 0.0, lambda bits: 1) == DONE + b"\r\n"


@pytest.mark.parametrize("name", [b"Bcc", b"bCC ", b"Resent-Bcc", b"RESENT-BCC\t"])
def test_who_got_a_message_blindly_is_told_nobody(name: bytes) -> None:
    assert complete(b"To: a@b\r\n" + name + b": secret@x.test,\r\n more@x.test\r\nX: y\r\n") == b"To: a@b\r\nX: y\r\n"


@given(st.lists(st.sampled_from([b"X: y\r\n", b"Bcc: b\r\n c\r\n", b"To: a@b\r\n", b" fold\r\n"])))
def test_all_fields_but_bcc_stay_in_order(fields: list[bytes]) -> None:
    header = b"Subject: s\r\n" + b"".join(fields)
    kept = complete(header)
    assert b"Bcc" not in kept
    if b" fold\r\n" not in fields:
        assert kept == header.replace(b"Bcc: b\r\n c\r\n", b"")


@pytest.mark.parametrize(("path", "author"), [("sales@example.test", "sales@example.test"), ("", "alice@example.test")])
async def test_a_masquerading_listener_writes_the_sender_into_from(identity: Identity, path: str, author: str) -> None:
    tls = ServerTls(mode="Implicit", certificates=("main",))
    auth = ServerAuth(mode="Required", credentials="users", senders="senders", masquerade=True)
    listener = Listener(name="mx", role="Submission", tls=tls, auth=auth)
    tables = {"users": DictTable(USERS), "senders": DictTable({"alice@example.test": "sales@example.test"})}
    async with serve(listener, tables=tables, certificates={"main": identity.certificate}) as served:
        client = await served.connect(tls=identity.client())
        await client.greet()
        await client.ask(f"AUTH PLAIN {plain('alice@example.test')}")
        await client.codes(f"MAIL FROM:<{path}>", "RCPT TO:<bob@example.test>")
        await client.data(DONE + b"From: Boss <boss@x.test>\r\n\r\nFrom: body\r\n.\r\n")
        assert served.spool.contents() == [DONE + f"From: Boss <{author}>\r\n\r\nFrom: body\r\n".encode()]
