"""Next hops with two address families, and name servers that err, lie or stay silent: what comes of the mail."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from paquebot_mta.config.actions import Action, Relay
from paquebot_mta.config.service import OutboundLimits, Penalties
from tests.support.dns_server import DnsServer, Fault
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Script
from tests.support.loop_thread import in_thread
from tests.support.paquebot import Entry, Paquebot, running_paquebot
from tests.support.paquebot_config import PaquebotSettings
from tests.support.processes import LOOPBACK

from .letters import inject, letter, rule_for

pytestmark = pytest.mark.integration

IPV6 = "::1"
BOTH = {"A": [LOOPBACK], "AAAA": [IPV6]}
ONLY_IPV4 = {"A": [LOOPBACK]}
HALVES = {
    "aaaa-servfail": {"mx.aaaa-servfail.test AAAA": Fault.SERVFAIL},
    "aaaa-silent": {"mx.aaaa-silent.test AAAA": Fault.TIMEOUT},
    "aaaa-garbage": {"mx.aaaa-garbage.test AAAA": Fault.GARBAGE},
}
IPV6_HALVES = {
    "a-servfail": {"mx.a-servfail.test A": Fault.SERVFAIL},
    "a-silent": {"mx.a-silent.test A": Fault.TIMEOUT},
}
PASSING = {
    "servfail": Fault.SERVFAIL,
    "refused": Fault.REFUSED,
    "lame": Fault.LAME,
    "wrong-id": Fault.WRONG_ID,
    "wrong-question": Fault.WRONG_QUESTION,
    "garbage": Fault.GARBAGE,
    "silent": Fault.TIMEOUT,
    "tcp-refused": Fault.TCP_REFUSED,
}
"""Faults that say nothing of the domain: the mail waits and goes out when they are over."""
LONG_CHAIN = {f"link{number}.chain.test": {"CNAME": [f"link{number + 1}.chain.test."]} for number in range(3)}


def _served(name: str, addresses: dict[str, list[str]]) -> dict[str, dict[str, list[str]]]:
    return {f"{name}.test": {"MX": [f"10 mx.{name}.test."]}, f"mx.{name}.test": addresses}


ZONES: dict[str, dict[str, list[str]]] = {
    **_served("dual", BOTH),
    **{zone: records for name in (*HALVES, *IPV6_HALVES) for zone, records in _served(name, BOTH).items()},
    **{zone: records for name in PASSING for zone, records in _served(name, ONLY_IPV4).items()},
    **_served("truncated", ONLY_IPV4),
    "implicit.test": BOTH,
    "null.test": {"MX": ["0 ."]},
    "empty.test": {"TXT": ["no mail here"]},
    "alias.test": {"CNAME": ["link0.chain.test."]},
    **LONG_CHAIN,
    "link3.chain.test": {"MX": ["10 mx.alias-host.test."]},
    "mx.alias-host.test": {"CNAME": ["mx.dual.test."]},
    "ring.test": {"CNAME": ["gnir.test."]},
    "gnir.test": {"CNAME": ["ring.test."]},
    "gone-host.test": {"MX": ["10 mx.missing.invalid."]},
}
FAULTS: dict[str, Fault] = {
    **{name: fault for each in (*HALVES.values(), *IPV6_HALVES.values()) for name, fault in each.items()},
    **{f"{name}.test": fault for name, fault in PASSING.items()},
    "truncated.test": Fault.TRUNCATED,
    "mx.truncated.test": Fault.TRUNCATED,
}


@pytest.fixture(scope="module")
def dns() -> Iterator[DnsServer]:
    with in_thread(DnsServer(ZONES, faults=FAULTS)) as server:
        yield server


@pytest.fixture(scope="module")
def far_mx() -> Iterator[FakeMx]:
    """Listens on IPv4 only; a test that needs IPv6 opens the same port there."""
    with in_thread(FakeMx(Script(hostname="mx.dual.test"))) as server:
        yield server


@pytest.fixture(scope="module")
def other_mx() -> Iterator[FakeMx]:
    """Has a port of its own, so that nothing is known of its addresses before its test."""
    with in_thread(FakeMx(Script(hostname="mx.dual.test"))) as server:
        yield server


@pytest.fixture(scope="module")
def chosen(settings: PaquebotSettings, other_mx: FakeMx) -> PaquebotSettings:
    return replace(
        settings,
        actions={"other": Action(relay=Relay(host="mx.dual.test", port=other_mx.port))},
        rules=(rule_for("other", "swallowed.test"), rule_for("relay", "*.test")),
        # Each message is to open its own connection, whatever happened to those before.
        outbound_limits=OutboundLimits(keepalive_seconds=0),
        penalties=Penalties(base_seconds=0),
    )


@pytest.fixture(scope="module")
def paquebot(directory: Path, chosen: PaquebotSettings) -> Iterator[Paquebot]:
    with running_paquebot(directory / "paquebot", chosen) as running:
        yield running


@contextmanager
def ipv6_mx(far_mx: FakeMx) -> Iterator[FakeMx]:
    """Listen on IPv6 too."""
    with in_thread(FakeMx(Script(hostname="mx.dual.test"), host=IPV6, port=far_mx.port)) as server:
        yield server


@contextmanager
def silent_ipv6(port: int) -> Iterator[None]:
    """Listen on IPv6, but answer to no SYN: the queue of connections is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_INET6))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((IPV6, port))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket(socket.AF_INET6))
            waiting.setblocking(False)
            waiting.connect_ex((IPV6, port))
        yield


def sent(paquebot: Paquebot, domain: str, event: str = "delivery.delivered") -> Entry:
    """Send a message to somebody in `<domain>.test` and wait for what becomes of it first; return its log line."""
    msgid = inject(paquebot, "joe@client.test", [f"x@{domain}.test"], letter(domain))
    paquebot.wait_for(lambda: bool(_outcomes(paquebot, msgid)), f"the outcome of {domain}")
    first = _outcomes(paquebot, msgid)[0]
    assert first["event"] == event, first
    return first


def _outcomes(paquebot: Paquebot, msgid: str) -> list[Entry]:
    ends = {"delivery.delivered", "delivery.tempfail", "delivery.permfail"}
    return [line for line in paquebot.log_lines(msgid=msgid) if line["event"] in ends]


# Two families.


@pytest.mark.parametrize("domain", ["dual", "implicit"])
def test_ipv6_is_tried_before_ipv4(paquebot: Paquebot, far_mx: FakeMx, domain: str) -> None:
    with ipv6_mx(far_mx) as server:
        line = sent(paquebot, domain)
        assert str(line["relay"]).startswith(f"{IPV6} (")
        assert len(server.transactions) == 1


def test_a_refused_ipv6_connection_leads_to_ipv4_at_once(paquebot: Paquebot) -> None:
    started = time.monotonic()
    line = sent(paquebot, "dual")
    assert line["relay"] == f"{LOOPBACK} (mx.dual.test)"
    assert time.monotonic() - started < 2.0


def test_an_ipv6_address_that_swallows_everything_costs_two_seconds(paquebot: Paquebot, other_mx: FakeMx) -> None:
    with silent_ipv6(other_mx.port):
        started = time.monotonic()
        line = sent(paquebot, "swallowed")
    assert line["relay"] == f"{LOOPBACK} (mx.dual.test)"
    assert 1.5 < time.monotonic() - started < 4.0


@pytest.mark.parametrize("domain", HALVES)
def test_an_unanswered_question_for_ipv6_does_not_delay_ipv4(paquebot: Paquebot, domain: str) -> None:
    started = time.monotonic()
    assert str(sent(paquebot, domain)["relay"]).startswith(LOOPBACK)
    assert time.monotonic() - started < 2.0


@pytest.mark.parametrize("domain", IPV6_HALVES)
def test_an_unanswered_question_for_ipv4_does_not_delay_ipv6(paquebot: Paquebot, far_mx: FakeMx, domain: str) -> None:
    with ipv6_mx(far_mx):
        started = time.monotonic()
        assert str(sent(paquebot, domain)["relay"]).startswith(IPV6)
        assert time.monotonic() - started < 2.0


# What name servers say.


@pytest.mark.parametrize(
    ("domain", "status"),
    [("null", "5.1.10"), ("missing", "5.1.2"), ("empty", "5.1.2"), ("gone-host", "5.4.4")],
)
def test_what_dns_says_for_good_fails_at_once(paquebot: Paquebot, domain: str, status: str) -> None:
    line = sent(paquebot, domain, "delivery.permfail")
    assert line["status"] == status


@pytest.fixture(scope="module")
def deferred(paquebot: Paquebot, dns: DnsServer) -> dict[str, Entry]:
    """The first line about the mail for each fault that passes; all faults end when all were met."""
    ids = {name: inject(paquebot, "joe@client.test", [f"x@{name}.test"], letter(name)) for name in PASSING}
    paquebot.wait_for(lambda: all(_outcomes(paquebot, msgid) for msgid in ids.values()), "all first outcomes")
    for name in PASSING:
        del dns.faults[f"{name}.test"]
    return {name: _outcomes(paquebot, msgid)[0] for name, msgid in ids.items()}


@pytest.mark.parametrize("domain", PASSING)
def test_a_fault_of_dns_is_waited_for_and_mail_goes_out_after_it(
    paquebot: Paquebot, deferred: dict[str, Entry], domain: str
) -> None:
    line = deferred[domain]
    assert (line["event"], line["code"], line["status"]) == ("delivery.tempfail", 451, "4.4.3")
    paquebot.wait_for_log("delivery.delivered", to=f"x@{domain}.test")


def test_a_loop_of_aliases_is_waited_for_too(paquebot: Paquebot) -> None:
    line = sent(paquebot, "ring", "delivery.tempfail")
    assert line["status"] == "4.4.3"
    paquebot.cli("remove", str(line["msgid"])).checked()


def test_chains_of_aliases_are_followed_for_the_domain_and_for_its_host(paquebot: Paquebot) -> None:
    assert sent(paquebot, "alias")["relay"] == f"{LOOPBACK} (mx.alias-host.test)"


def test_what_is_cut_off_is_asked_for_over_tcp(paquebot: Paquebot, dns: DnsServer) -> None:
    before = dns.tcp_queries
    sent(paquebot, "truncated")
    assert dns.tcp_queries >= before + 2


@pytest.mark.parametrize("fault", [Fault.SERVFAIL, Fault.LAME, Fault.WRONG_ID, Fault.GARBAGE, Fault.TIMEOUT])
def test_the_next_server_is_asked_when_one_is_of_no_use(paquebot: Paquebot, dns: DnsServer, fault: Fault) -> None:
    domain = f"spare-{fault.name.lower()}".replace("_", "-")
    dns.faults[f"{domain}.test"] = dns.faults[f"mx.{domain}.test"] = fault
    with in_thread(DnsServer(_served(domain, ONLY_IPV4))) as spare:
        paquebot.change(spare_resolver_port=spare.port)
        started = time.monotonic()
        sent(paquebot, domain)
        assert time.monotonic() - started < 2.0
        paquebot.change(spare_resolver_port=None)
