"""The chain of the matrix: client, peer, Paquebot, sink; or client, Paquebot, peer, sink."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from paquebot_mta.config.actions import Action, ClientTls, Relay, RelayAuth
from paquebot_mta.config.rules import For, From, Match, Pattern, Rule
from paquebot_mta.config.tables import Inline, Table
from tests.support.certificates import CertificateAuthority, CertificateFiles
from tests.support.dns_server import DnsServer
from tests.support.dovecot_auth import running_dovecot_auth
from tests.support.exim import Exim, EximSettings, running_exim
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import EXTENSIONS, Script
from tests.support.loop_thread import in_thread
from tests.support.next_hop import Hop, Login
from tests.support.opensmtpd import OpenSmtpd, OpenSmtpdSettings, running_opensmtpd
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, HOSTNAME, PASSWORD, PaquebotSettings
from tests.support.postfix import Postfix, running_postfix
from tests.support.processes import LOOPBACK, free_port, peer_directory

from .cells import PEERS, TRANSPORTS, domain
from .postfix_peer import postfix_settings

PEER_HOST = "mx.far.test"
LOGIN = Login("paquebot", "quay side")
_SIZED = tuple("SIZE 60000000" if each.startswith("SIZE") else each for each in EXTENSIONS)


@pytest.fixture(scope="package")
def directory() -> Iterator[Path]:
    with peer_directory() as path:
        yield path


@pytest.fixture(scope="package")
def authority(directory: Path) -> CertificateAuthority:
    return CertificateAuthority(directory)


@pytest.fixture(scope="package")
def peer_certificate(authority: CertificateAuthority) -> CertificateFiles:
    return authority.issue(PEER_HOST)


@pytest.fixture(scope="package")
def sink() -> Iterator[FakeMx]:
    """Where all mail ends, with every extension."""
    with in_thread(FakeMx(Script(hostname="sink.test", extensions=_SIZED))) as server:
        yield server


@pytest.fixture(scope="package")
def peer_ports() -> dict[str, int]:
    """Where the peers listen: Paquebot has to know before they start, as they have to know its ports."""
    return {name: free_port() for name in PEERS}


@pytest.fixture(scope="package")
def paquebot(
    directory: Path, authority: CertificateAuthority, sink: FakeMx, peer_ports: dict[str, int]
) -> Iterator[Paquebot]:
    actions = {"sink": Action(relay=Relay(host=f"[{LOOPBACK}]", port=sink.port, tls=ClientTls(policy="None")))}
    rules = [_rule("sink", *(domain("", "in", transport) for transport in TRANSPORTS))]
    for name, port in peer_ports.items():
        for transport, relay in _relays(port).items():
            actions[f"{name}-{transport}"] = Action(relay=relay)
            rules.append(_rule(f"{name}-{transport}", domain(name, "out", transport)))
    logins = Table(services=("credentials",), inline=Inline(entries={"peer": f"{LOGIN.user}:{LOGIN.password}"}))
    with in_thread(DnsServer({PEER_HOST: {"A": [LOOPBACK]}})) as dns:
        settings = PaquebotSettings(
            actions=actions,
            rules=tuple(rules),
            tables={"logins": logins},
            certificate=authority.issue(HOSTNAME, "localhost", LOOPBACK),
            authority=authority.path,
            resolver_port=dns.port,
        )
        with running_paquebot(directory / "paquebot", settings) as running:
            yield running


def _relays(port: int) -> Mapping[str, Relay]:
    verified = ClientTls(policy="Verified", ca="authority")
    return {
        "plain": Relay(host=PEER_HOST, port=port, tls=ClientTls(policy="None")),
        "opportunistic": Relay(host=PEER_HOST, port=port),
        "tls": Relay(host=PEER_HOST, port=port, tls=verified),
        "auth": Relay(host=PEER_HOST, port=port, tls=verified, auth=RelayAuth(credentials="logins", label="peer")),
    }


def _rule(action: str, *domains: str) -> Rule:
    match = Match(from_=From(any=True), for_=For(domains=Pattern(values=domains)))
    return Rule(name=f"by-{action}", match=match, outcome="Action", action=action)


@pytest.fixture(scope="package")
def default_hop(sink: FakeMx) -> Hop:
    """Where the peers send all mail that isn't for us."""
    return Hop(sink.port)


@pytest.fixture(scope="package")
def routes(paquebot: Paquebot) -> dict[str, Hop]:
    """Where the peers send mail for us, by domain."""
    hops = {
        "plain": Hop(paquebot.ports.mx),
        "tls": Hop(paquebot.ports.mx, is_tls=True),
        "auth": Hop(paquebot.ports.submission, is_tls=True, login=Login(ALICE, PASSWORD)),
    }
    return {domain("", "in", transport): hops[transport] for transport in TRANSPORTS}


@pytest.fixture(scope="package")
def postfix(
    directory: Path,
    default_hop: Hop,
    routes: dict[str, Hop],
    peer_certificate: CertificateFiles,
    peer_ports: dict[str, int],
) -> Iterator[Postfix]:
    with ExitStack() as stack:
        auth_socket = stack.enter_context(running_dovecot_auth(directory / "auth", LOGIN))
        settings = postfix_settings(directory, default_hop, routes, peer_certificate, auth_socket)
        yield stack.enter_context(running_postfix(directory / "postfix", settings, peer_ports["postfix"]))


@pytest.fixture(scope="package")
def exim(
    directory: Path,
    default_hop: Hop,
    routes: dict[str, Hop],
    peer_certificate: CertificateFiles,
    peer_ports: dict[str, int],
) -> Iterator[Exim]:
    settings = EximSettings(default_hop, peer_certificate, routes, LOGIN)
    with running_exim(directory / "exim", settings, peer_ports["exim"]) as running:
        yield running


@pytest.fixture(scope="package")
def opensmtpd(
    directory: Path,
    default_hop: Hop,
    routes: dict[str, Hop],
    peer_certificate: CertificateFiles,
    peer_ports: dict[str, int],
) -> Iterator[OpenSmtpd]:
    settings = OpenSmtpdSettings(default_hop, peer_certificate, routes, LOGIN)
    with running_opensmtpd(directory / "opensmtpd", settings, peer_ports["opensmtpd"]) as running:
        yield running
