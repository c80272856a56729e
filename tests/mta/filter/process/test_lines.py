"""What a filter is told is in the protocol's order, and no field breaks out of its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.filter.process.lines import (
    Version,
    content_lines,
    fields_of,
    question_head,
    question_line,
    report_line,
)
from paquebot_mta.mail.ids import Msgid, SessionId
from paquebot_mta.telemetry.events import (
    FilterReport,
    LinkAuth,
    LinkConnect,
    LinkDisconnect,
    ProtocolClient,
    Report,
    TxMail,
    TxRcpt,
)

S = SessionId("7641df9771b4ed00")
M = Msgid("508f4cf1")


def _mail(address: str) -> TxMail:
    return TxMail(direction="in", session=S, endpoint="mx", msgid=M, result="ok", address=address)


def test_a_report_is_spelled_as_in_opensmtpd() -> None:
    event = LinkConnect(
        direction="in", session=S, endpoint="mx", rdns="localhost", fcrdns="pass",
        source="127.0.0.1:38236", destination="127.0.0.1:30025",
    )  # fmt: skip
    expected = (
        b"report|0.7|1576146008.006099|smtp-in|link-connect|7641df9771b4ed00|"
        b"localhost|pass|127.0.0.1:38236|127.0.0.1:30025\n"
    )
    assert report_line(event, 1576146008.006099) == expected


def test_a_report_without_parameters_ends_with_the_session() -> None:
    event = LinkDisconnect(direction="out", session=S, endpoint="relay")
    assert report_line(event, 1.5) == b"report|0.7|1.500000|smtp-out|link-disconnect|7641df9771b4ed00\n"


def test_a_question_has_token_and_an_empty_parameter_stays_a_field() -> None:
    assert question_line("data", S, 0x1EF1C203CC576E5D, "", 2.25, "0.7") == (
        b"filter|0.7|2.250000|smtp-in|data|7641df9771b4ed00|1ef1c203cc576e5d|\n"
    )


def test_content_is_stuffed_and_has_no_cr() -> None:
    head = question_head("data-line", S, 1, 0.0, "0.7")
    lines = content_lines(head, b"Subject: a|b\r\n\r\n.dot\r\n..\r\n").split(b"\n")
    assert lines == [head + b"Subject: a|b", head, head + b"..dot", head + b"...", b""]


@pytest.mark.parametrize(
    ("version", "mail", "auth"),
    [
        ("0.4", (M, "a@example.test", "ok"), ("joe", "pass")),
        ("0.5", (M, "a@example.test", "ok"), ("joe", "pass")),
        ("0.6", (M, "ok", "a@example.test"), ("joe", "pass")),
        ("0.7", (M, "ok", "a@example.test"), ("pass", "joe")),
    ],
)
def test_each_version_has_its_order_of_fields(version: Version, mail: tuple[str, ...], auth: tuple[str, ...]) -> None:
    assert fields_of(_mail("a@example.test"), version) == mail
    rcpt = TxRcpt(direction="in", session=S, endpoint="mx", msgid=M, result="ok", address="a@example.test")
    assert fields_of(rcpt, version) == mail
    assert fields_of(LinkAuth(direction="in", session=S, endpoint="mx", result="pass", username="joe"), version) == auth


def test_only_the_last_field_may_hold_a_bar() -> None:
    event = FilterReport(direction="in", session=S, endpoint="mx", kind="proc", filter="a|b", message="c|d")
    assert report_line(event, 0.0).endswith(b"|proc|a?b|c|d\n")
    assert report_line(_mail("a|b@example.test"), 0.0).endswith(b"|ok|a|b@example.test\n")
    assert report_line(_mail("a|b@example.test"), 0.0, "0.5").endswith(b"|a?b@example.test|ok\n")


_EVIL = st.text(st.characters(codec=None), max_size=40)


@given(_EVIL, _EVIL)
def test_no_text_breaks_out_of_its_line(first: str, second: str) -> None:
    events: tuple[Report, ...] = (
        ProtocolClient(direction="in", session=S, endpoint="mx", command=first),
        FilterReport(direction="in", session=S, endpoint="mx", kind="proc", filter=first, message=second),
    )
    for event in events:
        for line in (report_line(event, 0.0), question_line("helo", S, 1, first, 0.0, "0.7")):
            assert line.count(b"\n") == 1
            assert not [byte for byte in line[:-1] if byte < 32 or byte == 127]
    assert report_line(events[1], 0.0).split(b"|", 7)[6] == b"proc"
