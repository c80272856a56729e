"""The document as files: round trip, equal bytes, and what a damaged or wrong file is told."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.config.codec import digest, dump, encode, load, shard_of
from paquebot_mta.config.domains import Domain, DomainShard
from paquebot_mta.config.errors import ConfigError
from paquebot_mta.config.service import Index, ServiceShard, ShardRef
from tests.mta.config.strategies import ALIASES, DOMAIN, SERVICE, TABLES, domain_lists, services

SHARD = shard_of("example.test")


def _files() -> dict[str, bytes]:
    return dump(SERVICE, [DOMAIN], 7, TABLES)


def _signed(files: dict[str, bytes], name: str, content: bytes) -> dict[str, bytes]:
    """Replace a shard and make the index agree, as a wrong compiler would."""
    index = msgspec.json.decode(files["index.json"], type=Index)
    changed = ShardRef(name=name, sha256=digest(content))
    refs = tuple(changed if ref.name == name else ref for ref in index.domains)
    service = changed if name == "service" else index.service
    index = msgspec.structs.replace(index, service=service, domains=refs)
    return {**files, f"{name}.json": content, "index.json": encode(index)}


@given(service=services, domains=domain_lists, generation=st.integers(0, 2**40))
def test_what_is_dumped_is_loaded(service: ServiceShard, domains: list[Domain], generation: int) -> None:
    files = dump(service, domains, generation, TABLES)
    config = load(files)
    assert (config.service, config.generation) == (service, generation)
    assert config.domains == {domain.name: domain for domain in domains}
    assert config.tables == {**service.tables, **TABLES}
    assert config.digest == digest(files["index.json"])


@given(service=services, domains=domain_lists, seed=st.integers())
def test_equal_values_give_equal_bytes(service: ServiceShard, domains: list[Domain], seed: int) -> None:
    shuffled = random.Random(seed).sample(domains, len(domains))
    reordered = msgspec.structs.replace(service, actions=dict(reversed(service.actions.items())))
    assert dump(service, domains, 1) == dump(reordered, shuffled, 1)


def test_a_changed_domain_changes_its_own_shard_and_the_index_only() -> None:
    others = [msgspec.structs.replace(DOMAIN, name=f"d{number}.example", alias_table="") for number in range(200)]
    before = dump(SERVICE, [DOMAIN, *others], 1, TABLES)
    after = dump(SERVICE, [msgspec.structs.replace(DOMAIN, delimiter="-"), *others], 1, TABLES)
    assert {name for name in before if before[name] != after[name]} == {"index.json", f"{SHARD}.json"}
    assert set(before) <= {"index.json", "service.json", *(f"domains-{number:02x}.json" for number in range(64))}


@pytest.mark.parametrize("name", sorted(_files()))
def test_a_tampered_or_missing_file_is_named(name: str) -> None:
    shard = name.removesuffix(".json")
    with pytest.raises(ConfigError) as caught:
        load({**_files(), name: _files()[name].replace(b"}", b" }", 1)} if name != "index.json" else {name: b"{"})
    assert caught.value.path == shard
    with pytest.raises(ConfigError, match="missing") as caught:
        load({other: content for other, content in _files().items() if other != name})
    assert caught.value.path == shard


def test_files_beside_the_index_are_passed_over() -> None:
    assert load({**_files(), "domains-zz.json": b"junk", "notes.json": b""}) == load(_files())


@pytest.mark.parametrize(
    ("content", "path"),
    [
        (b'{"name":"a/b","hostname":"x","listeners":[{"name":"mx","colour":1}]}', "service.listeners[0]"),
        (b'{"name":"a/b","hostname":"x","listeners":[],"queue":{"ttlSeconds":"x"}}', "service.queue.ttlSeconds"),
        (b'{"name":"a/b","hostname":"x","listeners":[],"colour":1}', "service"),
        (b"\xff", "service"),
    ],
)
def test_an_unknown_or_wrong_field_is_named_by_its_path(content: bytes, path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(_signed(_files(), "service", content))
    assert caught.value.path == path


def test_a_later_version_is_refused() -> None:
    later = _files()["index.json"].replace(b"{", b'{"version":2,', 1)
    with pytest.raises(ConfigError) as caught:
        load({**_files(), "index.json": later})
    assert caught.value.path == "index.version"


@pytest.mark.parametrize("name", ["../service", "domains-40", "domains-00.json", "service"])
def test_the_index_names_shards_only(name: str) -> None:
    index = msgspec.json.decode(_files()["index.json"], type=Index)
    bad = msgspec.structs.replace(index, domains=(ShardRef(name=name, sha256="0" * 64),))
    with pytest.raises(ConfigError, match="not a shard's name"):
        load({**_files(), "index.json": encode(bad)})


def test_a_domain_in_a_wrong_shard_is_refused() -> None:
    stray = msgspec.structs.replace(DOMAIN, name="elsewhere.example.test", alias_table="")
    assert shard_of(stray.name) != SHARD
    with pytest.raises(ConfigError, match="wrong shard") as caught:
        load(_signed(_files(), SHARD, encode(DomainShard(domains=(stray,)))))
    assert caught.value.path == f"{SHARD}.domains[0].name"


def test_a_domains_table_never_takes_the_name_of_the_services() -> None:
    with pytest.raises(ConfigError, match="taken by another table"):
        load(dump(SERVICE, [], 1, {"users": ALIASES}))
