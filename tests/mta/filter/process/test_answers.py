"""What a filter says is an answer of the protocol, or a fault of its own."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.filter.decisions import JUNK, PROCEED, Decision, Disconnect, Reject, Rewrite, Say
from paquebot_mta.filter.process.answers import (
    INTERNAL_ERROR,
    ContentLine,
    ProtocolFault,
    Remark,
    Result,
    decision_of,
    parse_answer,
    reply_of,
)
from paquebot_mta.filter.process.buffer import LfBuffer
from paquebot_mta.filter.process.registration import Introduction, Registering
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.mail.reply import Reply

S = SessionId("7641df9771b4ed00")
KEY = b"7641df9771b4ed00|1ef1c203cc576e5d|"
TOKEN = 0x1EF1C203CC576E5D


def _result(rest: bytes) -> Result:
    answer = parse_answer(b"filter-result|" + KEY + rest, "0.7")
    assert isinstance(answer, Result)
    return answer


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (b"proceed", PROCEED),
        (b"junk", JUNK),
        (b"rewrite|<a|b@example.test>", Rewrite("<a|b@example.test>")),
        (b"report|hello | you", Say("hello | you")),
        (b"reject|550 go away", Reject(Reply(550, "go away"))),
        (b"reject|550 5.7.1 go away", Reject(Reply(550, "go away", "5.7.1"))),
        (b"reject|421 later", Disconnect(Reply(421, "later"))),
        (b"disconnect|550 5.7.1 go away", Disconnect(Reply(550, "go away", "5.7.1"))),
        (b"disconnect|421 4.3.0 bye", Disconnect(Reply(421, "bye", "4.3.0"))),
        (b"reject|250 fine", Disconnect(INTERNAL_ERROR)),
        (b"reject|", Disconnect(INTERNAL_ERROR)),
    ],
)
def test_results_mean_what_the_protocol_says(said: bytes, meant: Decision) -> None:
    assert decision_of(_result(said), "mail-from") == meant


@pytest.mark.parametrize(
    "text", ["", "550", "550 ", "55 no", "5500 no", "no", "250 ok", "650 x", "550-x", "\u0665\u0665\u0660 x"]
)
def test_a_text_that_is_no_refusal_becomes_an_internal_error(text: str) -> None:
    assert reply_of(text) == Reply(421, "Internal server error")


def test_an_enhanced_code_of_another_class_is_text() -> None:
    assert reply_of("450 5.7.1 later") == Reply(450, "5.7.1 later")
    assert reply_of("550 5.7.1") == Reply(550, "", "5.7.1")
    assert reply_of("550 5.7.1abc") == Reply(550, "5.7.1abc")


@pytest.mark.parametrize("head", ["550 ", "550 5.7.1 ", "450 5.7.1 "])
@pytest.mark.parametrize("text", ["x" * 2_000, "\u20ac" * 400, "x" + "\u20ac" * 400, "\U0001f600" * 300])
def test_a_reply_is_cut_to_the_length_of_a_line(head: str, text: str) -> None:
    encoded = reply_of(head + text).encode()
    assert 508 <= len(encoded) <= 512
    assert (head + text).startswith(encoded.decode().removesuffix("\r\n"))


def test_control_characters_of_a_filter_reach_nobody() -> None:
    assert _result(b"reject|550 a\rb\x00c\x1b[1m").parameter == "550 a?b?c?[1m"


def test_junk_in_commit_is_a_fault() -> None:
    with pytest.raises(ProtocolFault, match="junk"):
        decision_of(_result(b"junk"), "commit")


@pytest.mark.parametrize(
    "line",
    [
        b"", b"hello", b"filter-result", b"filter-result|1", b"filter-result|1|2", b"filter-result|x|2|proceed",
        b"filter-result||2|proceed", b"filter-result|1|-2|proceed", b"filter-result|1|2|maybe",
        b"filter-result|1|2|reject", b"filter-result|11111111111111111|2|proceed", b"filter-dataline|1|2",
        b"filter|0.7|1|smtp-in|helo|1|2|x", b"register|ready", b"FILTER-RESULT|1|2|proceed",
    ],
)  # fmt: skip
def test_what_is_no_answer_is_a_fault(line: bytes) -> None:
    with pytest.raises(ProtocolFault):
        parse_answer(line, "0.7")


def test_before_version_0_5_the_token_came_first() -> None:
    line = b"filter-result|1ef1c203cc576e5d|7641df9771b4ed00|proceed"
    assert parse_answer(line, "0.4") == Result(S, TOKEN, "proceed", "")
    assert parse_answer(b"filter-dataline|1ef1c203cc576e5d|7641df9771b4ed00|x", "0.4") == ContentLine(S, TOKEN, b"x")


def test_content_is_kept_as_bytes() -> None:
    assert parse_answer(b"filter-dataline|" + KEY + b"..\xff|\x00", "0.7") == ContentLine(S, TOKEN, b"..\xff|\x00")


def test_a_report_of_the_filter_s_own_is_a_remark() -> None:
    assert parse_answer(b"report|0.7|1|smtp-in|filter-report|x\x07", "0.7") == Remark("0.7|1|smtp-in|filter-report|x?")


@given(st.binary(max_size=80))
def test_any_line_is_an_answer_or_a_fault(line: bytes) -> None:
    for said in (line, b"filter-result|" + line, b"filter-result|" + KEY + line, b"filter-dataline|" + line):
        assert not {unicodedata.category(char) for char in _fault_of(said)} & {"Cc", "Cs", "Zl", "Zp"}


def _fault_of(line: bytes) -> str:
    try:
        answer = parse_answer(line, "0.7")
        if isinstance(answer, Result):
            decision_of(answer, "commit")
    except ProtocolFault as fault:
        return str(fault)
    return ""


@given(st.binary(max_size=200), st.lists(st.integers(1, 50)))
def test_where_chunks_are_cut_never_matters(data: bytes, sizes: list[int]) -> None:
    buffer, lines, at = LfBuffer(), [], 0
    for size in [*sizes, len(data)]:
        lines += buffer.feed(data[at : at + size])
        at += size
    assert lines == LfBuffer().feed(data)


def test_a_line_without_end_is_a_fault() -> None:
    buffer = LfBuffer(limit_bytes=100)
    assert buffer.feed(b"x" * 100) == []
    with pytest.raises(ProtocolFault, match="longer than 100"):
        buffer.feed(b"x")


def test_we_introduce_ourselves_in_a_fixed_order() -> None:
    told = Introduction(version="0.6", incoming=True, outgoing=True, admd="mx.example.test").encode().decode()
    first, *rest = told.splitlines()
    assert first.startswith("config|smtpd-version|")
    assert rest == [
        "config|protocol|0.6",
        "config|smtp-session-timeout|300",
        "config|subsystem|smtp-in",
        "config|subsystem|smtp-out",
        "config|admd|mx.example.test",
        "config|ready",
    ]


def test_a_filter_gets_what_it_registers_for() -> None:
    registering = Registering()
    for line in (b"register|report|smtp-in|tx-begin", b"register|report|smtp-out|*", b"register|filter|smtp-in|helo"):
        assert registering.take(line) is None
    assert registering.take(b"register|filter|smtp-in|wiz") is None
    registration = registering.take(b"register|ready")
    assert registration is not None
    assert registration.incoming == {"tx-begin"}
    assert len(registration.outgoing) == 19
    assert registration.phases == {"helo"}


@pytest.mark.parametrize(
    "line",
    [
        b"", b"hello", b"register|filter|smtp-out|helo", b"register|filter|smtp-in|nonsense",
        b"register|report|smtp-in|nonsense", b"register|report|smtp|tx-begin", b"register|ready|x",
        b"filter-result|1|2|proceed", b"register|report|smtp-in|tx-begin|x",
    ],
)  # fmt: skip
def test_what_is_no_registration_is_a_fault(line: bytes) -> None:
    with pytest.raises(ProtocolFault):
        Registering().take(line)


def test_a_filter_that_registers_for_ever_is_a_fault() -> None:
    registering = Registering()
    for _ in range(200):
        registering.take(b"register|filter|smtp-in|helo")
    with pytest.raises(ProtocolFault, match="never gets ready"):
        registering.take(b"register|filter|smtp-in|helo")
