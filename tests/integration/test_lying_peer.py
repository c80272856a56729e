"""A next hop that drops, stalls, resets or lies at every phase: no loss, and no double but the one that is told."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from paquebot_mta.config.actions import Action, Relay, RelayAuth
from paquebot_mta.config.rules import For, From, Match, Pattern, Rule
from paquebot_mta.config.service import OutboundLimits, OutboundTimeouts, Penalties
from paquebot_mta.config.tables import Inline, Table
from tests.support.certificates import CertificateAuthority
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Script, Transaction
from tests.support.loop_thread import in_thread
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, PaquebotSettings
from tests.support.processes import LOOPBACK
from tests.support.smtp_client import SmtpClient

from .lies import Expected, Lie, lies

pytestmark = pytest.mark.integration

LIES = tuple(lies())
# The longer ones leave a good server the time to take 8 MB on a busy machine.
TIMEOUTS = OutboundTimeouts(connect=1, banner=1, command=1, mail=1, recipient=1, data=1, block=3, final_dot=5)
WAIT_SECONDS = 45.0

Servers = dict[str, FakeMx]


@asynccontextmanager
async def liars(tls: ssl.SSLContext) -> AsyncIterator[Servers]:
    """Run all the servers in one event loop."""
    async with AsyncExitStack() as stack:
        yield {each.name: await stack.enter_async_context(FakeMx(_script(each, tls))) for each in LIES}


def _script(lie: Lie, tls: ssl.SSLContext) -> Script:
    return Script({lie.phase: lie.steps}, extensions=lie.extensions, tls=tls if lie.has_tls else None)


@pytest.fixture(scope="module")
def servers(authority: CertificateAuthority) -> Iterator[Servers]:
    with in_thread(liars(authority.issue("mx.test").server_context())) as running:
        yield running


@pytest.fixture(scope="module")
def paquebot(directory: Path, servers: Servers) -> Iterator[Paquebot]:
    """One instance, to which all messages are given at once: each has a next hop of its own."""
    settings = PaquebotSettings(
        actions={each.name: _action(each, servers[each.name].port) for each in LIES},
        rules=tuple(_rule(each) for each in LIES),
        tables={"logins": Table(services=("credentials",), inline=Inline(entries={"liar": "user:secret"}))},
        timeouts=TIMEOUTS,
        outbound_limits=OutboundLimits(keepalive_seconds=1),
        # Each attempt is to reach the next hop, so that attempts can be counted.
        penalties=Penalties(base_seconds=0),
    )
    with running_paquebot(directory / "paquebot", settings) as running:
        for each in LIES:
            _inject(running.ports.mx, each)
        yield running


def _action(lie: Lie, port: int) -> Action:
    auth = RelayAuth(credentials="logins", label="liar") if lie.phase == "AUTH" else None
    return Action(relay=Relay(host=f"[{LOOPBACK}]", port=port, auth=auth))


def _rule(lie: Lie) -> Rule:
    match = Match(from_=From(any=True), for_=For(domains=Pattern(values=(lie.domain,))))
    return Rule(name=lie.name, match=match, outcome="Action", action=lie.name)


def _inject(port: int, lie: Lie) -> None:
    with SmtpClient(port) as client:
        client.expect("220")
        client.command("EHLO client.test", "250")
        client.command(f"MAIL FROM:<{ALICE}>", "250")
        client.command(f"RCPT TO:<{lie.recipient}>", "250")
        client.command("DATA", "354")
        client.send(lie.content + b".\r\n")
        client.expect("250")


def arrivals(server: FakeMx) -> list[Transaction]:
    """Return the messages that arrived whole; the lone dot after a DATA without recipients (RFC 2920, 3.1) is none."""
    return [sent for sent in server.transactions if sent.content]


def events(paquebot: Paquebot, lie: Lie) -> list[str]:
    """Return what the log says of the deliveries of a message, oldest first."""
    lines = paquebot.log_lines(to=lie.recipient)
    return [str(line["event"]) for line in lines if str(line["event"]).startswith("delivery.")]


def wait_for_end(paquebot: Paquebot, lie: Lie) -> list[str]:
    """Wait for the last outcome, and return all."""
    final = {"delivery.delivered", "delivery.permfail"}
    paquebot.wait_for(lambda: not final.isdisjoint(events(paquebot, lie)), f"the end of {lie.name}", WAIT_SECONDS)
    return events(paquebot, lie)


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_no_lie_loses_or_doubles_a_message(lie: Lie, paquebot: Paquebot, servers: Servers) -> None:
    *before, last = wait_for_end(paquebot, lie)
    arrived = arrivals(servers[lie.name])
    taken = [sent for sent in arrived if sent.replies and sent.replies[-1].startswith("250")]
    is_failed = lie.expected is Expected.FAILED
    assert last == ("delivery.permfail" if is_failed else "delivery.delivered")
    assert before == ["delivery.tempfail"] * (lie.expected not in (Expected.AT_ONCE, Expected.FAILED))
    assert len(taken) == (0 if is_failed else 1)
    # A server that stalls has the content, but keeps no record of it before its end.
    is_seen_twice = lie.expected in (Expected.MAYBE_TWICE, Expected.REFUSED_WHOLE) and not lie.stalls
    assert len(arrived) - len(taken) == (is_seen_twice or lie.name == "dot-550")
    is_whole = all(sent.content.endswith(b"\r\n" + lie.content) for sent in arrived)
    assert is_whole


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_only_a_message_that_may_be_double_is_told_to_be_so(lie: Lie, paquebot: Paquebot) -> None:
    wait_for_end(paquebot, lie)
    stats = [str(line["stat"]) for line in paquebot.log_lines(event="delivery.tempfail", to=lie.recipient)]
    told = [stat for stat in stats if "the message may have been delivered" in stat]
    assert len(told) == (lie.expected is Expected.MAYBE_TWICE)


def test_senders_of_failed_mail_are_told_and_no_others(paquebot: Paquebot) -> None:
    failed = [each for each in LIES if each.expected is Expected.FAILED]
    reports = paquebot.wait_for_delivered(ALICE, b"multipart/report", len(failed))
    told = {each.name for each in LIES if any(each.recipient.encode() in report for report in reports)}
    assert told == {each.name for each in failed}
    assert len(reports) == len(failed)


def test_no_control_character_of_a_peer_reaches_the_log(paquebot: Paquebot) -> None:
    for each in LIES:
        wait_for_end(paquebot, each)
    raw = paquebot.log_path.read_bytes()
    assert b"\x1b" not in raw
    assert b"\x07" not in raw
    assert b"taken" in raw


def test_at_the_end_nothing_is_left_and_every_connection_is_closed(paquebot: Paquebot, servers: Servers) -> None:
    paquebot.wait_for_empty_queue(WAIT_SECONDS)
    talking = [servers[each.name] for each in LIES if not each.stalls]
    paquebot.wait_for(lambda: not any(server.open_sessions for server in talking), "the end of all connections")
    assert [
        session.violations for server in servers.values() for session in server.sessions if session.violations
    ] == []
