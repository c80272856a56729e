"""STARTTLS and AUTH towards OpenSMTPD, with the only TLS that Debian's build can serve: without its private key.

What this can't show is a certificate; all else of the two cells that `cells` calls impossible is here: the command, the
handshake, EHLO again, AUTH over it, and the mail.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paquebot_mta.config.actions import Action, ClientTls, Relay, RelayAuth
from paquebot_mta.config.rules import For, From, Match, Pattern, Rule
from paquebot_mta.config.tables import Inline, Table
from tests.support.certificates import CertificateFiles
from tests.support.fake_mx import FakeMx
from tests.support.next_hop import Hop
from tests.support.opensmtpd import ANONYMOUS, PACKAGE, OpenSmtpd, OpenSmtpdSettings, running_opensmtpd
from tests.support.paquebot import Paquebot
from tests.support.paquebot_config import PaquebotSettings
from tests.support.processes import LOOPBACK
from tests.support.unpacked import needs_unpacked

from . import anonymous
from .cells import FEATURES, Cell
from .conftest import LOGIN
from .test_matrix import inject, protocol_of, wait_for_arrival

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120), needs_unpacked(PACKAGE)]

CELLS = [Cell("opensmtpd", "out", name) for name in ("starttls", "auth")]


class AnonymousPaquebot(Paquebot):
    """An instance whose client offers TLS without certificates."""

    def _argv(self) -> list[str]:
        _, _, _, *arguments = super()._argv()
        return [sys.executable, anonymous.__file__, ANONYMOUS, *arguments]


@contextmanager
def running_anonymous(directory: Path, settings: PaquebotSettings) -> Iterator[Paquebot]:
    directory.mkdir()
    paquebot = AnonymousPaquebot(directory, settings)
    try:
        yield paquebot
        assert not paquebot.faults()
    finally:
        paquebot.stop()


@pytest.fixture(scope="module")
def sealed_opensmtpd(directory: Path, default_hop: Hop, peer_certificate: CertificateFiles) -> Iterator[OpenSmtpd]:
    settings = OpenSmtpdSettings(default_hop, peer_certificate, login=LOGIN, ciphers=ANONYMOUS)
    with running_opensmtpd(directory / "sealed-opensmtpd", settings) as running:
        yield running


@pytest.fixture(scope="module")
def sealing_paquebot(directory: Path, sealed_opensmtpd: OpenSmtpd) -> Iterator[Paquebot]:
    auth = {"tls": None, "auth": RelayAuth(credentials="logins", label="peer")}
    required = ClientTls(policy="Required")
    actions = {
        name: Action(relay=Relay(host=f"[{LOOPBACK}]", port=sealed_opensmtpd.port, tls=required, auth=login))
        for name, login in auth.items()
    }
    logins = Table(services=("credentials",), inline=Inline(entries={"peer": f"{LOGIN.user}:{LOGIN.password}"}))
    settings = PaquebotSettings(
        actions=actions,
        rules=tuple(_rule(cell) for cell in CELLS),
        tables={"logins": logins},
    )
    with running_anonymous(directory / "sealing-paquebot", settings) as running:
        yield running


def _rule(cell: Cell) -> Rule:
    _, _, domain = cell.recipient.partition("@")
    match = Match(from_=From(any=True), for_=For(domains=Pattern(values=(domain,))))
    return Rule(name=domain, match=match, outcome="Action", action=FEATURES[cell.feature_name].transport)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_mail_goes_through_sealed(
    cell: Cell, sealing_paquebot: Paquebot, sealed_opensmtpd: OpenSmtpd, sink: FakeMx
) -> None:
    inject(sealing_paquebot.ports.mx, cell)
    transaction = wait_for_arrival(sink, cell, sealing_paquebot, sealed_opensmtpd)
    assert transaction.content.endswith(b"\r\n" + cell.content)
    trace = transaction.content[: -len(cell.content)]
    assert protocol_of(trace) == ("ESMTPSA" if cell.feature_name == "auth" else "ESMTPS")
    assert b"(TLSv1.2:A" in trace
    (delivery,) = sealing_paquebot.wait_for_log("delivery.delivered", to=cell.recipient)
    assert delivery["tls_version"].startswith("TLSv1.2")
