"""Sending: what is written arrives in the contract, and what can't be meant is refused with its place."""

from typing import Any

import pytest

from paquebot_mta.config.actions import ClientTls
from paquebot_mta.config.service import DestinationLimits, Outbound, OutboundDelays, Penalties
from tests.operator.builders import Json, compiled, found, service, table


def outbound(**spec: Any) -> Outbound:
    config = compiled(service(outbound=spec)).config
    assert config is not None
    return config.service.outbound


def refused_at(*destinations: Json) -> str:
    """The field that was refused."""
    result = compiled(service(outbound={"destinations": list(destinations)}))
    assert not result.files
    return found(result, "MailService", "UnsupportedValue").field


def test_nothing_written_is_the_contract_s_default() -> None:
    assert outbound() == Outbound()


def test_delays_and_penalties_arrive() -> None:
    sending = outbound(
        delays={"routeMilliseconds": 5_000, "relayMilliseconds": 2_000, "reconnectMilliseconds": 0},
        penalties={"baseSeconds": 30, "consecutiveRejectLimit": 5, "deferDelaySeconds": 600},
    )
    assert sending.delays == OutboundDelays(route=5.0, relay=2.0, reconnect=0.0)
    assert sending.penalties == Penalties(base_seconds=30, consecutive_reject_limit=5, defer_seconds=600)


def test_destinations_arrive_in_their_order() -> None:
    sending = outbound(
        destinations=[
            {"domain": "Bücher.example", "maxConnections": 2, "maxMessagesPerSession": 20},
            {"domain": "*.Bank.test", "maxMessagesPerSecond": 5, "tls": {"policy": "Verified"}},
            {"domain": "slow.test", "maxMessagesPerMinute": 30, "connectionDelayMilliseconds": 1_500},
        ]
    )
    assert sending.destinations == (
        DestinationLimits(domain="xn--bcher-kva.example", connections=2, messages_per_session=20),
        DestinationLimits(domain="*.bank.test", messages_per_minute=300.0, tls=ClientTls(policy="Verified")),
        DestinationLimits(domain="slow.test", messages_per_minute=30.0, connection_delay_seconds=1.5),
    )


@pytest.mark.parametrize("domain", ["*.bücher.test", "*..test", "*.a_b.test", "a" * 64 + ".test", "[192.0.2.1]"])
def test_what_is_no_domain_and_no_pattern_is_refused(domain: str) -> None:
    assert refused_at({"domain": domain}) == "spec.outbound.destinations[0].domain"


def test_a_domain_that_is_there_twice_is_refused() -> None:
    assert refused_at({"domain": "A.test"}, {"domain": "a.test"}) == "spec.outbound.destinations[1].domain"


def test_authorities_of_a_destination_must_exist() -> None:
    destination = {"domain": "a.test", "tls": {"policy": "Verified", "caRef": {"name": "gone"}}}
    result = compiled(service(outbound={"destinations": [destination]}))
    assert any(each.field == "spec.outbound.destinations[0].tls.caRef" for each in result.conditions)


def test_names_by_source_address_need_a_table_of_them() -> None:
    relay = {"relay": {"heloNamesRef": {"name": "names"}}, "name": "out"}
    names = table("names", "addrname", inline={"entries": [{"key": "192.0.2.1", "value": "one.test"}]})
    config = compiled(service(actions=[relay]), names).config
    assert config is not None
    action = config.service.actions["out"].relay
    assert action is not None
    assert action.helo_names == "default/names"
    wrong = table("names", "source", inline={"keys": ["192.0.2.1"]})
    result = compiled(service(actions=[relay]), wrong)
    assert found(result, "MailService", "InvalidTable").field == "spec.actions[0].relay.heloNamesRef"


def test_a_destination_s_tls_where_all_mail_goes_through_smarthosts_is_refused() -> None:
    smart = {"name": "smart", "relay": {"host": "relay.test"}}
    destinations = [
        {"domain": "slow.test", "maxConnections": 2},
        {"domain": "bank.test", "tls": {"policy": "Verified"}},
    ]
    result = compiled(service(actions=[smart], outbound={"destinations": destinations}))
    assert not result.files
    assert found(result, "MailService", "UnsupportedValue").field == "spec.outbound.destinations[1].tls"
    by_mx = {"name": "direct", "relay": {}}
    assert compiled(service(actions=[smart, by_mx], outbound={"destinations": destinations})).files
