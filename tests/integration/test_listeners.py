"""Listeners of other kinds with other people's clients: LMTP, sockets in the file system, behind a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paquebot_mta.config.listeners import Listener, ProxyProtocol
from paquebot_mta.config.rules import Flag, For, From, Match, Pattern, Rule
from tests.support.fake_mx import FakeMx
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, BOB, PaquebotSettings
from tests.support.postfix import Postfix, running_postfix
from tests.support.postfix_config import PostfixSettings
from tests.support.processes import LOOPBACK, find_program, free_port, run_command
from tests.support.requirements import needs_programs
from tests.support.smtp_client import SmtpClient
from tests.support.smtp_tools import swaks

pytestmark = [pytest.mark.integration, needs_programs("postfix", "swaks", as_root=True)]

JOE = "joe@client.test"
INSIDE = "friend@inside.test"
"""An address that mail of this machine may be relayed to."""
BEHIND_PROXY = {
    "--proxy-source": "192.0.2.7",
    "--proxy-source-port": "4711",
    "--proxy-dest": "198.51.100.2",
    "--proxy-dest-port": "25",
}


@pytest.fixture(scope="module")
def lmtp_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def proxied_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def sockets(directory: Path) -> dict[str, Path]:
    return {name: directory / f"{name}.sock" for name in ("lmtp", "smtp")}


@pytest.fixture(scope="module")
def paquebot(
    directory: Path, settings: PaquebotSettings, lmtp_port: int, proxied_port: int, sockets: dict[str, Path]
) -> Iterator[Paquebot]:
    listeners = (
        Listener(name="lmtp", address=LOOPBACK, port=lmtp_port, role="LMTP"),
        Listener(name="lmtp-socket", address=f"unix:{sockets['lmtp']}", role="LMTP"),
        Listener(name="smtp-socket", address=f"unix:{sockets['smtp']}"),
        Listener(
            name="proxied",
            address=LOOPBACK,
            port=proxied_port,
            proxy_protocol=ProxyProtocol(trusted=(f"{LOOPBACK}/32",)),
        ),
    )
    match = Match(from_=From(local=Flag()), for_=For(domains=Pattern(values=("inside.test", "far.test"))))
    rule = Rule(name="from-here", match=match, outcome="Action", action="relay")
    with running_paquebot(directory / "paquebot", replace(settings, listeners=listeners, rules=(rule,))) as running:
        yield running


@pytest.fixture(scope="module", params=["tcp", "socket"])
def postfix(
    request: pytest.FixtureRequest, directory: Path, paquebot: Paquebot, lmtp_port: int, sockets: dict[str, Path]
) -> Iterator[Postfix]:
    """A Postfix whose mail all goes to us over LMTP."""
    place = f"unix:{sockets['lmtp']}" if request.param == "socket" else f"inet:{LOOPBACK}:{lmtp_port}"
    settings = PostfixSettings(extra={"default_transport": f"lmtp:{place}"})
    with running_postfix(directory / f"postfix-{request.param}", settings) as running:
        yield running


def test_postfix_delivers_over_lmtp_and_hears_of_each_recipient(postfix: Postfix, paquebot: Paquebot) -> None:
    subject = f"over lmtp {postfix.port}"
    postfix.send(JOE, [ALICE, "nobody@example.test", BOB], f"Subject: {subject}\n\n.dot\n".encode())
    for user in (ALICE, BOB):
        (stored,) = paquebot.wait_for_delivered(user, subject.encode())
        assert stored.endswith(b"\n\n.dot\n")
        assert b"(Paquebot) with LMTP id " in stored
    postfix.wait_for_empty_queue()
    log = postfix.log()
    assert log.count("status=sent (250 2.0.0 ") == 2
    assert "to=<nobody@example.test>" in log
    assert "status=bounced" in log


def test_swaks_speaks_lmtp_with_us_over_a_socket(paquebot: Paquebot, sockets: dict[str, Path]) -> None:
    run = swaks(
        sockets["lmtp"], JOE, [ALICE, BOB], "--protocol", "LMTP", content=b"Subject: lmtp by swaks\r\n\r\nx\r\n"
    )
    assert run.checked().transcript.count("Message accepted for delivery") == 2
    for user in (ALICE, BOB):
        paquebot.wait_for_delivered(user, b"lmtp by swaks")


def test_smtp_source_sends_over_a_socket_and_counts_as_local(
    paquebot: Paquebot, sockets: dict[str, Path], far_mx: FakeMx
) -> None:
    people = ["-M", "client.test", "-f", JOE, "-t", INSIDE.replace("inside", "far")]
    argv = [find_program("smtp-source"), "-s", "4", "-m", "40", "-l", "2000", *people, f"unix:{sockets['smtp']}"]
    run_command(argv, timeout_seconds=30).checked()
    paquebot.wait_for(lambda: len(far_mx.transactions) >= 40, "forty messages at the next hop")
    assert all(b"[local])\r\n\tby mx.example.test (Paquebot) with " in each for each in far_mx.contents[-40:])


@pytest.mark.parametrize("where", ["smtp", "lmtp"])
def test_what_is_for_this_machine_only_is_for_its_sockets(
    paquebot: Paquebot, sockets: dict[str, Path], proxied_port: int, where: str
) -> None:
    with SmtpClient(sockets[where]) as client:
        client.expect("220")
        client.command("LHLO client.test" if where == "lmtp" else "EHLO client.test", "250")
        client.command(f"MAIL FROM:<{JOE}>", "250")
        client.command(f"RCPT TO:<{INSIDE}>", "250")
    with SmtpClient(proxied_port) as client:
        client.send(b"PROXY TCP4 192.0.2.7 198.51.100.2 4711 25\r\n")
        client.expect("220")
        client.command("EHLO client.test", "250")
        client.command(f"MAIL FROM:<{JOE}>", "250")
        client.command(f"RCPT TO:<{INSIDE}>", "550 5.7.1")


@pytest.mark.parametrize("version", ["1", "2"])
def test_the_client_behind_a_proxy_is_the_one_that_counts(paquebot: Paquebot, proxied_port: int, version: str) -> None:
    family = {"1": "TCP4", "2": "AF_INET"}[version]
    said = {**BEHIND_PROXY, "--proxy-version": version, "--proxy-family": family}
    options = [word for pair in said.items() for word in pair]
    content = f"Subject: by proxy {version}\r\n\r\nx\r\n".encode()
    swaks(proxied_port, JOE, [ALICE], *options, content=content).checked()
    (stored,) = paquebot.wait_for_delivered(ALICE, f"by proxy {version}".encode())
    assert b"\nReceived: from client.test (<unknown> [192.0.2.7])\n" in stored


def test_who_comes_without_the_header_of_a_proxy_is_dropped(paquebot: Paquebot, proxied_port: int) -> None:
    with SmtpClient(proxied_port) as client:
        client.send(b"EHLO client.test\r\n")
        client.expect_end()
