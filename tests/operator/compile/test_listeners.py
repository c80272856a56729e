"""Listeners and limits: what is written arrives in the contract, and what can't be meant is refused with its place."""

from typing import Any

import msgspec
import pytest

from paquebot_mta.config.listeners import Listener
from paquebot_mta.config.rates import Rates
from paquebot_mta.config.service import Limits, ServiceShard
from paquebot_operator.api.decode import ObjectError, decode
from tests.operator.builders import HASH, Json, compiled, found, service, submission, table, tls_secret


def shard(*more: Json, **spec: Any) -> ServiceShard:
    config = compiled(service(**spec), *more).config
    assert config is not None
    return config.service


def listener(*more: Json, **fields: Any) -> Listener:
    return shard(*more, listeners=[{"name": "mx", "port": 2525} | fields]).listeners[0]


def test_nothing_written_is_the_contract_s_default() -> None:
    assert shard().limits == Limits()


def test_limits_arrive_each_in_its_place() -> None:
    names = Rates.__struct_fields__
    rates = {f"max{''.join(part.title() for part in name.split('_'))}": place for place, name in enumerate(names, 1)}
    limits = shard(
        limits={
            "maxSessionsPerNetwork": 7, "stressSessionsPercent": 50, "stressTimeoutSeconds": 5, "rates": rates,
        }
    ).limits  # fmt: skip
    assert (limits.sessions_per_network, limits.stress_sessions_percent, limits.stress_timeout_seconds) == (7, 50, 5)
    assert msgspec.structs.asdict(limits.rates) == {name: place for place, name in enumerate(names, 1)}


def test_trusted_proxies_arrive_as_networks() -> None:
    made = listener(proxyProtocol={"trusted": ["192.0.2.0/24", "2001:DB8::/32", "198.51.100.1"]})
    assert made.proxy_protocol is not None
    assert made.proxy_protocol.trusted == ("192.0.2.0/24", "2001:db8::/32", "198.51.100.1/32")


@pytest.mark.parametrize("network", ["192.0.2.1/24", "192.0.2.0/33", "1.2.3", "::/129"])
def test_what_is_no_network_is_refused_with_its_place(network: str) -> None:
    result = compiled(service(listeners=[{"name": "mx", "port": 25, "proxyProtocol": {"trusted": ["::1", network]}}]))
    refused = found(result, "MailService", "UnsupportedValue")
    assert refused.field == "spec.listeners[0].proxyProtocol.trusted[1]"


@pytest.mark.parametrize(
    "fields",
    [
        {"port": 25, "proxyProtocol": {"trusted": []}},
        {"port": 25, "proxyProtocol": {"trusted": ["proxies.example.test"]}},
        {"address": "unix:/run/mx.sock", "proxyProtocol": {"trusted": ["::1"]}},
        {"port": 25, "auth": {"masquerade": True}},
    ],
)
def test_what_contradicts_itself_is_refused_by_the_schema(fields: Json) -> None:
    with pytest.raises(ObjectError):
        decode(service(listeners=[{"name": "mx"} | fields]))


def test_a_table_of_host_names_must_serve_them() -> None:
    names = table("names", "addrname", inline={"entries": [{"key": "192.0.2.1", "value": "mx1.example.test"}]})
    assert listener(names, hostnamesRef={"name": "names"}).hostnames
    result = compiled(
        service(listeners=[{"name": "mx", "port": 25, "hostnamesRef": {"name": "names"}}]),
        table("names", "string", inline={"keys": ["x"]}),
    )
    assert found(result, "MailService", "InvalidTable").field == "spec.listeners[0].hostnamesRef"


def test_a_masquerade_arrives() -> None:
    users = table("users", "credentials", inline={"entries": [{"key": "alice@example.test", "value": HASH}]})
    made = shard(users, tls_secret(), listeners=[submission(masquerade=True)]).listeners[0]
    assert made.auth.masquerade
