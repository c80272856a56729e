"""Equal objects give equal bytes, whatever order they came in, and the contract's reader takes them."""

import json
import random

from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.config.codec import load
from paquebot_operator.compile.judge import judge
from tests.operator.builders import HASH, KEY, NOW, Json, domain, objects, service, submission, table, tls_secret

DOCUMENTS = [
    service(listeners=[{"name": "mx", "port": 2525}, submission()], actions=[{"name": "out", "relay": {}}]),
    tls_secret(),
    table("users", "credentials", inline={"entries": [{"key": name, "value": HASH} for name in ("b", "a", "c")]}),
    table("aliases", "alias", inline={"entries": [{"key": "info", "value": "alice"}]}),
    domain("same-a"),
    domain("same-b"),
    *(domain(f"d{n}", domain=f"d{n}.example", aliasTableRef={"name": "aliases"}) for n in range(9)),
    domain("broken", domain="broken.example", aliasTableRef={"name": "gone"}),
]
EXPECTED = judge(objects(*DOCUMENTS), now=NOW)


@given(st.randoms(use_true_random=False))
def test_the_order_of_objects_never_matters(order: random.Random) -> None:
    shuffled = list(DOCUMENTS)
    order.shuffle(shuffled)
    judged = judge(objects(*shuffled), now=NOW)
    assert judged.conditions == EXPECTED.conditions
    assert dict(judged.services[KEY].files) == dict(EXPECTED.services[KEY].files)


def test_the_order_of_entries_in_mappings_never_matters() -> None:
    entries = [{"key": "x", "value": "alice"}, {"key": "y", "value": "alice"}]
    rows = (entries, entries[::-1])
    files = [
        judge(
            objects(
                service(), domain(aliasTableRef={"name": "t"}), table("t", "alias", inline={"entries": list(each)})
            ),
            now=NOW,
        )
        .services[KEY]
        .files
        for each in rows
    ]
    assert files[0] == files[1]


def test_a_default_that_is_written_out_changes_nothing() -> None:
    # Read from text, so that no value is the very object that a default is.
    text = '[{}, {"queue": {"ttlSeconds": 345600}, "limits": {"maxSessions": 1000}, "bounce": {}}]'
    written: list[Json] = json.loads(text)
    files = [judge(objects(service(**spec)), now=NOW).services[KEY].files for spec in written]
    assert files[0] == files[1]


def test_the_contract_reads_what_was_compiled() -> None:
    compiled = EXPECTED.services[KEY]
    assert load(compiled.files) == compiled.config
    assert compiled.config is not None
    assert len(compiled.config.domains) == 10


def test_tables_of_domains_lie_in_the_domains_shards() -> None:
    config = EXPECTED.services[KEY].config
    assert config is not None
    assert set(config.service.tables) == {"default/users"}
    assert set(config.tables) == {"default/users", "default/aliases"}


def test_a_changed_domain_changes_its_own_shard_and_the_index_only() -> None:
    changed = [*DOCUMENTS, domain("d0", domain="d0.example", mailboxes=["postmaster"])]
    after = judge(objects(*changed), now=NOW).services[KEY].files
    before = EXPECTED.services[KEY].files
    differing = {name for name in before if before[name] != after.get(name)}
    assert differing >= {"index.json"}
    assert len(differing) == 2
    assert "service.json" not in differing
