"""One object of one tenant never holds up the others: what pods would refuse is refused where it comes from."""

from typing import Any

import pytest

from paquebot_operator.compile.judge import Judgement, judge
from tests.operator.builders import (
    API,
    KEY,
    NOW,
    Json,
    compiled,
    config_map,
    domain,
    metadata,
    objects,
    secret,
    service,
    table,
)

NBSP = "\u00a0"
MANY = "*." * 9 + "x"
"""More wildcards than a pattern may have."""
GOOD = domain("good", domain="good.test")


def other(**spec: Any) -> Json:
    return domain("bad", domain="bad.test", **spec)


def mail_filter(**spec: Any) -> Json:
    return {"apiVersion": API, "kind": "MailFilter", "metadata": metadata("bad"), "spec": spec}


def errors(result: Judgement) -> set[tuple[str, str, str]]:
    return {(each.kind, each.name, each.reason) for each in result.conditions if each.severity == "Error"}


def judged(*documents: Json) -> Judgement:
    return judge(objects(*documents), now=NOW)


def check_only_refused(kind: str, reason: str, *documents: Json) -> None:
    result = judged(service(), GOOD, *documents)
    config = result.services[KEY].config
    assert config is not None
    assert set(config.domains) == {"good.test"}
    found = errors(result)
    assert (kind, "bad", reason) in found
    assert {name for _, name, _ in found} == {"bad"}


@pytest.mark.parametrize(
    "spec",
    [
        {"aliases": [{"name": "gone", "targets": [f"error:550 No such{NBSP}user"]}]},
        {"catchAll": ["error:550 Gone \U0001f468\u200d\U0001f469"]},
        {"delivery": {"maildir": {"path": f"/mail/{NBSP}x/%{{user}}"}}},
        {"delivery": {"mbox": {"path": "/mail/\u200bx/%{user}"}}},
    ],
)
def test_a_domain_that_pods_would_refuse_is_left_out_alone(spec: Json) -> None:
    check_only_refused("MailDomain", "UnsupportedValue", other(**spec))


@pytest.mark.parametrize(
    "spec",
    [
        {"builtin": {"phase": "MailFrom", "action": {"rewrite": {"value": f"go{NBSP}away"}}}},
        {
            "builtin": {
                "phase": "Helo",
                "when": {"all": [{"helo": {"values": [MANY]}}]},
                "action": {"junk": {}},
            }
        },
        {"builtin": {"phase": "Helo", "when": {"all": [{"helo": {"values": ["A.x", "a.x"]}}]}, "action": {"junk": {}}}},
        {"milter": {"address": f"x{NBSP}y:25"}},
        {"milter": {"address": "x:99999"}},
        {"greylist": {"store": "redis://x:99999"}},
        {"greylist": {"store": "redis://x?socket_timeout=abc"}},
        {"rspamd": {"url": "http://[::1"}},
        {"dnsbl": {"lists": [{"zone": "z.test", "codes": ["127.0.0.999"]}]}},
        {"dnsbl": {"lists": [{"zone": "z.test", "codes": ["127.0.0.1/0"]}]}},
    ],
)
def test_a_filter_that_pods_would_refuse_is_refused_itself(spec: Json) -> None:
    check_only_refused("MailFilter", "UnsupportedValue", mail_filter(**spec), other(filterRefs=[{"name": "bad"}]))


@pytest.mark.parametrize(
    ("services", "spec"),
    [
        (("alias", "domain"), {"matchMode": "Wildcard", "inline": {"keys": [MANY]}}),
        (("alias", "credentials"), {"inline": {"keys": ["A", "a"]}}),
        (("alias", "netaddr"), {"inline": {"keys": ["local"]}}),
    ],
)
def test_a_table_that_pods_would_refuse_is_refused_itself(services: tuple[str, ...], spec: Json) -> None:
    check_only_refused("Table", "InvalidTable", table("bad", *services, **spec), other(aliasTableRef={"name": "bad"}))


def test_what_is_wrong_with_a_key_in_a_secret_shows_nothing_of_it() -> None:
    hidden = table("bad", "alias", matchMode="Regex", secretRef={"name": "data"})
    result = compiled(service(), hidden, secret("data", table="secret[\n"), other(aliasTableRef={"name": "bad"}))
    (message,) = {each.message for each in result.conditions if (each.kind, each.severity) == ("Table", "Error")}
    assert message == "entry 1: not a regular expression"


def test_a_network_in_brackets_is_one() -> None:
    networks = table("nets", "netaddr", matchMode="Network", inline={"keys": ["[2001:db8::]/32"]})
    near = {"name": "near", "match": {"from": {"networks": {"tableRef": {"name": "nets"}}}, "for": {"any": {}}}}
    result = compiled(service(rules=[near | {"action": "out"}], actions=[{"name": "out", "discard": {}}]), networks)
    assert result.config is not None
    assert set(result.config.tables) == {"default/nets"}


def test_a_table_that_no_file_can_hold_is_refused_itself() -> None:
    text = "".join(f"u{number:05d} bob\n" for number in range(74_000))
    many = table("bad", "alias", configMapRef={"name": "data", "key": "table"})
    check_only_refused(
        "Table", "TableTooBig", many, config_map("data", table=text), other(aliasTableRef={"name": "bad"})
    )


def test_a_rule_that_pods_would_refuse_is_the_services_own_fault() -> None:
    rule = {
        "name": "all",
        "match": {"from": {"any": {}}, "for": {"domains": {"values": [MANY]}}},
        "action": "none",
    }
    assert errors(judged(service(rules=[rule], actions=[{"name": "none", "discard": {}}]), GOOD)) == {
        ("MailService", "post", "UnsupportedValue")
    }
