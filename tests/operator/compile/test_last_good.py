"""What breaks keeps its last good configuration; what is taken away is gone at once."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from paquebot_mta.config import domains as contract
from paquebot_mta.config import tables
from paquebot_mta.config.actions import Action, Discard
from paquebot_operator.compile.attached import Memory, revision_of
from paquebot_operator.compile.last_good import LastGood
from paquebot_operator.compile.objects import ObjectKey, Objects
from paquebot_operator.compile.service import Compiled, compile_service
from tests.operator.builders import KEY, NOW, Json, compiled, domain, found, objects, service, table, tls_secret

ALIASES = table("people", "alias", inline={"entries": [{"key": "info", "value": "alice"}]})
WITH_TABLE = domain(aliasTableRef={"name": "people"})
OWNER = ObjectKey("default", "example-test")


def last_of(result: Compiled) -> LastGood:
    assert result.config is not None
    return LastGood(result.config, {name: key for key, (name, _) in result.entries.items()})


def again(last: LastGood, *documents: Json) -> Compiled:
    return compile_service(objects(*documents), KEY, now=NOW, last=last)


def test_a_domain_whose_table_is_gone_keeps_its_entry_and_its_table() -> None:
    good = compiled(service(), WITH_TABLE, ALIASES)
    broken = again(last_of(good), service(), WITH_TABLE)
    assert broken.files == good.files
    assert broken.kept == {OWNER}
    assert broken.entries == good.entries
    assert found(broken, "MailDomain", "TableNotFound").status == "False"


def test_without_a_last_good_entry_a_broken_domain_is_left_out() -> None:
    broken = again(last_of(compiled(service())), service(), WITH_TABLE)
    assert broken.config is not None
    assert (broken.config.domains, dict(broken.entries), broken.kept) == ({}, {}, frozenset())


def test_a_deleted_domain_is_not_kept() -> None:
    broken = again(last_of(compiled(service(), WITH_TABLE, ALIASES)), service())
    assert broken.config is not None
    assert broken.config.domains == {}


def test_a_new_owner_of_a_name_inherits_nothing() -> None:
    last = last_of(compiled(service(), WITH_TABLE, ALIASES))
    other = domain("other", aliasTableRef={"name": "nobody"})
    broken = again(last, service(), other)
    assert broken.config is not None
    assert broken.config.domains == {}


def test_a_domain_that_may_not_attach_any_more_is_not_kept() -> None:
    everywhere = service(allowedDomains={"namespaces": {"from": "All"}})
    foreign = domain(meta={"namespace": "tenant"})
    last = last_of(compiled(everywhere, foreign))
    assert last.config.domains
    denied = again(last, service(), foreign)
    assert denied.config is not None
    assert denied.config.domains == {}


@pytest.mark.parametrize("bend", [
    lambda: service(rules=[{"name": "relay", "match": {"from": {"any": {}}, "for": {"any": {}}}, "action": "out"}],
                    actions=[{"name": "out", "relay": {}}]),
    lambda: service(listeners=[{"name": "mx", "port": 2525, "tls": {"mode": "StartTLS",
                    "certificateRefs": [{"name": "gone"}]}}]),
])  # fmt: skip
def test_a_refused_service_keeps_its_part_while_domains_come_and_go(bend: Callable[[], Json]) -> None:
    last = last_of(compiled(service(), domain()))
    broken = again(last, bend(), domain("second", domain="second.test"))
    assert broken.config is not None
    assert broken.config.service == last.config.service
    assert set(broken.config.domains) == {"second.test"}
    assert KEY in broken.kept


def test_a_refused_service_without_a_last_good_configuration_has_no_files() -> None:
    assert not compiled(service(hostname="a..test")).files


def test_a_certificate_that_is_gone_stays_as_it_was() -> None:
    listener = {"name": "mx", "port": 2525, "tls": {"mode": "StartTLS", "certificateRefs": [{"name": "tls"}]}}
    secured = service(listeners=[listener])
    good = compiled(secured, tls_secret(), domain())
    broken = again(last_of(good), secured, domain())
    assert broken.files == good.files


def test_a_kept_entry_that_does_not_fit_beside_the_others_any_more_is_left_out() -> None:
    last = last_of(compiled(service(), WITH_TABLE, ALIASES))
    turned = table("people", "userinfo", inline={"entries": [{"key": "bob", "value": "2001:2001:/home/bob"}]})
    other = domain("other", domain="other.test", mailboxTableRef={"name": "people"})
    result = again(last, service(), WITH_TABLE, other, turned)
    assert result.config is not None
    assert set(result.config.domains) == {"other.test"}
    assert result.kept == frozenset()
    assert found(result, "MailDomain", "InvalidTable").name == "example-test"


def test_a_memory_changes_nothing_and_forgets_what_changed() -> None:
    memory = Memory()

    def remembered(seen: Objects) -> Compiled:
        return compile_service(seen, KEY, now=NOW, memory=memory)

    first = objects(service(), WITH_TABLE, ALIASES)
    assert remembered(first) == remembered(first) == compile_service(first, KEY, now=NOW)
    unit = memory.units[OWNER]
    remembered(first)
    assert memory.units[OWNER] is unit
    changed = table("people", "alias", inline={"entries": [{"key": "info", "value": "postmaster"}]})
    second = replace(first, tables=objects(changed).tables)
    assert remembered(second) == compile_service(second, KEY, now=NOW)
    assert memory.units[OWNER].revision != unit.revision


def test_every_reference_is_named_whether_it_is_there_or_not() -> None:
    shared = table("people", "alias", secretRef={"name": "people-data"})
    result = compiled(service(), WITH_TABLE, shared)
    assert {("Table", ObjectKey("default", "people")), ("Secret", ObjectKey("default", "people-data"))} <= result.sought


def test_a_revision_tells_nothing_of_credentials() -> None:
    entry = contract.Domain(name="example.test", delivery=Action(discard=Discard()))
    logins = [tables.Table(services=("credentials",), inline=tables.Inline(entries={"a": word})) for word in "xy"]
    people = [tables.Table(services=("alias",), inline=tables.Inline(entries={"a": word})) for word in "xy"]
    assert len({revision_of(entry, {"default/login": each}) for each in logins}) == 1
    assert len({revision_of(entry, {"default/people": each}) for each in people}) == 2


def test_a_kept_entry_that_fits_no_more_takes_no_other_kept_ones_with_it() -> None:
    tenants = [
        domain("b", domain="b.test", aliasTableRef={"name": "more"}),
        table("more", "alias", inline={"keys": ["x"]}),
    ]
    last = last_of(compiled(service(), WITH_TABLE, ALIASES, *tenants))
    boxes = table("people", "userinfo", inline={"entries": [{"key": "info", "value": "alice"}]})
    user = domain("c", domain="c.test", mailboxTableRef={"name": "people"})
    broken = again(last, service(), WITH_TABLE, boxes, user, tenants[0])
    assert broken.config is not None
    assert set(broken.config.domains) == {"b.test", "c.test"}
    assert broken.kept == {ObjectKey("default", "b")}
