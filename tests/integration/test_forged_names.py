"""A reverse name is whatever the owner of the address wrote into DNS: rules believe it only if it leads back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paquebot_mta.config.listeners import Listener, ProxyProtocol
from paquebot_mta.config.rules import For, From, Match, Pattern, Rule
from tests.support.dns_server import DnsServer
from tests.support.loop_thread import in_thread
from tests.support.paquebot import running_paquebot
from tests.support.paquebot_config import ALICE, PaquebotSettings
from tests.support.processes import LOOPBACK, free_port
from tests.support.smtp_client import SmtpClient

pytestmark = pytest.mark.integration

JOE, VICTIM = "joe@stranger.test", "victim@else.test"
TRUE, LIAR, DANGLING, OTHER, NAMELESS = (f"198.51.100.{number}" for number in (9, 7, 8, 10, 11))
TRUE_SIX, LIAR_SIX = "2001:db8::9", "2001:db8::7"


def _pointer(address: str) -> str:
    if ":" in address:
        return ".".join(reversed("20010db8" + address[-1].zfill(24))) + ".ip6.arpa"
    return ".".join(reversed(address.split("."))) + ".in-addr.arpa"


ZONES = {
    _pointer(TRUE): {"PTR": ["ok.trusted.test."]},
    _pointer(TRUE_SIX): {"PTR": ["six.trusted.test."]},
    _pointer(LIAR): {"PTR": ["ok.trusted.test."]},
    _pointer(LIAR_SIX): {"PTR": ["six.trusted.test."]},
    _pointer(DANGLING): {"PTR": ["gone.trusted.test."]},
    _pointer(OTHER): {"PTR": ["mail.other.test."]},
    "ok.trusted.test": {"A": [TRUE]},
    "six.trusted.test": {"AAAA": [TRUE_SIX]},
    "mail.other.test": {"A": [OTHER]},
}
TRUSTED = Pattern(values=("*.trusted.test",))
"""Who is called so may send anywhere."""
NOT_OTHER = Pattern(values=("*.other.test",), negate=True)


@pytest.fixture(scope="module", params=[TRUSTED, NOT_OTHER], ids=["named", "negated"])
def relaying(request: pytest.FixtureRequest, directory: Path, settings: PaquebotSettings) -> Iterator[int]:
    """A relay for clients by their names: the port where they may come from any address."""
    port = free_port()
    trusted = ProxyProtocol(trusted=(f"{LOOPBACK}/32",))
    proxied = Listener(name="proxied", address=LOOPBACK, port=port, proxy_protocol=trusted)
    match = Match(from_=From(rdns=request.param), for_=For(any=True))
    rule = Rule(name="by-name", match=match, outcome="Action", action="relay")
    with in_thread(DnsServer(ZONES)) as dns:
        chosen = replace(settings, resolver_port=dns.port, listeners=(proxied,), rules=(rule,))
        with running_paquebot(directory / f"names-{port}", chosen):
            yield port


def answers_to(port: int, address: str) -> list[str]:
    """Come from an address, and say what is answered to a recipient elsewhere and to one of ours."""
    with SmtpClient(port) as client:
        family, ours = ("TCP6", "2001:db8::1") if ":" in address else ("TCP4", "192.0.2.1")
        client.send(f"PROXY {family} {address} {ours} 4711 25\r\n".encode())
        client.expect("220")
        client.command("EHLO ok.trusted.test", "250")
        client.command(f"MAIL FROM:<{JOE}>", "250")
        replies = []
        for recipient in (VICTIM, ALICE):
            client.line(f"RCPT TO:<{recipient}>")
            replies.append(client.reply().last[:9])
        return replies


@pytest.mark.parametrize("address", [TRUE, TRUE_SIX])
def test_who_is_called_so_and_leads_back_may_relay(relaying: int, address: str) -> None:
    assert answers_to(relaying, address) == ["250 2.1.5", "250 2.1.5"]


@pytest.mark.parametrize("address", [LIAR, LIAR_SIX, DANGLING, OTHER, NAMELESS])
def test_a_forged_name_opens_no_relay(relaying: int, address: str) -> None:
    assert answers_to(relaying, address) == ["550 5.7.1", "250 2.1.5"]
