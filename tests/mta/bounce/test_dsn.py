"""Notifications as others read them: two parsers agree on who failed, and hostile words break nothing."""

import email
import email.policy
from email.message import EmailMessage

import flufl.bounce
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.bounce.dsn import RETURNED_BYTES, Notification, Reporter, Stamp, build_dsn
from paquebot_mta.bounce.fields import decode_xtext, fold
from paquebot_mta.bounce.policy import Kind, RecipientReport
from paquebot_mta.mail.envelope import Envelope, Message
from paquebot_mta.mail.ids import Evpid, Msgid
from paquebot_mta.mail.reply import Reply

ORIGINAL = b"From: a@origin.test\r\nSubject: hi\r\n\r\nhello\r\n"
NO_SUCH_USER = Reply(550, "no such user", "5.1.1", remote=True)
NOW = 1_790_000_000.0


def envelope(address: str = "bob@far.test", number: int = 1, original: str = "") -> Envelope:
    evpid = Evpid(f"0badcafe{number:08x}")
    return Envelope(evpid, address, address, "out", original_recipient=original)


def report(
    reply: Reply = NO_SUCH_USER,
    remote: str = "192.0.2.1 (mx.far.test)",
    address: str = "bob@far.test",
    original: str = "",
) -> RecipientReport:
    return RecipientReport(envelope(address, original=original), reply, remote, attempted_at=NOW)


def notification(
    *recipients: RecipientReport,
    kind: Kind = "failure",
    original: bytes = ORIGINAL,
    full: bool = False,
    smtputf8: bool = False,
    reverse_path: str = "a@origin.test",
    envelope_id: str = "",
) -> Notification:
    reports = recipients or (report(),)
    message = Message(
        Msgid("0badcafe"),
        reverse_path,
        NOW - 60,
        len(original),
        tuple(each.envelope for each in reports),
        smtputf8=smtputf8,
        dsn_envelope_id=envelope_id,
    )
    return build_dsn(
        kind,
        message,
        reports,
        original,
        full=full,
        reporter=Reporter("mx.example.test"),
        stamp=Stamp(NOW, "0123456789abcdef", "b0undary"),
    )


def parsed(made: Notification) -> EmailMessage:
    message = email.message_from_bytes(made.content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert [part.defects for part in message.walk() if part.defects] == []
    return message


def status_blocks(made: Notification) -> list[EmailMessage]:
    blocks = list(parsed(made).iter_parts())[1].get_payload()
    assert isinstance(blocks, list)
    return [each for each in blocks if isinstance(each, EmailMessage)]


def permanent_failures(made: Notification) -> set[bytes]:
    return set(flufl.bounce.scan_message(email.message_from_bytes(made.content)))


def test_another_parser_finds_who_failed() -> None:
    made = notification()
    assert permanent_failures(made) == {b"bob@far.test"}


def test_all_recipients_are_in_one_report() -> None:
    second = RecipientReport(envelope("carol@far.test", 2), Reply(552, "full", "5.2.2"))
    made = notification(report(), second)
    assert permanent_failures(made) == {b"bob@far.test", b"carol@far.test"}
    assert [each["Status"] for each in status_blocks(made)[1:]] == ["5.1.1", "5.2.2"]


def test_the_header_is_that_of_a_notification() -> None:
    message = parsed(notification())
    assert message["From"] == "Mail Delivery System <MAILER-DAEMON@mx.example.test>"
    assert message["To"] == "a@origin.test"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["Subject"] == "Delivery status notification: failed"
    assert message["Message-ID"] == "<0123456789abcdef@mx.example.test>"
    assert message.get_content_type() == "multipart/report"
    assert message["Content-Type"].params["report-type"] == "delivery-status"


def test_the_machine_readable_part_has_all_that_is_known() -> None:
    made = notification(report(original="rfc822;bob+2Bx@far.test"), envelope_id="QQ+3D1")
    whole, recipient = status_blocks(made)
    assert whole.items() == [
        ("Original-Envelope-Id", "QQ=1"),
        ("Reporting-MTA", "dns; mx.example.test"),
        ("Arrival-Date", "Mon, 21 Sep 2026 14:12:20 -0000"),
    ]
    assert recipient.items() == [
        ("Original-Recipient", "rfc822; bob+x@far.test"),
        ("Final-Recipient", "rfc822; bob@far.test"),
        ("Action", "failed"),
        ("Status", "5.1.1"),
        ("Remote-MTA", "dns; mx.far.test"),
        ("Diagnostic-Code", "smtp; 550 5.1.1 no such user"),
        ("Last-Attempt-Date", "Mon, 21 Sep 2026 14:13:20 -0000"),
    ]


def test_a_failure_of_our_own_names_no_remote_server() -> None:
    _, recipient = status_blocks(notification(report(Reply(554, "Envelope expired", "5.4.7"), remote="")))
    assert recipient["Remote-MTA"] is None
    assert recipient["Diagnostic-Code"] == "x-paquebot; 554 5.4.7 Envelope expired"


def test_our_own_words_are_never_put_into_a_server_s_mouth() -> None:
    made = notification(report(Reply(552, "Message too large for peer", "5.3.4")))
    _, recipient = status_blocks(made)
    assert recipient["Remote-MTA"] == "dns; mx.far.test"
    assert recipient["Diagnostic-Code"] == "x-paquebot; 552 5.3.4 Message too large for peer"
    assert b" said:" not in made.content
    assert b"While talking to 192.0.2.1 (mx.far.test): 552 5.3.4" in made.content


def test_a_server_s_own_words_are_its_own() -> None:
    assert b"192.0.2.1 (mx.far.test) said: 550 5.1.1 no such user" in notification().content


@pytest.mark.parametrize(
    ("remote", "named"),
    [
        ("192.0.2.1 (mx.far.test)", "mx.far.test"),
        ("192.0.2.1 (192.0.2.1)", "[192.0.2.1]"),
        ("2001:db8::1 (2001:db8::1)", "[IPv6:2001:db8::1]"),
        ("192.0.2.1", "[192.0.2.1]"),
        ("/run/lmtp (localhost)", "localhost"),
    ],
)
def test_a_server_is_named_by_its_name_or_as_an_address_literal(remote: str, named: str) -> None:
    assert status_blocks(notification(report(remote=remote)))[1]["Remote-MTA"] == f"dns; {named}"


def test_a_success_of_our_own_needs_no_diagnosis() -> None:
    made = notification(report(Reply(250, "Delivered", "2.0.0"), remote=""), kind="success")
    assert status_blocks(made)[1]["Diagnostic-Code"] is None


def test_an_expired_envelope_has_our_status_and_the_server_s_own_words() -> None:
    ours = Reply(550, "Envelope expired; last reply: 450 4.2.1 come back", "5.4.7")
    last = Reply(450, "come back", "4.2.1", remote=True)
    made = notification(RecipientReport(envelope(), ours, "192.0.2.1 (mx.far.test)", last_reply=last))
    _, recipient = status_blocks(made)
    assert recipient["Status"] == "5.4.7"
    assert recipient["Diagnostic-Code"] == "smtp; 450 4.2.1 come back"
    assert b"said: 550" not in made.content
    assert b"Envelope expired" in made.content


@pytest.mark.parametrize(
    ("kind", "relayed", "reply", "action", "status"),
    [
        ("failure", True, Reply(550, "no"), "failed", "5.0.0"),
        ("failure", True, Reply(451, "gave up"), "failed", "4.0.0"),
        ("delay", True, Reply(451, "later"), "delayed", "4.0.0"),
        ("success", True, Reply(250, "ok"), "relayed", "2.0.0"),
        ("success", False, Reply(250, "ok"), "delivered", "2.0.0"),
    ],
)
def test_actions_and_general_codes(kind: Kind, relayed: bool, reply: Reply, action: str, status: str) -> None:
    made = notification(RecipientReport(envelope(), reply, relayed=relayed), kind=kind)
    assert status_blocks(made)[1]["Action"] == action
    assert status_blocks(made)[1]["Status"] == status


def test_a_delay_says_how_long_it_is_tried_and_bounces_nobody() -> None:
    later = RecipientReport(envelope(), Reply(451, "later", "4.2.1"), retry_until=NOW + 3600)
    made = notification(later, kind="delay")
    assert status_blocks(made)[1]["Will-Retry-Until"] == "Mon, 21 Sep 2026 15:13:20 -0000"
    assert permanent_failures(made) == set()


def test_the_header_alone_is_returned_unless_all_is_asked_for() -> None:
    part = list(parsed(notification()).iter_parts())[2]
    assert part.get_content_type() == "text/rfc822-headers"
    assert b"Subject: hi" in notification().content
    assert b"hello" not in notification().content


def test_the_whole_message_is_returned_byte_for_byte() -> None:
    made = notification(full=True)
    assert b"Content-Type: message/rfc822\r\n\r\n" + ORIGINAL + b"\r\n--" in made.content


def test_a_message_too_large_comes_back_as_its_header() -> None:
    made = notification(original=ORIGINAL + b"x" * RETURNED_BYTES, full=True)
    assert len(made.content) < 3_000
    assert b"text/rfc822-headers" in made.content


def test_a_header_without_end_is_cut_between_fields() -> None:
    made = notification(original=b"X-A: " + b"y" * 70 + b"\r\n" + b"X-B: y\r\n" * 20_000)
    assert len(made.content) < RETURNED_BYTES + 3_000
    assert parsed(made).defects == []


def test_the_boundary_never_is_in_the_message() -> None:
    made = notification(original=b"Subject: --b0undary\r\n\r\n--b0undary--\r\n", full=True)
    assert len(list(parsed(made).iter_parts())) == 3


def test_eight_bit_headers_are_declared() -> None:
    made = notification(original="Subject: ü\r\n\r\n".encode("latin-1"))
    assert (made.body, made.smtputf8) == ("8BITMIME", False)
    assert b"Content-Transfer-Encoding: 8bit\r\n" in made.content.partition(b"\r\n\r\n")[0] + b"\r\n"


def test_a_plain_report_is_seven_bit() -> None:
    made = notification(report(Reply(550, "kein Empfänger für Sie", "5.1.1", remote=True)))
    assert made.content.isascii()
    assert (made.body, made.smtputf8) == ("7BIT", False)
    assert status_blocks(made)[1]["Diagnostic-Code"] == r"smtp; 550 5.1.1 kein Empf\xe4nger f\xfcr Sie"


def test_an_internationalised_message_gets_the_global_forms() -> None:
    made = notification(report(address="büro@far.test"), smtputf8=True, reverse_path="ä@origin.test")
    types = [part.get_content_type() for part in parsed(made).iter_parts()]
    assert types == ["text/plain", "message/global-delivery-status", "message/global-headers"]
    assert "Final-Recipient: utf-8; büro@far.test".encode() in made.content
    assert (made.body, made.smtputf8) == ("8BITMIME", True)


HOSTILE = st.text(st.sampled_from("\r\n\t\0\x1b\x85\u2028 -=.:;b0undaryAction: ü\U0001f600"), max_size=300)


@given(HOSTILE, HOSTILE, HOSTILE, st.booleans())
def test_hostile_words_never_become_fields_or_parts(text: str, remote: str, original: str, smtputf8: bool) -> None:
    hostile = RecipientReport(
        Envelope(Evpid("0badcafe00000001"), "b@far.test", "b@far.test", "out", original_recipient=f"rfc822;{original}"),
        Reply(550, text, "5.1.1"),
        remote,
    )
    made = notification(hostile, smtputf8=smtputf8)
    assert len(list(parsed(made).iter_parts())) == 3
    assert len(status_blocks(made)) == 2
    recipient = status_blocks(made)[1]
    assert [name for name, _ in recipient.items() if name not in {"Remote-MTA", "Diagnostic-Code"}] == [
        "Original-Recipient",
        "Final-Recipient",
        "Action",
        "Status",
    ]
    assert recipient.get_all("Action") == ["failed"]
    assert all(len(line) <= 998 for line in made.content.split(b"\r\n"))
    assert b"\n" not in made.content.replace(b"\r\n", b"")
    assert b"\r" not in made.content.replace(b"\r\n", b"")


@given(st.text(st.sampled_from("ab  \u00fc"), max_size=3000))
def test_folding_loses_no_word(text: str) -> None:
    field = f"Diagnostic-Code: smtp; {text}"
    folded = fold(field).split("\n")
    assert all(len(line) <= 998 for line in folded)
    assert all(line.startswith(" ") for line in folded[1:])
    assert "".join("".join(folded).split()) == "".join(field.split())


@pytest.mark.parametrize(("value", "plain"), [("a+2Bb", "a+b"), ("a+2b", "a+2b"), ("+", "+"), ("+3D+3d", "=+3d")])
def test_xtext(value: str, plain: str) -> None:
    assert decode_xtext(value) == plain
