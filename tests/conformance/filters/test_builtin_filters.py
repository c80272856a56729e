"""Built-in filters as smtpd.conf(5) spells them under Debian's OpenSMTPD, the same ones as MailFilters under Paquebot.

A program behind them in the chain is told the same by both, and what golden traces of OpenSMTPD say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from paquebot_mta.config.filters import Builtin, Criterion, Filter, FilterAction, Phase
from tests.support.unpacked import needs_unpacked

from .conftest import Server, needs_python, running_pair
from .dialogs import CONTENT, Step
from .differences import mend

pytestmark = [pytest.mark.integration, needs_unpacked("opensmtpd"), needs_python, pytest.mark.timeout(120)]


@dataclass(frozen=True)
class Both:
    """One filter in both spellings."""

    theirs: str
    ours: Filter


def both(theirs: str, phase: Phase, kind: str, value: str, action: FilterAction) -> Both:
    when = Criterion(kind=kind, values=(value,))  # type: ignore[arg-type]
    return Both(
        f"phase {phase} match {theirs.replace('VALUE', value)}",
        Filter(kind=Builtin(phase=phase, when=when, action=action)),
    )


def refuse(kind: str, text: str, code: int = 550) -> FilterAction:
    return FilterAction(kind=kind, code=code, status="", text=text)  # type: ignore[arg-type]


FILTERS: Mapping[str, Both] = {
    "far": both('src "VALUE" disconnect "550 GO AWAY"', "connect", "src", "127.0.0.8", refuse("disconnect", "GO AWAY")),
    "odd": both('src "VALUE" junk', "connect", "src", "127.0.0.7", FilterAction(kind="junk")),
    "name": both('helo "VALUE" reject "550 no name"', "ehlo", "helo", "liar.test", refuse("reject", "no name")),
    "friend": both('mail-from "VALUE" bypass', "mail-from", "mail-from", "@friend.test", FilterAction(kind="bypass")),
    "told": both(
        'mail-from "VALUE" report "seen|him"', "mail-from", "mail-from", "@told.test",
        FilterAction(kind="report", text="seen|him"),
    ),
    "spam": both('mail-from "VALUE" junk', "mail-from", "mail-from", "@spam.test", FilterAction(kind="junk")),
    "gone": both(
        'mail-from "VALUE" disconnect "550 GO AWAY"', "mail-from", "mail-from", "@gone.test",
        refuse("disconnect", "GO AWAY"),
    ),
    "list": both(
        'rcpt-to "VALUE" rewrite "<alice@far.test>"', "rcpt-to", "rcpt-to", "list@far.test",
        FilterAction(kind="rewrite", value="<alice@far.test>"),
    ),
    "trap": both('rcpt-to "VALUE" junk', "rcpt-to", "rcpt-to", "trap@far.test", FilterAction(kind="junk")),
    "never": both(
        'rcpt-to "VALUE" reject "550 never"', "rcpt-to", "rcpt-to", "never@far.test", refuse("reject", "never")
    ),
    "late": both(
        'mail-from "VALUE" reject "554 late"', "commit", "mail-from", "@late.test", refuse("reject", "late", 554)
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Play:
    """A dialog, and the lines about filters' decisions that aren't `proceed`, in their order."""

    steps: tuple[Step, ...]
    golden: tuple[str, ...]
    source: str = ""
    greeting: str = "220"


def message(sender: str, *recipients: Step, ending: str = "250") -> tuple[Step, ...]:
    return ((f"MAIL FROM:<{sender}>", "250"), *recipients, ("DATA", "354"), (CONTENT, ending))


HELLO, BYE, BOB = ("EHLO client.test", "250"), ("QUIT", "221"), ("RCPT TO:<b@far.test>", "250")
PLAYS: Mapping[str, Play] = {
    "GO AWAY at connect": Play((), ("connected|disconnect|550 GO AWAY",), "127.0.0.8", "550"),
    "junk at connect marks all messages": Play(
        (HELLO, *message("a@else.test", BOB), *message("b@else.test", BOB), BYE), ("connected|junk",), "127.0.0.7"
    ),
    "a refused name": Play((("EHLO liar.test", "550"), HELLO, BYE), ("ehlo|reject|550 no name",)),
    "a friend is asked nothing more": Play((HELLO, *message("a@friend.test", BOB), BYE), ()),
    "a report goes on": Play((HELLO, *message("a@told.test", BOB), BYE), ("builtin|told|seen|him",)),
    "junk at MAIL marks later messages": Play(
        (HELLO, *message("a@spam.test", BOB), *message("a@else.test", BOB), BYE), ("mail-from|junk",)
    ),
    "GO AWAY at MAIL": Play(
        (HELLO, ("MAIL FROM:<a@gone.test>", "550")), ("mail-from|disconnect|550 GO AWAY",)
    ),
    "a rewritten recipient": Play(
        (HELLO, *message("a@else.test", ("RCPT TO:<list@far.test>", "250")), BYE), ("rcpt-to|rewrite|<alice@far.test>",)
    ),
    "junk at RCPT marks one message": Play(
        (HELLO, *message("a@else.test", ("RCPT TO:<trap@far.test>", "250")), *message("a@else.test", BOB), BYE),
        ("rcpt-to|junk",),
    ),
    "one recipient is refused": Play(
        (HELLO, *message("a@else.test", ("RCPT TO:<never@far.test>", "550"), BOB), BYE), ("rcpt-to|reject|550 never",)
    ),
    "a message is refused at its end": Play(
        (HELLO, *message("a@late.test", BOB, ending="554"), BYE), ("commit|reject|554 late",)
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server, Server]]:
    ours = {name: each.ours for name, each in FILTERS.items()}
    with running_pair({name: each.theirs for name, each in FILTERS.items()}, ours) as pair:
        yield pair


@pytest.mark.parametrize("name", PLAYS)
def test_a_built_in_filter_does_what_it_does_in_opensmtpd(name: str, servers: tuple[Server, Server, Server]) -> None:
    theirs, mx, _ = servers
    play = PLAYS[name]
    them, us = (server.told(play.steps, play.source, play.greeting) for server in (theirs, mx))
    mend(name, them, us)
    assert us.questions == them.questions
    assert us.content == them.content
    assert us.reports == them.reports
    decided = [line.partition("|")[2] for line in us.reports if line.startswith(("filter-response", "filter-report"))]
    assert tuple(each for each in decided if not each.endswith("|proceed")) == play.golden
