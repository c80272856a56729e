"""A new certificate or password is in force within seconds, on every pod, and open sessions don't notice."""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.support.certificates import CertificateAuthority, CertificateFiles
from tests.support.processes import wait_until
from tests.support.smtp_client import SmtpClient

from .conftest import FIRST_PASSWORD
from .release import HOSTNAME, MX, SUBMISSION, USER, Release, certificate_secret, users_secret

pytestmark = pytest.mark.integration

SECONDS = 15.0
"""Secrets are looked at every two seconds; the rest is for a machine that has other things to do."""


def in_tls(address: str, port: int, authority: CertificateAuthority) -> SmtpClient:
    """A session in TLS that believes the certificate of the server. The caller closes it."""
    client = SmtpClient(port, host=address)
    try:
        client.expect("220")
        client.command("EHLO client.example.org", "250")
        client.command("STARTTLS", "220")
        client.start_tls(ssl.create_default_context(cafile=authority.path), HOSTNAME)
        client.command("EHLO client.example.org", "250")
    except BaseException:
        client.close()
        raise
    return client


def served_by(address: str) -> bytes:
    """The certificate (DER) that a pod serves."""
    with SmtpClient(MX, host=address) as client:
        client.expect("220")
        client.command("EHLO client.example.org", "250")
        client.command("STARTTLS", "220")
        client.start_tls()
        return client.certificate


def answer_to_login(address: str, password: str) -> str:
    """A pod's answer to AUTH."""
    with SmtpClient(SUBMISSION, host=address) as client:
        client.expect("220")
        client.command("EHLO client.example.org", "250")
        client.command("STARTTLS", "220")
        client.start_tls()
        client.command("EHLO client.example.org", "250")
        return login(client, password)


def login(client: SmtpClient, password: str) -> str:
    """Say AUTH PLAIN (RFC 4616), and return the answer."""
    client.line(f"AUTH PLAIN {base64.b64encode(f'{chr(0)}{USER}{chr(0)}{password}'.encode()).decode()}")
    return client.reply().last


def on_all(release: Release, holds: Callable[[str], bool]) -> Callable[[], bool]:
    """Whether something holds for every pod."""
    return lambda: all(holds(address) for address in release.pod_addresses())


def new_certificate(release: Release, files: CertificateFiles) -> float:
    """Put a certificate into the Secret; how many seconds later all pods serve it."""
    wanted = ssl.PEM_cert_to_DER_cert(files.certificate.read_text())
    release.apply(certificate_secret(files))
    started = time.monotonic()
    wait_until(on_all(release, lambda address: served_by(address) == wanted), "the certificate", SECONDS)
    return time.monotonic() - started


def test_a_new_certificate_is_served_within_seconds_and_sessions_are_kept(
    release: Release, authority: CertificateAuthority
) -> None:
    new_certificate(release, authority.issue(HOSTNAME))
    addresses = release.pod_addresses()
    assert len(addresses) == 2
    with ExitStack() as stack:
        sessions = [stack.enter_context(in_tls(address, MX, authority)) for address in addresses]
        print(f"served by all pods after {new_certificate(release, authority.issue(HOSTNAME)):.1f} s")
        for session in sessions:
            session.command("NOOP", "250")
            session.command("MAIL FROM:<bob@example.org>", "250")
    assert release.pod_addresses() == addresses


def test_a_new_password_holds_within_seconds_and_sessions_are_kept(
    release: Release, authority: CertificateAuthority
) -> None:
    addresses = release.pod_addresses()
    with ExitStack() as stack:
        sessions = [stack.enter_context(in_tls(address, SUBMISSION, authority)) for address in addresses]
        for session in sessions:
            assert login(session, FIRST_PASSWORD).startswith("235")
        release.apply(users_secret("second"))
        started = time.monotonic()
        wait_until(on_all(release, lambda each: answer_to_login(each, "second").startswith("235")), "the new", SECONDS)
        print(f"good on all pods after {time.monotonic() - started:.1f} s")
        assert all(answer_to_login(address, FIRST_PASSWORD).startswith("535") for address in addresses)
        for session in sessions:
            session.command(f"MAIL FROM:<{USER}>", "250")
    release.apply(users_secret(FIRST_PASSWORD))
    wait_until(
        on_all(release, lambda each: answer_to_login(each, FIRST_PASSWORD).startswith("235")), "the old", SECONDS
    )
    assert release.pod_addresses() == addresses
