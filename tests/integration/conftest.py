"""What most integration tests share: a directory, a certificate, a name server, a far MX, and one Paquebot a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import CertificateAuthority, CertificateFiles
from tests.support.dns_server import DnsServer
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Script
from tests.support.loop_thread import in_thread
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import FAR, HOSTNAME, PaquebotSettings
from tests.support.processes import LOOPBACK, peer_directory

ZONES = {
    FAR: {"MX": [f"10 mx.{FAR}."]},
    f"mx.{FAR}": {"A": [LOOPBACK]},
    "nowhere.test": {"MX": ["0 ."]},
}


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """A short directory that peers without root can reach."""
    with peer_directory() as path:
        yield path


@pytest.fixture(scope="module")
def authority(directory: Path) -> CertificateAuthority:
    """The authority that all certificates of a module are from."""
    return CertificateAuthority(directory)


@pytest.fixture(scope="module")
def certificate(authority: CertificateAuthority) -> CertificateFiles:
    """Paquebot's own certificate."""
    return authority.issue(HOSTNAME, "localhost", LOOPBACK)


@pytest.fixture(scope="module")
def dns() -> Iterator[DnsServer]:
    """The only name server that Paquebot asks."""
    with in_thread(DnsServer(ZONES)) as server:
        yield server


@pytest.fixture(scope="module")
def far_mx() -> Iterator[FakeMx]:
    """The MX host of `far.test`, in plain text."""
    with in_thread(FakeMx(Script(hostname=f"mx.{FAR}"))) as server:
        yield server


@pytest.fixture(scope="module")
def settings(certificate: CertificateFiles, dns: DnsServer, far_mx: FakeMx) -> PaquebotSettings:
    """Everything that a test may use; a module may have its own."""
    return PaquebotSettings(certificate=certificate, resolver_port=dns.port, outbound_port=far_mx.port)


@pytest.fixture(scope="module")
def paquebot(directory: Path, settings: PaquebotSettings) -> Iterator[Paquebot]:
    """One instance for all tests of a module."""
    with running_paquebot(directory / "paquebot", settings) as running:
        yield running
