"""What types can't say: every wrong reference, union and range is refused, with its path."""

from typing import Any

import msgspec
import pytest

from paquebot_mta.config.actions import Action, ClientTls, Discard, Lmtp, Maildir, Mbox, Relay, RelayAuth
from paquebot_mta.config.codec import dump, load, shard_of
from paquebot_mta.config.errors import ConfigError
from paquebot_mta.config.listeners import Listener, ProxyProtocol, ServerAuth, ServerTls
from paquebot_mta.config.rules import Flag, For, From, Match, Pattern, Reject, Rule
from paquebot_mta.config.service import (
    Certificate,
    DestinationLimits,
    Outbound,
    OutboundDelays,
    OutboundTimeouts,
    Penalties,
    Queue,
    Retry,
    ServiceShard,
)
from paquebot_mta.config.tables import Inline, Table
from tests.mta.config.strategies import DOMAIN, SERVICE, SUBMISSION, TABLES

SHARD = shard_of(DOMAIN.name)
ANY = Match(from_=From(any=True), for_=For(any=True))
BROKEN = Pattern(values=("(",), regex=True)
BROKEN_TABLE = Table(services=("regex",), match_mode="Regex", inline=Inline(keys=("(",)))
replace = msgspec.structs.replace


def _faults(service: ServiceShard = SERVICE, **domain: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(dump(service, [replace(DOMAIN, **domain)], 1, TABLES))
    return [fault.path for fault in caught.value.faults]


def test_the_example_is_right() -> None:
    assert load(dump(SERVICE, [DOMAIN], 1, TABLES)).domains[DOMAIN.name] == DOMAIN


@pytest.mark.parametrize(
    ("listener", "path"),
    [
        (Listener(name=""), "name"),
        (Listener(name="mx"), "name"),
        (Listener(name="x", port=65_536), "port"),
        (Listener(name="x", port=5870), "port"),
        (Listener(name="x", address="here"), "address"),
        (Listener(name="x", address="unix:run"), "address"),
        (Listener(name="x", address="unix:/run/x", port=1), "port"),
        (Listener(name="x", hostnames="none"), "hostnames"),
        (Listener(name="x", filters=("spam",)), "filters[0]"),
        (Listener(name="x", proxy_protocol=ProxyProtocol(trusted=("all",))), "proxyProtocol.trusted[0]"),
        (Listener(name="x", proxy_protocol=ProxyProtocol(trusted=())), "proxyProtocol.trusted"),
        (Listener(name="x", address="unix:/x", proxy_protocol=ProxyProtocol(trusted=("::1",))), "proxyProtocol"),
        (Listener(name="x", tls=ServerTls(mode="StartTLS")), "tls.certificates"),
        (Listener(name="x", tls=ServerTls(mode="Implicit", certificates=("none",))), "tls.certificates[0]"),
        (Listener(name="x", tls=ServerTls(mode="Implicit", certificates=("ca",))), "tls.certificates[0]"),
        (Listener(name="x", tls=ServerTls(required=True)), "tls.required"),
        (Listener(name="x", tls=ServerTls(verify_client="Required")), "tls.clientCa"),
        (replace(SUBMISSION, name="x", port=1, auth=ServerAuth(mode="Optional")), "auth.credentials"),
        (Listener(name="x", auth=ServerAuth(mode="Optional", credentials="users")), "auth.mode"),
        (Listener(name="x", auth=ServerAuth(senders="none")), "auth.senders"),
    ],
)
def test_a_listener_is_checked(listener: Listener, path: str) -> None:
    bundle = Certificate(chain_pem=SERVICE.certificates["main"].chain_pem)
    certificates = {**SERVICE.certificates, "ca": bundle}
    faults = _faults(replace(SERVICE, listeners=(*SERVICE.listeners, listener), certificates=certificates))
    assert f"service.listeners[2].{path}" in faults


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        (Rule(name="in", match=ANY, outcome="Domain"), "name"),
        (Rule(name="x", match=ANY, outcome="Action", action="none"), "action"),
        (Rule(name="x", match=ANY, outcome="Domain", action="out"), "action"),
        (Rule(name="x", match=ANY, outcome="Reject", reject=Reject(code=250, status="4.0.0")), "reject.code"),
        (Rule(name="x", match=ANY, outcome="Reject", reject=Reject(code=450)), "reject.status"),
        (Rule(name="x", match=ANY, outcome="Reject", reject=Reject(text="a\r\nb")), "reject.text"),
        (Rule(name="x", match=replace(ANY, from_=From()), outcome="Domain"), "match.from"),
        (Rule(name="x", match=replace(ANY, from_=From(any=True, local=Flag())), outcome="Domain"), "match.from"),
        (Rule(name="x", match=replace(ANY, for_=For(any=True, hosted=Flag())), outcome="Domain"), "match.for"),
        (Rule(name="x", match=replace(ANY, helo=Pattern()), outcome="Domain"), "match.helo"),
        (Rule(name="x", match=replace(ANY, tag=Pattern(table="none")), outcome="Domain"), "match.tag.table"),
        (Rule(name="x", match=replace(ANY, rcpt_to=BROKEN), outcome="Domain"), "match.rcptTo.values[0]"),
        (
            Rule(name="x", match=replace(ANY, from_=From(networks=Pattern(values=("x",)))), outcome="Domain"),
            "match.from.networks.values[0]",
        ),
    ],
)  # fmt: skip
def test_a_rule_is_checked(rule: Rule, path: str) -> None:
    assert f"service.rules[3].{path}" in _faults(replace(SERVICE, rules=(*SERVICE.rules, rule)))


@pytest.mark.parametrize(
    ("action", "path"),
    [
        (Action(), ""),
        (Action(discard=Discard(), mbox=Mbox(path="x")), ""),
        (Action(relay=Relay(port=0)), ".relay.port"),
        (Action(relay=Relay(source="none")), ".relay.source"),
        (Action(relay=Relay(helo_names="users")), ".relay.heloNames"),
        (Action(relay=Relay(auth=RelayAuth(credentials="users", label="x"))), ".relay.auth"),
        (Action(relay=Relay(tls=ClientTls(ca="none"))), ".relay.tls.ca"),
        (Action(relay=Relay(filters=("spam",))), ".relay.filters[0]"),
        (Action(relay=Relay(ttl_seconds=0)), ".relay.ttlSeconds"),
        (Action(lmtp=Lmtp(destination="host")), ".lmtp.destination"),
        (Action(lmtp=Lmtp(destination="host:0")), ".lmtp.destination"),
        (Action(maildir=Maildir(path="a/../../etc")), ".maildir.path"),
        (Action(mbox=Mbox(path="")), ".mbox.path"),
    ],
)
def test_an_action_is_checked_wherever_it_stands(action: Action, path: str) -> None:
    assert f"service.actions.x{path}" in _faults(replace(SERVICE, actions={**SERVICE.actions, "x": action}))
    assert f"{SHARD}.domains[0].delivery{path}" in _faults(delivery=action)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": "Example.test", "alias_table": ""}, "name"),
        ({"mailbox_table": "none"}, "mailboxTable"),
        ({"mailbox_table": "sales"}, "mailboxTable"),
        ({"alias_table": "users"}, "aliasTable"),
        ({"mailboxes": ("Alice",)}, "mailboxes"),
        ({"delimiter": "++"}, "delimiter"),
        ({"aliases": {"x": ("error:250 fine",)}}, 'aliases["x"][0]'),
        ({"aliases": {"x": ("alice", "")}}, 'aliases["x"][1]'),
        ({"catch_all": ("a\nb",)}, "catchAll[0]"),
    ],
)
def test_a_domain_is_checked(change: dict[str, Any], path: str) -> None:
    shard = shard_of(change.get("name", DOMAIN.name))
    assert _faults(**change) == [f"{shard}.domains[0].{path}"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"hostname": "a b"}, "hostname"),
        ({"queue": Queue(minimum_free_percent=100)}, "queue.minimumFreePercent"),
        ({"queue": Queue(retry=Retry(base_seconds=0))}, "queue.retry.baseSeconds"),
        ({"queue": Queue(warn_after_seconds=(1, -1))}, "queue.warnAfterSeconds[1]"),
        ({"outbound": replace(SERVICE.outbound, timeouts=OutboundTimeouts(final_dot=0))}, "outbound.timeouts.finalDot"),
        ({"outbound": replace(SERVICE.outbound, delays=OutboundDelays(route=-1))}, "outbound.delays.route"),
        ({"outbound": replace(SERVICE.outbound, penalties=Penalties(max_seconds=-1))}, "outbound.penalties.maxSeconds"),
        ({"certificates": {"main": Certificate(chain_pem="x", key_pem="x")}}, "certificates.main.chainPem"),
        ({"tables": {**SERVICE.tables, "x": Table(services=("alias",))}}, "tables.x"),
        ({"tables": {**SERVICE.tables, "x": Table(services=(), inline=Inline())}}, "tables.x.services"),
        (
            {"tables": {"users": SERVICE.tables["users"], "x": BROKEN_TABLE}},
            "tables.x.inline",
        ),
    ],
)  # fmt: skip
def test_the_service_is_checked(change: dict[str, Any], path: str) -> None:
    assert _faults(replace(SERVICE, **change)) == [f"service.{path}"]


@pytest.mark.parametrize(
    ("destination", "path"),
    [
        (DestinationLimits(domain="A.test"), "domain"),
        (DestinationLimits(domain="a..test"), "domain"),
        (DestinationLimits(domain=""), "domain"),
        (DestinationLimits(domain=".".join("*" * 9)), "domain"),
        (DestinationLimits(domain="first.test"), "domain"),
        (DestinationLimits(domain="a.test", connections=0), "connections"),
        (DestinationLimits(domain="a.test", messages_per_session=0), "messagesPerSession"),
        (DestinationLimits(domain="a.test", messages_per_minute=0.0), "messagesPerMinute"),
        (DestinationLimits(domain="a.test", connection_delay_seconds=-1), "connectionDelaySeconds"),
        (DestinationLimits(domain="*.test", tls=ClientTls(ca="none")), "tls.ca"),
    ],
)
def test_a_destination_is_checked(destination: DestinationLimits, path: str) -> None:
    outbound = Outbound(destinations=(DestinationLimits(domain="first.test"), destination))
    assert _faults(replace(SERVICE, outbound=outbound)) == [f"service.outbound.destinations[1].{path}"]


def test_several_faults_come_back_at_once() -> None:
    service = replace(SERVICE, hostname="", actions={"out": Action()})
    assert _faults(service, delimiter="++") == [
        "service.hostname",
        "service.actions.out",
        f"{SHARD}.domains[0].delimiter",
    ]
