"""A configuration directory that changes under a running process: taken within moments, or refused and named."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paquebot_mta.config.domains import Domain
from tests.support.certificates import CertificateAuthority
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import HOSTNAME, PaquebotSettings, configuration, maildirs
from tests.support.smtp_client import SmtpClient

pytestmark = pytest.mark.integration


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
