"""What a next hop says, in any shape, and what it offers: the outcome is right and nothing hostile is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.support.dns_server import DnsServer
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Script, Transaction
from tests.support.loop_thread import in_thread
from tests.support.paquebot import Entry, Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, PaquebotSettings
from tests.support.processes import LOOPBACK

from .letters import blocks, inject, letter, reports, rule_for

pytestmark = pytest.mark.integration

SMALL_HOST, BARE_HOST = "127.0.0.2", "127.0.0.3"
ZONES = {
    "far.test": {"A": [LOOPBACK]},
    "small.test": {"A": [SMALL_HOST]},
    "bare.test": {"A": [BARE_HOST]},
}
SHOWN_CHARACTERS = 1_020
"""What the queue and reports show of a reply, codes included."""
LOGGED_CHARACTERS = 2_048
_HOSTILE = "\x1b]0;owned\x07\x1b[31m \u202eevil\u202c \u2066bidi\u2069 \x9b31m \u2028 end"


@dataclass(frozen=True)
class Shape:
    """A reply to RCPT, and what must come of it: the outcome's event, its code, its status and a part of its text."""

    reply: str
    event: str
    code: int
    status: str
    shown: str

    @property
    def is_final(self) -> bool:
        """Whether the mail has left the queue."""
        return self.event != "delivery.tempfail"


def _many(code: int, status: str) -> str:
    lines = [f"{code}-{status} line {number} {'x' * 60}" for number in range(900)]
    return "\r\n".join([*lines, f"{code} {status} the end"])


def _failed(reply: str, status: str, shown: str) -> Shape:
    return Shape(reply, "delivery.permfail", 550, status, shown)


def _later(reply: str, status: str, shown: str, code: int = 450) -> Shape:
    return Shape(reply, "delivery.tempfail", code, status, shown)


SHAPES = {
    "long-550": _failed(_many(550, "5.7.1"), "5.7.1", "line 0 xxx"),
    "long-450": _later(_many(450, "4.7.1"), "4.7.1", "line 0 xxx"),
    "hostile-550": _failed(f"550 5.7.1 {_HOSTILE}", "5.7.1", "evil"),
    "hostile-450": _later(f"450 4.7.1 {_HOSTILE}", "4.7.1", "evil"),
    "utf8": _failed("550 5.1.1 Empfänger unbekannt: 没有这个人", "5.1.1", "unbekannt"),
    "latin1": _failed("550 5.1.1 Empf\udce4nger unbekannt", "5.1.1", "Empf?nger"),
    "markup": _failed("550 5.1.1 <b>%s {0} $(id) `id` \\x41</b>", "5.1.1", "$(id)"),
    "field-like": _failed("550-5.1.1 no\r\n550-\r\n550 Action: delivered", "5.1.1", "no"),
    "no-text": _failed("550", "", "550"),
    "only-space": _failed("550 ", "", "550"),
    "only-status": _failed("550 5.1.1", "5.1.1", "550 5.1.1"),
    "other-class": _failed("550 2.0.0 fine", "", "2.0.0 fine"),
    "too-far": _failed("550 5.1.1111 odd", "", "odd"),
    "forwarded": Shape("251 2.1.5 will forward", "delivery.delivered", 250, "2.0.0", "taken"),
    "code-650": _later("650 what", "4.5.0", "does not speak SMTP", 451),
    "code-150": _later("150 what", "4.5.0", "does not speak SMTP", 451),
    "two-digits": _later("55 what", "4.5.0", "does not speak SMTP", 451),
    "bare-cr": _later("550 5.1.1 a\rb", "4.5.0", "does not speak SMTP", 451),
    "changing": _later("550-5.1.1 no\r\n250 2.1.5 yes", "4.5.0", "does not speak SMTP", 451),
}


@pytest.fixture(scope="module")
def dns() -> Iterator[DnsServer]:
    with in_thread(DnsServer(ZONES)) as server:
        yield server


@pytest.fixture(scope="module")
def far_mx() -> Iterator[FakeMx]:
    replies = {f"RCPT {name}@far.test": shape.reply for name, shape in SHAPES.items()}
    with in_thread(FakeMx(Script(replies, hostname="mx.far.test"))) as server:
        yield server


@pytest.fixture(scope="module")
def peers(far_mx: FakeMx) -> Iterator[dict[str, FakeMx]]:
    """One next hop that takes 2,000 bytes at most, one that only knows what RFC 5321 demands."""
    small = Script(hostname="small.test", extensions=("SIZE 2000", "PIPELINING"))
    bare = Script(hostname="bare.test", extensions=())
    with ExitStack() as stack:
        yield {
            "small": stack.enter_context(in_thread(FakeMx(small, host=SMALL_HOST, port=far_mx.port))),
            "bare": stack.enter_context(in_thread(FakeMx(bare, host=BARE_HOST, port=far_mx.port))),
        }


@pytest.fixture(scope="module")
def paquebot(directory: Path, settings: PaquebotSettings, peers: dict[str, FakeMx]) -> Iterator[Paquebot]:
    chosen = replace(settings, rules=(rule_for("relay", *ZONES),))
    with running_paquebot(directory / "paquebot", chosen) as running:
        yield running


@pytest.fixture(scope="module")
def outcomes(paquebot: Paquebot) -> dict[str, Entry]:
    """The first log line about each shape; all are sent before."""
    ids = {name: inject(paquebot, ALICE, [f"{name}@far.test"], letter(f"shape-{name}")) for name in SHAPES}
    paquebot.wait_for(lambda: all(_outcomes(paquebot, msgid) for msgid in ids.values()), "all first outcomes", 30.0)
    return {name: _outcomes(paquebot, msgid)[0] for name, msgid in ids.items()}


def _outcomes(paquebot: Paquebot, msgid: str) -> list[Entry]:
    ends = {"delivery.delivered", "delivery.tempfail", "delivery.permfail"}
    return [line for line in paquebot.log_lines(msgid=msgid) if line["event"] in ends]


def is_harmless(text: str, characters: int = SHOWN_CHARACTERS) -> bool:
    """Whether a terminal, a log or a mail program may be given that text."""
    return text.isprintable() and len(text) <= characters


# What it says.


@pytest.mark.parametrize("name", SHAPES)
def test_a_reply_of_any_shape_has_the_right_outcome(outcomes: dict[str, Entry], name: str) -> None:
    line, shape = outcomes[name], SHAPES[name]
    assert (line["event"], line["code"], line["status"]) == (shape.event, shape.code, shape.status)
    assert shape.shown in line["stat"]
    assert is_harmless(line["stat"], LOGGED_CHARACTERS)


def test_the_log_has_no_control_character(paquebot: Paquebot, outcomes: dict[str, Entry]) -> None:
    assert len(outcomes) == len(SHAPES)
    for line in paquebot.log_path.read_text().splitlines():
        assert line.isprintable()


def test_the_queue_shows_what_is_harmless(paquebot: Paquebot, outcomes: dict[str, Entry]) -> None:
    waiting = {name for name, shape in SHAPES.items() if not shape.is_final}
    entries = {str(each["recipient"]).partition("@")[0]: each for each in paquebot.queue()}
    assert waiting <= entries.keys()
    for name in waiting:
        assert SHAPES[name].shown in entries[name]["error"]
        assert is_harmless(entries[name]["error"])
    table = paquebot.cli("show", "queue").checked().stdout.decode()
    assert all(line.isprintable() for line in table.splitlines())


@pytest.mark.parametrize("name", [name for name, shape in SHAPES.items() if shape.event == "delivery.permfail"])
def test_a_report_quotes_what_is_harmless(paquebot: Paquebot, outcomes: dict[str, Entry], name: str) -> None:
    (report,) = reports(paquebot, f"shape-{name}")
    _, recipient = blocks(report)
    assert recipient["Final-Recipient"] == f"rfc822; {name}@far.test"
    assert (recipient["Action"], recipient["Status"]) == ("failed", SHAPES[name].status or "5.0.0")
    assert recipient.keys().count("Action") == 1
    said = recipient["Diagnostic-Code"].replace("\n", "")
    assert said.startswith("smtp; 550")
    assert is_harmless(said)
    raw = report.as_bytes()
    assert raw.isascii()
    assert all(len(line) <= 998 for line in raw.splitlines())
    assert not ({*range(32), 127} - {9, 10, 13}) & set(raw)


# What it offers.


def arrived(paquebot: Paquebot, server: FakeMx, subject: str) -> Transaction:
    """Wait for a message at a next hop."""
    marker = f"Subject: {subject}\r\n".encode()
    paquebot.wait_for(lambda: any(marker in each for each in server.contents), f"{subject} at the next hop")
    (found,) = [each for each in server.transactions if marker in each.content]
    return found


def failure(paquebot: Paquebot, msgid: str) -> Entry:
    """Wait for the failure of a message."""
    return paquebot.wait_for_log("delivery.permfail", msgid=msgid)[0]


def test_a_message_too_large_for_the_peer_is_never_sent(paquebot: Paquebot, peers: dict[str, FakeMx]) -> None:
    msgid = inject(paquebot, ALICE, ["x@small.test"], letter("too-large", "z" * 70 + "\r\n" + "z" * 900 + "\r\n" * 800))
    line = failure(paquebot, msgid)
    assert (line["code"], line["status"]) == (552, "5.3.4")
    assert [each for session in peers["small"].sessions for each in session.verbs() if each == "MAIL"] == []
    (report,) = reports(paquebot, "too-large")
    assert blocks(report)[1]["Status"] == "5.3.4"


def test_a_message_that_fits_says_its_size(paquebot: Paquebot, peers: dict[str, FakeMx]) -> None:
    inject(paquebot, f"{ALICE} BODY=8BITMIME", ["x@small.test"], letter("fits", "grüße"))
    found = arrived(paquebot, peers["small"], "fits")
    # 8-bit content goes as it is to who does not offer 8BITMIME, but without the parameter.
    assert found.sender.parameters == (f"SIZE={len(found.content)}",)
    assert "grüße".encode() in found.content


def test_eight_bit_content_is_declared_where_that_is_known(paquebot: Paquebot, far_mx: FakeMx) -> None:
    inject(paquebot, f"{ALICE} BODY=8BITMIME", ["x@far.test"], letter("eight", "grüße"))
    assert "BODY=8BITMIME" in arrived(paquebot, far_mx, "eight").sender.parameters


def test_a_server_without_any_extension_gets_no_parameter(paquebot: Paquebot, peers: dict[str, FakeMx]) -> None:
    mail = f"{ALICE} BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=X SIZE=500"
    inject(paquebot, mail, ["x@bare.test NOTIFY=FAILURE ORCPT=rfc822;x@bare.test"], letter("bare"))
    found = arrived(paquebot, peers["bare"], "bare")
    assert (found.sender.parameters, found.recipients[0].parameters) == ((), ())
    assert not peers["bare"].sessions[-1].has_pipelined


@pytest.mark.parametrize(
    ("subject", "mail", "recipient", "header"),
    [
        ("utf8-recipient", ALICE, "grüße@bare.test", b""),
        ("utf8-header", ALICE, "x@bare.test", "X-Name: Grüße\r\n".encode()),
        ("utf8-sender", "jörg@far.test", "x@bare.test", b""),
    ],
)
def test_what_needs_smtputf8_fails_where_it_is_not_offered(
    paquebot: Paquebot, peers: dict[str, FakeMx], subject: str, mail: str, recipient: str, header: bytes
) -> None:
    msgid = inject(paquebot, f"{mail} SMTPUTF8", [recipient], header + letter(subject))
    line = failure(paquebot, msgid)
    assert (line["code"], line["status"]) == (553, "5.6.7")
    assert not [each for each in peers["bare"].contents if subject.encode() in each]


def test_smtputf8_that_is_asked_for_and_not_needed_stops_nothing(
    paquebot: Paquebot, far_mx: FakeMx, peers: dict[str, FakeMx]
) -> None:
    content = letter("not-needed", "grüße in the body only")
    inject(paquebot, f"{ALICE} SMTPUTF8 BODY=8BITMIME", ["x@bare.test", "x@far.test"], content)
    assert arrived(paquebot, peers["bare"], "not-needed").sender.parameters == ()
    assert "SMTPUTF8" in arrived(paquebot, far_mx, "not-needed").sender.parameters
