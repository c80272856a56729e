"""The network policy names what pods need and nothing more."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from paquebot_mta.config.filters import Filter, Greylist, Kind, Milter, Rspamd
from paquebot_operator.desired import egress_of
from paquebot_operator.desired.context import Egress
from paquebot_operator.desired.network_policy import network_policy
from tests.operator.builders import API, Json, compiled, domain, metadata, service
from tests.operator.desired.services import CONTEXT, RICH_CONTEXT, listener, mail_service

PODS_PAGE = Path(__file__).parents[3] / "docs" / "pods.md"


def policy(context: Any = CONTEXT, **spec: Any) -> Json:
    found = network_policy(mail_service(**spec), context)
    assert found is not None
    return dict(found["spec"])


def tcp(rule: Json) -> list[int]:
    return [each["port"] for each in rule["ports"] if each["protocol"] == "TCP"]


def test_listeners_are_open_to_all_and_the_admin_port_to_few() -> None:
    labels = {"networkPolicy": {"adminNamespaceLabels": {"monitoring": "yes"}}}
    listeners, admin = policy(listeners=[listener(), listener("more", 2526)], **labels)["ingress"]
    assert listeners == {"ports": [{"protocol": "TCP", "port": 2525}, {"protocol": "TCP", "port": 2526}]}
    assert [each["namespaceSelector"] for each in admin["from"]] == [
        {"matchLabels": {"kubernetes.io/metadata.name": "paquebot-system"}},
        {"matchLabels": {"monitoring": "yes"}},
    ]
    assert tcp(admin) == [9025]


def test_the_admin_port_is_open_to_every_namespace_by_default_and_the_documentation_says_so() -> None:
    _, admin = policy(listeners=[listener()])["ingress"]
    assert {"namespaceSelector": {}} in admin["from"]
    text = " ".join(PODS_PAGE.read_text(encoding="utf-8").split())
    assert "the admin port (9025:" in text
    assert "**by default from every namespace**" in text


def test_pods_without_a_port_have_the_admin_port_only() -> None:
    (admin,) = policy(listeners=[{"name": "local", "address": "unix:/run/paquebot/l.sock"}])["ingress"]
    assert tcp(admin) == [9025]


def test_pods_reach_dns_and_mail_ports_and_not_the_api_server() -> None:
    (anywhere,) = policy()["egress"]
    assert tcp(anywhere) == [24, 25, 53, 465, 587, 5353]
    assert [each["port"] for each in anywhere["ports"] if each["protocol"] == "UDP"] == [53, 5353]


def test_lmtp_servers_in_the_cluster_are_reached_whatever_port_their_pods_have() -> None:
    anywhere, inside = policy(RICH_CONTEXT)["egress"]
    assert 2424 in tcp(anywhere)
    assert inside["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "mailboxes"}}}]
    assert inside["ports"] == [{"protocol": "TCP"}]


def test_the_policy_can_be_turned_off() -> None:
    assert network_policy(mail_service(networkPolicy={"mode": "Disabled"}), CONTEXT) is None


@pytest.mark.parametrize("host", ["dovecot.mailboxes.svc", "dovecot.mailboxes.svc.cluster.local"])
def test_where_mail_goes_is_read_from_the_configuration(host: str) -> None:
    lmtp = {"lmtp": {"destination": f"{host}:2424"}}
    smarthost = {"name": "out", "relay": {"host": "relay.example.test", "port": 2587}}
    result = compiled(service(actions=[smarthost]), domain(delivery=lmtp))
    assert result.config is not None
    assert egress_of(result.config, result.owners) == Egress(ports=(25, 2424, 2587), namespaces=("mailboxes",))


def test_filters_that_ask_somebody_may_reach_them() -> None:
    config = compiled(service(), domain()).config
    assert config is not None
    kinds: dict[str, Kind] = {
        "spam": Rspamd(url="http://rspamd.checks.svc:11333/checkv2"),
        "sign": Milter(address="opendkim.signing.svc.cluster.local:8891"),
        "near": Milter(address="unix:/run/milter.sock"),
        "grey": Greylist(store="redis://:secret@valkey.checks.svc/0"),
        "alone": Greylist(),
    }
    filters = {f"default/{name}": Filter(kind=kind) for name, kind in kinds.items()}
    asked = structs.replace(config, service=structs.replace(config.service, filters=filters))
    assert egress_of(asked, {}) == Egress(ports=(25, 6379, 8891, 11333), namespaces=("checks", "signing"))


def test_unix_sockets_and_maildirs_need_no_way_out() -> None:
    config = compiled(service(), domain(delivery={"lmtp": {"destination": "unix:/run/lmtp"}})).config
    assert config is not None
    assert egress_of(config, {}) == Egress(ports=(25,))


def guests(*documents: Json) -> Egress:
    """Where pods of the namespace ``default`` may send for domains and filters of ``tenant``."""
    result = compiled(service(allowedDomains={"namespaces": {"from": "All"}}), *documents)
    assert result.config is not None
    assert result.config.domains
    return egress_of(result.config, result.owners)


def test_a_guest_opens_its_own_namespace_and_of_others_only_the_port() -> None:
    tenant = metadata("guest", "tenant")
    own = {"lmtp": {"destination": "dovecot.tenant.svc:24"}}
    other = {"lmtp": {"destination": "etcd.kube-system.svc:2379"}}
    assert guests(domain(meta=tenant, delivery=own)) == Egress(ports=(24, 25), namespaces=("tenant",))
    assert guests(domain(meta=tenant, delivery=other)) == Egress(ports=(25, 2379))


def test_a_guests_filter_opens_only_the_port_of_another_namespace() -> None:
    milter = {"milter": {"address": "etcd.kube-system.svc:2379"}}
    asked = {"apiVersion": API, "kind": "MailFilter", "metadata": metadata("asked", "tenant"), "spec": milter}
    guest = domain(meta=metadata("guest", "tenant"), delivery={"discard": {}}, filterRefs=[{"name": "asked"}])
    assert guests(guest, asked) == Egress(ports=(25, 2379))
