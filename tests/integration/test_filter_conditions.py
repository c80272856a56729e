"""Conditions of filters in a real MTA: clients of any address, by the PROXY protocol, with names in a real DNS."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from paquebot_mta.config.filters import Builtin, Criterion, Dnsbl, DnsList, Filter, FilterAction, Phase, SenderScore
from paquebot_mta.config.listeners import Listener, ProxyProtocol
from paquebot_mta.config.tables import Inline, Table
from tests.support.dns_server import DnsServer
from tests.support.loop_thread import in_thread
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, BOB, PASSWORD, PaquebotSettings
from tests.support.processes import LOOPBACK, free_port
from tests.support.smtp_client import SmtpClient

pytestmark = pytest.mark.integration

JOE = "joe@client.test"
KNOWN, LIAR, UNKNOWN, SIX = "192.0.2.7", "192.0.2.8", "192.0.2.9", "2001:db8::7"
LISTED_SIX, LOW, MIDDLE = "2001:db8::bad", "192.0.2.10", "192.0.2.60"
_SIX_REVERSED = ".".join(reversed("20010db8000000000000000000000007"))
_LISTED_REVERSED = ".".join(reversed("20010db8000000000000000000000bad"))
ZONES = {
    "7.2.0.192.in-addr.arpa": {"PTR": ["mail.client.test."]},
    "mail.client.test": {"A": [KNOWN]},
    "8.2.0.192.in-addr.arpa": {"PTR": ["liar.client.test."]},
    "liar.client.test": {"A": ["192.0.2.99"]},
    f"{_SIX_REVERSED}.ip6.arpa": {"PTR": ["six.client.test."]},
    "six.client.test": {"AAAA": [SIX]},
    f"{_LISTED_REVERSED}.bl.test": {"A": ["127.0.0.4"]},
    "9.2.0.192.bl.test": {"A": ["127.0.0.2"]},
    "9.2.0.192.light.test": {"A": ["127.0.0.9"]},
    "10.2.0.192.score.test": {"A": ["127.0.4.10"]},
    "60.2.0.192.score.test": {"A": ["127.0.4.60"]},
}
TABLES = {
    "networks": Table(services=("netaddr",), inline=Inline(keys=("192.0.2.0/29", "2001:db8::/64"))),
    "senders": Table(services=("mailaddr",), inline=Inline(keys=("@listed.test",))),
    "recipients": Table(services=("mailaddr",), inline=Inline(keys=(BOB,))),
    "names": Table(services=("domain",), inline=Inline(keys=("*.client.test",))),
    "some": Table(services=("string",), inline=Inline(keys=(ALICE,))),
}


@dataclass(frozen=True)
class Asked:
    """A condition, and who is met by it or not; the filter looks only at clients that call themselves by its name."""

    name: str
    criterion: Criterion
    phase: Phase = "mail-from"
    client: str = UNKNOWN
    sender: str = JOE
    recipient: str = ALICE
    met: bool = True


def _not(criterion: Criterion) -> Criterion:
    return Criterion(kind="not", items=(criterion,))


FCRDNS, RDNS = Criterion(kind="fcrdns"), Criterion(kind="rdns")
IN_DOMAIN = Criterion(kind="rdns", values=("*.client.test",))
BY_REGEX = Criterion(kind="rdns", values=(r"^mail\.",), regex=True)
BY_TABLE = Criterion(kind="rdns", table="names")
NETWORK = Criterion(kind="src", values=("192.0.2.0/29", "2001:db8::/32"))
NETWORKS = Criterion(kind="src", table="networks")
SENDER, NEWS = Criterion(kind="mail-from", values=("@bad.test",)), r"^news-"
TO_BOB = Criterion(kind="rcpt-to", values=(BOB,))
JOINED = Criterion(kind="all", items=(Criterion(kind="any", items=(FCRDNS, SENDER)), _not(BY_REGEX)))
ASKED = [
    *(Asked("fcrdns", FCRDNS, client=each, met=each in {KNOWN, SIX}) for each in (KNOWN, LIAR, UNKNOWN, SIX)),
    *(Asked("rdns", RDNS, client=each, met=each in {KNOWN, SIX}) for each in (KNOWN, UNKNOWN, SIX)),
    *(Asked("rdns-values", IN_DOMAIN, client=each, met=each in {KNOWN, SIX}) for each in (KNOWN, UNKNOWN, SIX)),
    *(Asked("rdns-regex", BY_REGEX, client=each, met=each == KNOWN) for each in (KNOWN, SIX, UNKNOWN)),
    *(Asked("rdns-table", BY_TABLE, client=each, met=each in {KNOWN, SIX}) for each in (KNOWN, SIX, UNKNOWN)),
    *(Asked("src", NETWORK, client=each, met=each in {KNOWN, SIX}) for each in (KNOWN, LIAR, SIX)),
    *(Asked("src-table", NETWORKS, client=each, met=each in {KNOWN, SIX}) for each in (KNOWN, LIAR, SIX)),
    Asked("helo", Criterion(kind="helo", values=("other.test",)), met=False),
    Asked("helo-values", Criterion(kind="helo", values=("*-VALUES.test",))),
    Asked("helo-regex", Criterion(kind="helo", values=(r"^helo-r.*\.test$",), regex=True)),
    *(Asked("sender", SENDER, sender=each, met=each == "x@bad.test") for each in ("x@bad.test", JOE)),
    *(Asked("sender-regex", Criterion(kind="mail-from", values=(NEWS,), regex=True), sender=each,
            met=each.startswith("news")) for each in ("news-1@a.test", "old-news-1@a.test")),
    *(Asked("sender-table", Criterion(kind="mail-from", table="senders"), sender=each, met=each != JOE)
      for each in ("a@listed.test", JOE)),
    *(Asked("rcpt", TO_BOB, "rcpt-to", recipient=each, met=each == BOB) for each in (ALICE, BOB)),
    *(Asked("rcpt-regex", Criterion(kind="rcpt-to", values=("^b",), regex=True), "rcpt-to", recipient=each,
            met=each == BOB) for each in (ALICE, BOB)),
    *(Asked("rcpt-table", Criterion(kind="rcpt-to", table="recipients"), "rcpt-to", recipient=each, met=each == BOB)
      for each in (ALICE, BOB)),
    *(Asked("not", _not(FCRDNS), client=each, met=each != KNOWN) for each in (KNOWN, UNKNOWN, LIAR)),
    Asked("joined", JOINED, client=KNOWN, met=False),
    Asked("joined", JOINED, client=SIX),
    Asked("joined", JOINED, client=UNKNOWN, met=False),
    Asked("joined", JOINED, client=UNKNOWN, sender="x@bad.test"),
]  # fmt: skip
USERS = {
    "auth": (Criterion(kind="auth"), {ALICE, BOB}),
    "auth-values": (Criterion(kind="auth", values=(ALICE,)), {ALICE}),
    "auth-regex": (Criterion(kind="auth", values=("^bob",), regex=True), {BOB}),
    "auth-table": (Criterion(kind="auth", table="some"), {ALICE}),
}


def refusing(name: str, criterion: Criterion, phase: Phase = "mail-from") -> Filter:
    """Refuse whom a condition meets, among those who call themselves by its name."""
    own = Criterion(kind="helo", values=(f"{name}.test",))
    when = Criterion(kind="all", items=(own, criterion))
    return Filter(kind=Builtin(phase=phase, when=when, action=FilterAction(kind="reject", text=name)))


FILTERS = {
    **{each.name: refusing(each.name, each.criterion, each.phase) for each in ASKED},
    **{name: refusing(name, criterion) for name, (criterion, _) in USERS.items()},
    "lists": Filter(
        kind=Dnsbl(lists=(DnsList(zone="bl.test", weight=3, codes=("127.0.0.4",)), DnsList(zone="light.test")),
                   threshold=3)
    ),
    "scores": Filter(
        kind=SenderScore(zone="score.test", block_below=20, block_phase="mail-from", junk_below=80, header=True)
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def filtered(directory: Path, settings: PaquebotSettings, port: int) -> Iterator[Paquebot]:
    with in_thread(DnsServer(ZONES)) as dns:
        proxied = Listener(
            name="proxied", address=LOOPBACK, port=port, proxy_protocol=ProxyProtocol(trusted=("127.0.0.0/8",)),
            filters=tuple(FILTERS),
        )  # fmt: skip
        chosen = replace(
            settings, resolver_port=dns.port, tables=TABLES, filters=FILTERS, listeners=(proxied,),
            listener_filters=tuple(USERS),
        )  # fmt: skip
        with running_paquebot(directory / "conditions", chosen) as running:
            yield running


def connected(port: int, address: str) -> SmtpClient:
    """Come from any address."""
    client = SmtpClient(port)
    family, ours = ("TCP6", "2001:db8::1") if ":" in address else ("TCP4", "192.0.2.1")
    client.send(f"PROXY {family} {address} {ours} 4711 25\r\n".encode())
    return client


@pytest.mark.parametrize("asked", ASKED, ids=lambda each: f"{each.name} {each.client} {each.sender} {each.recipient}")
def test_a_condition_meets_whom_it_names(asked: Asked, filtered: Paquebot, port: int) -> None:
    with connected(port, asked.client) as client:
        client.expect("220")
        client.command(f"EHLO {asked.name}.test", "250")
        replies = {}
        for phase, line in (("mail-from", f"MAIL FROM:<{asked.sender}>"), ("rcpt-to", f"RCPT TO:<{asked.recipient}>")):
            client.line(line)
            replies[phase] = client.reply().last
            if replies[phase][0] != "2":
                break
    if asked.met:
        assert replies[asked.phase] == f"550 5.7.1 {asked.name}"
    else:
        assert [each[:3] for each in replies.values()] == ["250", "250"]


@pytest.mark.parametrize("user", [ALICE, BOB])
@pytest.mark.parametrize("name", USERS)
def test_a_condition_knows_users(name: str, user: str, filtered: Paquebot) -> None:
    with SmtpClient(filtered.ports.submission) as client:
        client.expect("220")
        client.command(f"EHLO {name}.test", "250")
        client.command("STARTTLS", "220")
        client.start_tls()
        client.command(f"EHLO {name}.test", "250")
        secret = base64.b64encode(f"\0{user}\0{PASSWORD}".encode()).decode()
        client.command(f"AUTH PLAIN {secret}", "235")
        client.command(f"MAIL FROM:<{user}>", f"550 5.7.1 {name}" if user in USERS[name][1] else "250")


def test_lists_count_by_weight_and_code_for_both_families(filtered: Paquebot, port: int) -> None:
    with connected(port, LISTED_SIX) as client:
        client.expect(f"550 5.7.1 Your address is listed ({LISTED_SIX}: bl.test)")
        client.expect_end()
    with connected(port, UNKNOWN) as client:
        # One list names it with a code that doesn't count, the other one is too light.
        client.expect("220")
    with connected(port, SIX) as client:
        client.expect("220")


def test_scores_block_mark_and_are_written_down(filtered: Paquebot, port: int) -> None:
    with connected(port, LOW) as client:
        client.expect("220")
        client.command("EHLO low.test", "250")
        client.command(f"MAIL FROM:<{JOE}>", "550 5.7.1")
    with connected(port, MIDDLE) as client:
        client.expect("220")
        for line, reply in (
            ("EHLO middle.test", "250"), (f"MAIL FROM:<{JOE}>", "250"), (f"RCPT TO:<{ALICE}>", "250"), ("DATA", "354"),
            ("Subject: middle\r\n\r\nx\r\n.", "250"),
        ):  # fmt: skip
            client.command(line, reply)
    (found,) = filtered.wait_for_delivered(ALICE, b"Subject: middle\n")
    front = found.split(b"Received: ")[0]
    assert b"X-Spam: yes\n" in front
    assert b"X-SenderScore: 60\n" in front
