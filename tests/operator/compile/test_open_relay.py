"""An open relay can't be written by accident: every way round that came to mind."""

import pytest

from tests.operator.builders import Json, compiled, found, service, table

ANYONE: Json = {"any": {}}
RELAY: Json = {"name": "out", "relay": {}}


def reasons(match: Json, *more: Json, action: Json = RELAY, **spec: object) -> set[str]:
    rule: Json = {"name": "suspect", "match": match, "action": "out"}
    result = compiled(service(rules=[rule], actions=[action], **spec), *more)
    errors = {each.reason for each in result.conditions if each.severity == "Error" and each.kind == "MailService"}
    assert bool(result.files) is not bool(errors)
    return errors


def opens(match: Json, *more: Json) -> bool:
    return "OpenRelay" in reasons(match, *more)


@pytest.mark.parametrize(
    "from_",
    [
        pytest.param(ANYONE, id="any"),
        pytest.param({"local": {"negate": True}}, id="not-local"),
        pytest.param({"authenticated": {"negate": True}}, id="not-authenticated"),
        pytest.param({"authenticated": {"users": {"values": ["bob"], "negate": True}}}, id="all-users-but-bob"),
        pytest.param({"networks": {"values": ["0.0.0.0/0"]}}, id="all-of-ipv4"),
        pytest.param({"networks": {"values": ["::/0"]}}, id="all-of-ipv6"),
        pytest.param({"networks": {"values": ["::ffff:0:0/96"]}}, id="ipv4-in-ipv6"),
        pytest.param({"networks": {"values": ["64:ff9b::/96"]}}, id="nat64"),
        pytest.param({"networks": {"values": ["2001::/32"]}}, id="teredo"),
        pytest.param({"networks": {"values": ["0.0.0.0/1", "128.0.0.0/1"]}}, id="two-halves"),
        pytest.param({"networks": {"values": ["10.0.0.0/8", "11.0.0.0/8"]}}, id="neighbours-make-a-seven"),
        pytest.param({"networks": {"values": [f"{n}.0.0.0/8" for n in range(1, 200, 2)]}}, id="a-hundred-eights"),
        pytest.param({"networks": {"values": ["2000::/3"]}}, id="global-unicast"),
        pytest.param({"networks": {"values": ["203.0.113.9/32"], "negate": True}}, id="all-but-one"),
        pytest.param({"rdns": {"values": ["*.example.com"]}}, id="reverse-name"),
    ],
)
def test_strangers_to_anywhere_is_open(from_: Json) -> None:
    assert opens({"from": from_, "for": ANYONE})


@pytest.mark.parametrize(
    "for_",
    [
        pytest.param({"hosted": {"negate": True}}, id="not-hosted"),
        pytest.param({"local": {"negate": True}}, id="not-local"),
        pytest.param({"domains": {"values": ["*"]}}, id="star"),
        pytest.param({"domains": {"values": ["*.com"]}}, id="a-top-level"),
        pytest.param({"domains": {"values": ["*.*"]}}, id="two-stars"),
        pytest.param({"domains": {"values": ["*.*.org"]}}, id="stars-under-a-top-level"),
        pytest.param({"domains": {"values": ["a*.com"]}}, id="half-a-label"),
        pytest.param({"domains": {"values": ["fine.example", "*"]}}, id="a-star-among-others"),
        pytest.param({"domains": {"values": [".*"], "regex": True}}, id="regex"),
        pytest.param({"domains": {"values": ["example"], "regex": True}}, id="regex-that-is-searched-for"),
        pytest.param({"domains": {"values": ["bad.example"], "negate": True}}, id="all-but-one"),
    ],
)
def test_anyone_to_an_unbounded_set_is_open(for_: Json) -> None:
    assert opens({"from": ANYONE, "for": for_})


@pytest.mark.parametrize(
    "criterion",
    [
        {"helo": {"values": ["trusted.example.com"]}},
        {"mailFrom": {"values": ["@example.test"]}},
        {"rcptTo": {"values": ["@"]}},
        {"tag": {"values": ["internal"]}},
        {"tls": {}},
        {"auth": {"negate": True}},
        {"authUsers": {"values": ["bob"], "negate": True}},
    ],
)
def test_what_a_client_claims_never_closes_a_relay(criterion: Json) -> None:
    assert opens({"from": ANYONE, "for": ANYONE} | criterion)


@pytest.mark.parametrize(
    ("services", "spec"),
    [
        (["domain"], {"inline": {"keys": ["*"]}}),
        (["domain"], {"inline": {"keys": [".*"]}, "matchMode": "Regex"}),
        (["domain", "regex"], {"inline": {"keys": ["."]}}),
    ],
)
def test_a_table_of_everything_is_open(services: list[str], spec: Json) -> None:
    assert opens({"from": ANYONE, "for": {"domains": {"tableRef": {"name": "t"}}}}, table("t", *services, **spec))


def test_a_table_of_all_networks_is_open() -> None:
    everywhere = table("t", "netaddr", inline={"keys": ["0.0.0.0/0"]})
    assert opens({"from": {"networks": {"tableRef": {"name": "t"}}}, "for": ANYONE}, everywhere)


@pytest.mark.parametrize(
    "match",
    [
        {"from": {"authenticated": {}}, "for": ANYONE},
        {"from": {"authenticated": {"users": {"values": ["bob"]}}}, "for": ANYONE},
        {"from": {"local": {}}, "for": ANYONE},
        {"from": ANYONE, "for": ANYONE, "auth": {}},
        {"from": {"networks": {"values": ["10.0.0.0/8", "192.168.0.0/16", "fd00::/32"]}}, "for": ANYONE},
        {"from": {"networks": {"values": ["::1/128", "127.0.0.0/8"]}}, "for": ANYONE},
        {"from": ANYONE, "for": {"hosted": {}}},
        {"from": ANYONE, "for": {"local": {}}},
        {"from": ANYONE, "for": {"domains": {"values": ["customer.example", "*.customer.example"]}}},
    ],
)
def test_what_is_bounded_is_accepted(match: Json) -> None:
    assert reasons(match) == set()


def test_a_table_of_customers_is_accepted() -> None:
    customers = table("t", "domain", inline={"keys": ["customer.example"]})
    assert reasons({"from": ANYONE, "for": {"domains": {"tableRef": {"name": "t"}}}}, customers) == set()


def test_handing_everything_to_lmtp_is_open_too() -> None:
    lmtp = {"name": "out", "lmtp": {"destination": "filter.example.test:24"}}
    assert reasons({"from": ANYONE, "for": ANYONE}, action=lmtp) == {"OpenRelay"}


def test_dropping_everything_is_no_relay() -> None:
    assert reasons({"from": ANYONE, "for": ANYONE}, action={"name": "out", "discard": {}}) == set()


def test_an_earlier_rule_that_refuses_does_not_close_a_relay() -> None:
    match: Json = {"from": ANYONE, "for": ANYONE}
    refuse = {"name": "refuse", "match": {"from": {"authenticated": {"negate": True}}, "for": ANYONE}, "reject": {}}
    result = compiled(service(rules=[refuse, {"name": "r", "match": match, "action": "out"}], actions=[RELAY]))
    assert found(result, "MailService", "OpenRelay").field == "spec.rules[1]"


def test_the_condition_names_the_rule() -> None:
    rule: Json = {"name": "oops", "match": {"from": ANYONE, "for": ANYONE}, "action": "out"}
    condition = found(compiled(service(rules=[rule], actions=[RELAY])), "MailService", "OpenRelay")
    assert (condition.type, condition.status) == ("Accepted", "False")
    assert "oops" in condition.message


def test_who_means_it_says_so_and_is_warned() -> None:
    rule: Json = {"name": "lab", "match": {"from": ANYONE, "for": ANYONE}, "action": "out"}
    result = compiled(service(rules=[rule], actions=[RELAY], allowOpenRelay=True))
    assert found(result, "MailService", "OpenRelayAllowed").severity == "Warning"
    assert result.files
