"""rspamd's answers, and what they mean for a message."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.filter.contract import FieldEdit
from paquebot_mta.filter.decisions import JUNK, PROCEED, Decision, Reject
from paquebot_mta.filter.rspamd.answer import MAX_FIELDS, Answer, AnswerError, parse_answer
from paquebot_mta.filter.rspamd.verdict import changes_of, decision_of
from paquebot_mta.mail.reply import Reply

from ..asked import facts

ANSWER = {
    "is_skipped": False,
    "score": 6.5,
    "required_score": 15.0,
    "action": "add header",
    "symbols": {
        "MISSING_DATE": {"name": "MISSING_DATE", "score": 1.0, "metric_score": 1.0, "description": "no date"},
        "GTUBE": {"name": "GTUBE", "score": 5.5, "options": ["a", "b"]},
    },
    "messages": {"smtp_message": "Gtube pattern"},
    "message-id": "x@y.test",
    "time_real": 0.01,
    "milter": {
        "add_headers": {
            "X-Spamd-Bar": {"value": "++", "order": 0},
            "X-Plain": "plain",
            "X-Twice": [{"value": "1", "order": 1}, {"value": "2"}],
            "Bad Name": "x",
            "X-Number": 5,
        },
        "remove_headers": {"X-Old": 0, "X-Second": 2, "X-Last": -1, "X-Both": [1, 2]},
        "change_from": "<new@example.test>",
        "add_rcpt": ["<more@example.test>"],
        "del_rcpt": "less@example.test",
    },
    "dkim-signature": "v=1; a=rsa-sha256;\n\tb=abc",
}


def read(**parts: Any) -> Answer:
    return parse_answer(json.dumps({**ANSWER, **parts}).encode())


def test_an_answer_is_read() -> None:
    found = read()
    assert (found.action, found.score, found.required, found.message) == ("add header", 6.5, 15.0, "Gtube pattern")
    assert [symbol.name for symbol in found.symbols] == ["GTUBE", "MISSING_DATE"]
    assert found.added == (
        ("DKIM-Signature", "v=1; a=rsa-sha256;\n\tb=abc"),
        ("X-Spamd-Bar", "++"),
        ("X-Plain", "plain"),
        ("X-Twice", "1"),
        ("X-Twice", "2"),
    )
    assert found.removed == (("X-Old", 0), ("X-Second", 2), ("X-Last", 0), ("X-Both", 1), ("X-Both", 2))
    assert (found.reverse_path, found.add_recipients, found.remove_recipients) == (
        "new@example.test",
        ("more@example.test",),
        ("less@example.test",),
    )


def test_signatures_may_be_several() -> None:
    names = [name for name, _ in read(**{"dkim-signature": ["a", "b"], "milter": {}}).added]
    assert names == ["DKIM-Signature", "DKIM-Signature"]


@pytest.mark.parametrize("messages", [None, [], {}, {"other": "x"}, {"smtp_message": 5}])
def test_words_for_the_client_may_be_missing(messages: Any) -> None:
    assert read(messages=messages).message == ""


def test_words_for_the_client_are_one_printable_line() -> None:
    assert read(messages={"smtp_message": "a\r\n250 b\x00"}).message == "a  250 b"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"action": 5}', b"\xff", b'{"action":"x","symbols":[1]}', b"[" * 9999]
)
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_answer(body)


@given(st.binary(max_size=200))
def test_bytes_are_an_answer_or_an_error(body: bytes) -> None:
    try:
        parse_answer(body)
    except AnswerError:
        return


def test_wishes_are_bounded() -> None:
    wishes = {"add_headers": {f"X-{number}": "x" for number in range(1000)}}
    assert len(read(milter=wishes).added) == MAX_FIELDS


@pytest.mark.parametrize(
    ("action", "decision"),
    [
        ("no action", PROCEED),
        ("add header", JUNK),
        ("rewrite subject", JUNK),
        ("quarantine", JUNK),
        ("discard", PROCEED),
        ("something new", PROCEED),
        ("greylist", Reject(Reply(421, "Try again later", "4.7.1"))),
        ("soft reject", Reject(Reply(451, "Try again later", "4.7.1"))),
        ("reject", Reject(Reply(550, "message rejected", "5.7.1"))),
    ],
)
def test_each_action_means_something(action: str, decision: Decision) -> None:
    assert decision_of(Answer(action=action), reject=True) == decision


@pytest.mark.parametrize(
    ("action", "words", "reply"),
    [
        ("reject", "Gtube pattern", Reply(550, "Gtube pattern", "5.7.1")),
        ("reject", "5.7.26 no DMARC", Reply(550, "no DMARC", "5.7.26")),
        ("reject", "554 5.7.1 Spam", Reply(550, "Spam", "5.7.1")),
        ("soft reject", "4.7.0 slow down", Reply(451, "slow down", "4.7.0")),
        ("soft reject", "5.7.1 odd", Reply(451, "odd", "4.7.1")),
    ],
)
def test_a_refusal_says_what_rspamd_says(action: str, words: str, reply: Reply) -> None:
    assert decision_of(Answer(action=action, message=words), reject=True) == Reject(reply)


def test_a_refusal_may_be_junk_instead() -> None:
    assert decision_of(Answer(action="reject"), reject=False) == JUNK


def test_our_fields_say_what_rspamd_found_and_forged_ones_go() -> None:
    changes = changes_of(msgspec.structs.replace(read(milter={}), added=()), facts(), headers=True)
    assert b"".join(changes.prepend) == (
        b"X-Spam-Action: add header\r\nX-Spam-Score: 6.50 / 15.00\r\nX-Spam-Symbols: GTUBE(5.50),MISSING_DATE(1.00)\r\n"
    )
    assert FieldEdit("X-Spam-Score") in changes.edits


def test_many_symbols_are_folded() -> None:
    answer = read(symbols={f"SYMBOL_NUMBER_{number}": {"score": 1} for number in range(50)})
    field = changes_of(answer, facts(), headers=True).prepend[2]
    assert all(len(line) <= 90 for line in field.split(b"\r\n"))


def test_without_headers_only_rspamds_own_wishes_are_done() -> None:
    changes = changes_of(read(), facts(), headers=False)
    assert changes.prepend[0] == b"DKIM-Signature: v=1; a=rsa-sha256;\r\n\tb=abc\r\n"
    assert changes.edits == tuple(FieldEdit(name, place) for name, place in read().removed)
    assert changes.reverse_path == "new@example.test"


def test_the_subject_is_rewritten_in_ascii() -> None:
    changes = changes_of(read(action="rewrite subject", subject="*** SPAM *** Gr\u00fc\u00dfe"), facts(), headers=False)
    assert changes.edits[-1] == FieldEdit("Subject", 1, "=?utf-8?q?***_SPAM_***_Gr=C3=BC=C3=9Fe?=")
    assert changes_of(read(subject="x"), facts(), headers=False).edits[-1].name != "Subject"


def test_a_discarded_message_has_no_recipient_left() -> None:
    changes = changes_of(read(action="discard"), facts(recipients=["a@b.test", "c@b.test"]), headers=False)
    assert changes.remove_recipients == ("a@b.test", "c@b.test")
    assert changes.add_recipients == ()
