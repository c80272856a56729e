"""A configuration directory that changes under a running process: taken within moments, or refused and named."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from paquebot_mta.config.domains import Domain
from paquebot_mta.config.listeners import Listener, ProxyProtocol, ServerTls
from tests.support.certificates import CertificateAuthority
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import HOSTNAME, PaquebotSettings, configuration, maildirs
from tests.support.processes import LOOPBACK, free_port
from tests.support.smtp_client import SmtpClient

pytestmark = pytest.mark.integration
HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.2 4711 25\r\n"
PATIENCE_SECONDS = 0.5
"""For a greeting that may never come."""


@pytest.fixture
def paquebot(directory: Path, settings: PaquebotSettings, tmp_path: Path) -> Iterator[Paquebot]:
    with running_paquebot(directory / tmp_path.name, settings) as running:
        yield running


def greeted(paquebot: Paquebot) -> SmtpClient:
    """Open a session with a transaction begun."""
    client = SmtpClient(paquebot.ports.mx)
    client.expect("220")
    client.command("EHLO client.test", "250")
    client.command("MAIL FROM:<joe@client.test>", "250")
    return client


def rcpt(paquebot: Paquebot, recipient: str) -> str:
    """Return the code that a new session gets for a recipient."""
    with greeted(paquebot) as client:
        client.line(f"RCPT TO:<{recipient}>")
        return client.reply().code


def new_domain(paquebot: Paquebot) -> PaquebotSettings:
    """Return the settings with one more domain."""
    fresh = Domain(name="fresh.test", delivery=maildirs(paquebot.directory), mailboxes=("carol",))
    return replace(paquebot.settings, domains=(fresh,))


def test_a_new_domain_is_in_force_within_two_seconds_and_sessions_go_on(paquebot: Paquebot) -> None:
    assert rcpt(paquebot, "carol@fresh.test") == "550"
    with greeted(paquebot) as old:
        old.command("RCPT TO:<alice@example.test>", "250")
        old.command("DATA", "354")
        swapped = time.monotonic()
        paquebot.configure(new_domain(paquebot))
        paquebot.wait_for(lambda: rcpt(paquebot, "carol@fresh.test") == "250", "the new domain", 2.0)
        assert time.monotonic() - swapped < 2.0
        old.send(b"Subject: in flight\r\n\r\nx\r\n.\r\n")
        old.expect("250 2.0.0")
        old.command("MAIL FROM:<joe@client.test>", "250")
        old.command("RCPT TO:<carol@fresh.test>", "250")
    paquebot.wait_for_delivered("alice@example.test", b"in flight")
    assert paquebot.config()["generation"] == 2
    (loaded,) = paquebot.wait_for_log("config.loaded", generation=2)
    assert loaded["digest"] == paquebot.config()["digest"]


def test_a_broken_configuration_is_refused_and_named_and_the_old_one_stays(paquebot: Paquebot) -> None:
    before = paquebot.config()
    files = configuration(paquebot.directory, paquebot.ports, new_domain(paquebot), 7)
    paquebot.write({**files, "service.json": files["service.json"].replace(b"mx.example.test", b"mx.example.tesd")})
    paquebot.wait_for(lambda: bool(paquebot.config()["rejectedDigest"]), "the refusal", 2.0)
    told = paquebot.config()
    assert "service" in told["rejectedReason"]
    assert "sha256" in told["rejectedReason"]
    assert told["digest"] == before["digest"]
    assert rcpt(paquebot, "alice@example.test") == "250"
    assert rcpt(paquebot, "carol@fresh.test") == "550"
    assert paquebot.is_ready()
    paquebot.wait_for(lambda: paquebot.metric("paquebot_config_last_reload_successful") == 0, "the metric", 2.0)
    paquebot.write(files)
    paquebot.wait_for(lambda: not paquebot.config()["rejectedDigest"], "the good configuration", 2.0)
    assert rcpt(paquebot, "carol@fresh.test") == "250"
    paquebot.wait_for(lambda: paquebot.metric("paquebot_config_last_reload_successful") == 1, "the metric", 2.0)


def test_a_configuration_that_points_nowhere_is_refused_with_its_path(paquebot: Paquebot) -> None:
    lost = Domain(name="lost.test", delivery=maildirs(paquebot.directory), alias_table="no-such-table")
    paquebot.configure(replace(paquebot.settings, domains=(lost,)))
    paquebot.wait_for(lambda: bool(paquebot.config()["rejectedDigest"]), "the refusal", 2.0)
    assert "aliasTable" in paquebot.config()["rejectedReason"]


def test_a_new_certificate_is_served_to_new_sessions(paquebot: Paquebot, authority: CertificateAuthority) -> None:
    other = CertificateAuthority(paquebot.directory)
    fresh = other.issue(HOSTNAME)
    assert _trusts(paquebot, authority.path)
    paquebot.change(certificate=fresh)
    assert _trusts(paquebot, other.path)
    assert not _trusts(paquebot, authority.path)


def test_a_bad_configuration_at_the_start_is_replaced_by_the_last_good_one(paquebot: Paquebot) -> None:
    digest = paquebot.config()["digest"]
    assert paquebot.stop() == 0
    paquebot.write({"index.json": b"{}"})
    paquebot.restart()
    assert paquebot.config()["digest"] == digest
    assert paquebot.config()["rejectedDigest"]
    assert rcpt(paquebot, "alice@example.test") == "250"


def test_a_listener_gets_a_proxy_and_then_tls_while_it_runs_and_none_is_lost(
    directory: Path, settings: PaquebotSettings, authority: CertificateAuthority, tmp_path: Path
) -> None:
    gate = Listener(name="gate", address=LOOPBACK, port=free_port())
    proxied = structs.replace(gate, proxy_protocol=ProxyProtocol(trusted=(f"{LOOPBACK}/32",)))
    secure = structs.replace(gate, tls=ServerTls(mode="Implicit", certificates=("server",)))
    settings = replace(settings, listeners=(gate,), workers=2)
    with running_paquebot(directory / tmp_path.name, settings) as paquebot:
        with SmtpClient(gate.port) as old, _asked_all_the_time(paquebot.ports.mx) as refused:
            old.expect("220")
            old.command("EHLO client.test", "250")
            paquebot.change(listeners=(proxied,))
            paquebot.wait_for(
                lambda: _greets(gate.port, b"PROXY TCP4 192.0.2.7 198.51.100.2 4711 25\r\n"), "all workers"
            )
            paquebot.change(listeners=(secure,))
            paquebot.wait_for(lambda: _speaks_tls(gate.port, authority), "all workers")
            paquebot.change(listeners=(gate,))
            paquebot.wait_for(lambda: _greets(gate.port), "all workers")
            old.command("MAIL FROM:<joe@client.test>", "250")
            old.command("RCPT TO:<alice@example.test>", "250")
            old.command("DATA", "354")
            old.send(b"Subject: through it all\r\n\r\nx\r\n.\r\n")
            old.expect("250 2.0.0")
        assert refused == []
        paquebot.wait_for_delivered("alice@example.test", b"through it all")


@contextmanager
def _asked_all_the_time(port: int) -> Iterator[list[str]]:
    """Connect again and again; yields what was said to those that weren't greeted."""
    wrong: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.01):
            try:
                if not _greets(port, timeout_seconds=10.0):
                    wrong.append("another greeting")
            except (OSError, AssertionError) as error:
                wrong.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield wrong
    finally:
        over.set()
        thread.join()


def _greets(port: int, header: bytes = b"", timeout_seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether several sessions, of whichever worker, are greeted."""
    for _ in range(8):
        with socket.create_connection((LOOPBACK, port), 5.0) as client:
            client.sendall(header)
            client.settimeout(timeout_seconds)
            try:
                if not client.recv(256).startswith(b"220 "):
                    return False
            except TimeoutError:
                return False
    return True


def _speaks_tls(port: int, authority: CertificateAuthority) -> bool:
    context = ssl.create_default_context(cafile=authority.path)
    for _ in range(8):
        try:
            with (
                socket.create_connection((LOOPBACK, port), 5.0) as client,
                context.wrap_socket(client, server_hostname=HOSTNAME) as secured,
            ):
                if not secured.recv(256).startswith(b"220 "):
                    return False
        except ssl.SSLError:
            return False
    return True


def _trusts(paquebot: Paquebot, authority: Path) -> bool:
    with SmtpClient(paquebot.ports.mx) as client:
        client.expect("220")
        client.command("EHLO client.test", "250")
        client.command("STARTTLS", "220")
        try:
            client.start_tls(ssl.create_default_context(cafile=authority), HOSTNAME)
        except AssertionError:
            return False
        return True
