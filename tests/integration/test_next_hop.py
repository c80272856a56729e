"""Debian's Postfix as our next hop: by MX lookup and as a smarthost, in plain text and over TLS of every policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from paquebot_mta.config.actions import Action, ClientTls, Relay
from paquebot_mta.config.rules import For, From, Match, Pattern, Rule
from tests.support.certificates import CertificateAuthority, CertificateFiles
from tests.support.dns_server import DnsServer
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, PaquebotSettings
from tests.support.postfix import Postfix, running_postfix
from tests.support.postfix_config import PostfixSettings
from tests.support.processes import LOOPBACK
from tests.support.requirements import needs_programs

pytestmark = [pytest.mark.integration, needs_programs("postfix", "swaks", as_root=True)]

POLICIES = {
    "none": ClientTls(policy="None"),
    "opportunistic": ClientTls(policy="Opportunistic"),
    "required": ClientTls(policy="Required"),
    "verified": ClientTls(policy="Verified", ca="authority"),
    "distrusted": ClientTls(policy="Verified"),
}
DOMAINS = (*(f"{name}.test" for name in POLICIES), "far.test")


@pytest.fixture(scope="module")
def postfix(directory: Path, authority: CertificateAuthority) -> Iterator[Postfix]:
    settings = PostfixSettings(mailbox_domains=DOMAINS, certificate=authority.issue("mx.far.test", "localhost"))
    with running_postfix(directory / "postfix", settings) as running:
        yield running


@pytest.fixture(scope="module")
def plain_postfix(directory: Path) -> Iterator[Postfix]:
    with running_postfix(directory / "plain", PostfixSettings(mailbox_domains=("smart.test",))) as running:
        yield running


@pytest.fixture(scope="module")
def paquebot(
    directory: Path,
    certificate: CertificateFiles,
    authority: CertificateAuthority,
    dns: DnsServer,
    postfix: Postfix,
    plain_postfix: Postfix,
) -> Iterator[Paquebot]:
    smart = Action(relay=Relay(host=f"[{LOOPBACK}]", port=plain_postfix.port))
    strict = Action(relay=Relay(host=f"[{LOOPBACK}]", port=plain_postfix.port, tls=ClientTls(policy="Required")))
    by_policy = {
        name: Action(relay=Relay(host="mx.far.test", port=postfix.port, tls=tls)) for name, tls in POLICIES.items()
    }
    settings = PaquebotSettings(
        certificate=certificate,
        authority=authority.path,
        resolver_port=dns.port,
        outbound_port=postfix.port,
        actions={"smart": smart, "strict": strict, **by_policy},
        rules=tuple(for_domain(name) for name in ("smart", "strict", *POLICIES)),
    )
    with running_paquebot(directory / "paquebot", settings) as running:
        yield running


def for_domain(name: str) -> Rule:
    """Make the rule that gives `<name>.test` to the action of that name."""
    match = Match(from_=From(any=True), for_=For(domains=Pattern(values=(f"{name}.test",))))
    return Rule(name=f"by-{name}", match=match, outcome="Action", action=name)


def test_mail_goes_out_by_mx_lookup_byte_for_byte(paquebot: Paquebot, postfix: Postfix) -> None:
    # Without these Postfix would add them.
    head = b"From: joe@client.test\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <1@client.test>\r\n"
    content = head + b"Subject: by mx\r\n\r\n.dot\r\n\xe9 8 bit\r\n" + b"l" * 998 + b"\r\n"
    paquebot.send("joe@client.test", ["friend@far.test"], content=content).checked()
    (stored,) = postfix.wait_for_delivered("friend@far.test")
    assert stored.endswith(b"\n" + content.replace(b"\r\n", b"\n"))
    assert stored.startswith(b"Return-Path: <joe@client.test>\n")
    assert b"from mx.example.test (" in stored
    (delivery,) = paquebot.wait_for_log("delivery.delivered", to="friend@far.test")
    assert delivery["relay"] == "127.0.0.1 (mx.far.test)"
    assert delivery["stat"].startswith("250 2.0.0 Ok: queued as ")
    assert delivery["tls_version"].startswith("TLSv1.3")


def test_an_authenticated_user_reaches_any_domain(paquebot: Paquebot, postfix: Postfix) -> None:
    paquebot.submit(ALICE, ["auth@far.test"], content=b"From: a@b.test\r\nSubject: out\r\n\r\nx\r\n").checked()
    (stored,) = postfix.wait_for_delivered("auth@far.test")
    assert b"(Paquebot) with ESMTPSA id " in stored


def test_five_mebibytes_go_out_whole(paquebot: Paquebot, postfix: Postfix) -> None:
    body = b"".join(b".%07d " % number + b"z" * 66 + b"\r\n" for number in range(5 * 1024 * 1024 // 77))
    paquebot.send("joe@client.test", ["big@far.test"], content=b"Subject: big\r\n\r\n" + body).checked()
    (stored,) = postfix.wait_for_delivered("big@far.test", timeout_seconds=30)
    assert stored.partition(b"\n\n")[2] == body.replace(b"\r\n", b"\n")


def test_a_smarthost_takes_mail_for_domains_without_any_dns(paquebot: Paquebot, plain_postfix: Postfix) -> None:
    paquebot.send("joe@client.test", ["one@smart.test"], content=b"Subject: smart\r\n\r\nx\r\n").checked()
    (stored,) = plain_postfix.wait_for_delivered("one@smart.test")
    assert b"Subject: smart" in stored


@pytest.mark.parametrize(("policy", "protocol"), [("none", b"ESMTP"), ("opportunistic", b"ESMTPS")])
def test_tls_is_used_as_the_policy_says(paquebot: Paquebot, postfix: Postfix, policy: str, protocol: bytes) -> None:
    recipient = f"u@{policy}.test"
    paquebot.send("joe@client.test", [recipient], content=b"Subject: tls\r\n\r\nx\r\n").checked()
    (stored,) = postfix.wait_for_delivered(recipient)
    assert b"(Postfix) with %s id" % protocol in stored


@pytest.mark.parametrize("policy", ["required", "verified"])
def test_what_must_be_sealed_goes_over_tls(paquebot: Paquebot, postfix: Postfix, policy: str) -> None:
    paquebot.send("joe@client.test", [f"u@{policy}.test"], content=b"Subject: tls\r\n\r\nx\r\n").checked()
    (stored,) = postfix.wait_for_delivered(f"u@{policy}.test")
    assert b"(Postfix) with ESMTPS id" in stored


@pytest.mark.parametrize("recipient", ["u@strict.test", "u@distrusted.test"])
def test_what_can_not_be_sealed_as_the_policy_says_waits(
    paquebot: Paquebot, postfix: Postfix, plain_postfix: Postfix, recipient: str
) -> None:
    paquebot.send("joe@client.test", [recipient], content=b"Subject: must not leak\r\n\r\nx\r\n").checked()
    (first, *_) = paquebot.wait_for_log("delivery.tempfail", to=recipient)
    assert first["code"] // 100 == 4
    assert first["status"].startswith("4.7.")
    assert not postfix.delivered(recipient)
    assert not plain_postfix.delivered(recipient)
    paquebot.cli("remove", first["msgid"])
