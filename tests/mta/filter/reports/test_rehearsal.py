"""A recorded session is asked about as it was when it was live."""

from __future__ import annotations

from typing import cast

import pytest

from paquebot_mta.config.filters import Phase
from paquebot_mta.filter.base import BaseFilter
from paquebot_mta.filter.chain import Chain, Member
from paquebot_mta.filter.contract import NO_CHANGES, Changes, Content, Facts
from paquebot_mta.filter.decisions import PROCEED, Decision
from paquebot_mta.filter.reports.recorded import read_line
from paquebot_mta.filter.reports.rehearsal import Asked, Rehearsal, Seen
from paquebot_mta.telemetry.bus import Bus

S = "7641df9771b4ed00"
LETTER = b"Subject: x\r\n\r\nx\r\n"
PHASES = frozenset(cast("tuple[Phase, ...]", ("connect", "mail-from", "rcpt-to", "data", "commit")))
BEGIN = (
    "link-connect|{S}|localhost|pass|127.0.0.1:38236|127.0.0.1:30025",
    "protocol-client|{S}|MAIL FROM:<a@b.test>",
    "tx-begin|{S}|508f4cf1",
    "tx-mail|{S}|508f4cf1|ok|a@b.test",
    "protocol-client|{S}|RCPT TO:<c@d.test>",
    "tx-rcpt|{S}|508f4cf1|ok|c@d.test",
)
END = ("tx-commit|{S}|508f4cf1|20", "tx-reset|{S}|508f4cf1", "protocol-client|{S}|QUIT", "link-disconnect|{S}")
OK, REFUSED = "tx-data|{S}|508f4cf1|ok", "tx-data|{S}|508f4cf1|permfail"


class Judge(BaseFilter):
    """Minds all, and notes what it was asked and what was told before that."""

    judges_content = True

    def __init__(self) -> None:
        super().__init__("judge", PHASES)
        self.asked: list[tuple[str, str]] = []

    async def decide(self, phase: Phase, facts: Facts, parameter: str) -> Decision:
        self.asked.append((phase, parameter))
        return PROCEED

    async def judge(self, facts: Facts, content: Content) -> tuple[Decision, Changes]:
        self.asked.append(("content", f"{content.size}"))
        return PROCEED, NO_CHANGES


async def _asked(*record: str) -> list[tuple[str, str]]:
    """Play a record to a filter, and give what it was asked."""
    judge, told = Judge(), list[Asked | Seen]()
    chain = Chain((Member(filter=judge),), lambda _: None, lambda: 0.0)
    lines = [f"report|0.7|1.000000|smtp-in|{line}".replace("{S}", S).encode() for line in record]
    await Rehearsal(chain, Bus(), told.append, [LETTER]).play([read_line(line, "mx") for line in lines])
    assert len(told) == len(judge.asked)
    return judge.asked


async def _of_transaction(*record: str) -> list[tuple[str, str]]:
    """Give what was asked of a transaction after its recipients."""
    return (await _asked(*BEGIN, *record, *END))[3:]


WHOLE = [("data", ""), ("content", f"{len(LETTER)}"), ("commit", "")]


@pytest.mark.parametrize(
    "record",
    [
        ("protocol-client|{S}|DATA", OK, "protocol-client|{S}|."),
        ("protocol-client|{S}|BDAT 20 LAST", OK),
        ("protocol-client|{S}|bdat 20 last", OK),
        ("protocol-client|{S}|BDAT 10", OK, "protocol-client|{S}|BDAT 10 LAST"),
        ("protocol-client|{S}|BDAT 10", OK, "protocol-client|{S}|BDAT 10", "protocol-client|{S}|BDAT 0 LAST"),
    ],
)
async def test_a_message_is_asked_about_whether_it_came_by_data_or_in_chunks(record: tuple[str, ...]) -> None:
    assert await _of_transaction(*record) == WHOLE


@pytest.mark.parametrize(
    ("record", "asked"),
    [
        (("protocol-client|{S}|BDAT 20 LAST", REFUSED), WHOLE[:1]),
        (("protocol-client|{S}|BDAT 9", REFUSED, "protocol-client|{S}|BDAT 9 LAST", REFUSED), WHOLE[:1] * 2),
        (("protocol-client|{S}|BDAT 10", OK, "protocol-client|{S}|RSET"), WHOLE[:1]),
        (("protocol-client|{S}|BDAT LAST",), []),
    ],
)
async def test_chunks_that_came_to_no_message_are_not_judged(
    record: tuple[str, ...], asked: list[tuple[str, str]]
) -> None:
    assert await _of_transaction(*record) == asked


@pytest.mark.parametrize(
    ("source", "parameter"),
    [
        ("[2001:db8::1]:38236", "localhost|[2001:db8::1]"),
        ("192.0.2.1:38236", "localhost|192.0.2.1"),
        ("unix:/run/mail.sock", "localhost|local"),
    ],
)
async def test_a_client_is_spelled_as_in_a_live_session(source: str, parameter: str) -> None:
    asked = await _asked(f"link-connect|{{S}}|localhost|pass|{source}|[2001:db8::2]:30025", END[-1])
    assert asked == [("connect", parameter)]


async def test_chunks_without_a_recipient_are_not_asked_about() -> None:
    asked = await _asked(*BEGIN[:4], "protocol-client|{S}|BDAT 20 LAST", *END[1:])
    assert [phase for phase, _ in asked] == ["connect", "mail-from"]


async def test_each_message_in_chunks_is_judged() -> None:
    chunk = ("protocol-client|{S}|BDAT 20 LAST", OK, *END[:2])
    asked = await _asked(*BEGIN, *chunk, *BEGIN[1:], *chunk, *END[2:])
    assert [phase for phase, _ in asked].count("content") == 2
