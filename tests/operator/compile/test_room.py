"""A file of the configuration holds so much: who makes it too big is left out or stays as it was, and others go on."""

from typing import Any

from paquebot_mta.config.codec import shard_of
from paquebot_mta.config.directory import MAX_FILE_BYTES
from paquebot_operator.compile.attached import Memory
from paquebot_operator.compile.last_good import LastGood
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.compile.service import Compiled, compile_service
from tests.operator.builders import (
    KEY,
    NOW,
    Json,
    compiled,
    config_map,
    domain,
    found,
    metadata,
    objects,
    service,
    table,
)

HALF = 30_000
"""So many keys take more than half of a file, and less than all of it."""
NAMES = [name for name in (f"d{number}.test" for number in range(2_000)) if shard_of(name) == shard_of("d0.test")]
"""Domains of one shard."""


def tables_of_one_shard(count: int) -> list[str]:
    names = (f"t{number}" for number in range(20_000))
    return [name for name in names if shard_of(f"default/{name}") == "domains-00"][:count]


FIRST, SECOND = tables_of_one_shard(2)


def big(name: str, keys: int = HALF) -> list[Json]:
    text = "".join(f"user{number:05d} bob\n" for number in range(keys))
    return [table(name, "alias", configMapRef={"name": name, "key": "table"}), config_map(name, table=text)]


def user(name: str, held: str, created: str = "2026-01-01T00:00:00Z") -> Json:
    meta = metadata(name, creationTimestamp=created)
    return domain(name, meta=meta, domain=f"{name}.test", aliasTableRef={"name": held})


def again(last: Compiled, *documents: Json, memory: Memory | None = None) -> Compiled:
    assert last.config is not None
    return compile_service(
        objects(service(), *documents), KEY, now=NOW, last=LastGood(last.config, last.owners), memory=memory
    )


def domains_of(result: Compiled) -> dict[str, Any]:
    assert result.config is not None
    assert all(len(content) <= MAX_FILE_BYTES for content in result.files.values())
    return dict(result.config.domains)


def test_the_younger_of_two_that_have_no_room_together_is_left_out_and_says_so() -> None:
    old, young = user("old", FIRST), user("young", SECOND, created="2026-02-01T00:00:00Z")
    result = compiled(service(), young, old, domain("other", domain="other.test"), *big(FIRST), *big(SECOND))
    assert set(domains_of(result)) == {"old.test", "other.test"}
    refused = found(result, "MailDomain", "ConfigTooBig")
    assert (refused.name, refused.type, refused.status) == ("young", "Accepted", "False")
    assert {each.status for each in result.conditions if (each.name, each.type) == ("young", "Accepted")} == {"False"}
    assert result.owners.keys() == {"old.test", "other.test"}


def test_what_is_in_force_stays_though_an_older_one_grows() -> None:
    before = [user("old", FIRST), user("young", SECOND, created="2026-02-01T00:00:00Z"), *big(SECOND)]
    last = compiled(service(), *before, *big(FIRST, keys=10))
    memory = Memory()
    grown = again(last, *before, *big(FIRST), domain("new", domain="new.test"), memory=memory)
    assert domains_of(grown) == domains_of(last) | {"new.test": domains_of(grown)["new.test"]}
    assert grown.config is not None
    assert len(grown.config.tables[f"default/{FIRST}"].inline.entries) == 10  # type: ignore[union-attr]
    assert grown.kept == {ObjectKey("default", "old")}
    assert grown.entries[ObjectKey("default", "old")] == last.entries[ObjectKey("default", "old")]
    assert found(grown, "MailDomain", "ConfigTooBig").name == "old"
    assert memory.units[ObjectKey("default", "old")].domain is None


def test_deletes_are_served_while_there_is_no_room_and_room_is_used_again() -> None:
    first = user("old", FIRST), *big(FIRST)
    second = user("young", SECOND, created="2026-02-01T00:00:00Z"), *big(SECOND)
    memory = Memory()
    full = again(compiled(service(), *first), *first, *second, domain("gone", domain="gone.test"), memory=memory)
    assert set(domains_of(full)) == {"old.test", "gone.test"}
    less = again(full, *first, *second, memory=memory)
    assert set(domains_of(less)) == {"old.test"}
    assert set(domains_of(again(less, *second, memory=memory))) == {"young.test"}
    assert memory.units[ObjectKey("default", "young")].domain is not None


def test_a_domain_that_is_too_big_by_itself_is_left_out_alone() -> None:
    lists = [{"name": f"list{number:04d}", "targets": ["error:550 No " + "x" * 900]} for number in range(1_400)]
    result = compiled(service(), domain("big", domain="big.test", aliases=lists), domain("good", domain="good.test"))
    assert set(domains_of(result)) == {"good.test"}
    assert found(result, "MailDomain", "ConfigTooBig").name == "big"


def test_many_domains_fill_a_file_to_its_brim_and_not_beyond() -> None:
    boxes = [f"mailbox-with-a-long-name-{number:05d}" for number in range(5_000)]
    result = compiled(
        service(), *(domain(f"d{place}", domain=name, mailboxes=boxes) for place, name in enumerate(NAMES))
    )
    sizes = [len(content) for content in result.files.values()]
    assert max(sizes) <= MAX_FILE_BYTES < max(sizes) * 1.2
    assert 0 < len(domains_of(result)) < len(NAMES)


def test_a_service_that_is_too_big_by_itself_stays_as_it_was_and_domains_go_on() -> None:
    last = compiled(service(), domain())
    rule = {
        "name": "listed",
        "match": {"from": {"any": {}}, "for": {"domains": {"tableRef": {"name": FIRST}}}},
        "action": "none",
    }
    actions = [{"name": "none", "discard": {}}]
    held = [{"key": f"{number:05d}.{'x' * 800}.test", "value": "y"} for number in range(1_300)]
    huge = [table(name, "domain", inline={"entries": held[half::2]}) for half, name in enumerate((FIRST, SECOND))]
    rules = [
        rule,
        rule | {"name": "more", "match": {"from": {"any": {}}, "for": {"domains": {"tableRef": {"name": SECOND}}}}},
    ]
    documents = objects(service(rules=rules, actions=actions), domain("new", domain="new.test"), *huge)
    assert last.config is not None
    result = compile_service(documents, KEY, now=NOW, last=LastGood(last.config, last.owners))
    assert found(result, "MailService", "ConfigTooBig").status == "False"
    assert set(domains_of(result)) == {"new.test"}
    assert KEY in result.kept
