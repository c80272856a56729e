"""The stores of greylisting: one suite for all, and what each has of its own."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from paquebot_mta.filter.greylist.open_store import open_store
from paquebot_mta.filter.greylist.sqlite_store import PURGE_EVERY, SqliteStore
from paquebot_mta.filter.greylist.store import TRIES, MemoryStore, Store, StoreError
from tests.support.processes import LOOPBACK, PeerProcess, find_program, free_port, run_command
from tests.support.requirements import needs_programs

WORD = "correct-horse"
NOW = 1_700_000_000
KINDS = [
    "memory",
    "sqlite",
    pytest.param("redis", marks=[pytest.mark.integration, needs_programs("redis-server")]),
]


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    folder = tmp_path_factory.mktemp("redis")
    options = ["--port", str(port), "--bind", LOOPBACK, "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with PeerProcess([find_program("redis-server"), *options], folder / "redis.log") as process:
        process.wait_for_port(port)
        yield f"redis://{LOOPBACK}:{port}/0"


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    text = request.param if request.param == "memory" else f"sqlite:{tmp_path}/grey/list.db"
    if request.param == "redis":
        text = request.getfixturevalue("redis_url") + "?protocol=2"
    made = open_store(text, None)
    yield made
    await made.close()


async def test_a_key_is_first_seen_once(store: Store) -> None:
    assert await store.first_seen("a", NOW, 60) == NOW
    assert await store.first_seen("a", NOW + 10, 60) == NOW
    assert await store.find("a", NOW + 10) == NOW
    assert await store.find("b", NOW) is None


async def test_a_key_that_is_renewed_is_as_young_as_that(store: Store) -> None:
    await store.first_seen("c", NOW, 60)
    await store.renew("c", NOW + 50, 60)
    assert await store.find("c", NOW + 100) == NOW + 50


async def test_many_at_once_agree_who_was_first(store: Store) -> None:
    found = await asyncio.gather(*(store.first_seen("d", NOW + each, 600) for each in range(50)))
    assert len(set(found)) == 1


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_keys_are_forgotten_in_time(kind: str, tmp_path: Path) -> None:
    store = open_store("memory" if kind == "memory" else f"sqlite:{tmp_path}/list.db", None)
    await store.first_seen("a", NOW, 60)
    assert await store.find("a", NOW + 59) == NOW
    assert await store.find("a", NOW + 60) is None
    assert await store.first_seen("a", NOW + 60, 60) == NOW + 60
    await store.close()


@pytest.mark.integration
@needs_programs("redis-server")
async def test_redis_forgets_by_itself(redis_url: str) -> None:
    store = open_store(redis_url, None)
    await store.first_seen("short", NOW, 100)
    await store.renew("long", NOW, 1_000)
    await store.close()
    port = redis_url.rpartition(":")[2].partition("/")[0]
    ask = [find_program("redis-cli"), "-p", port, "TTL"]
    lives = [int(run_command([*ask, f"paquebot:greylist:{key}"]).checked().stdout) for key in ("short", "long")]
    assert 90 <= lives[0] <= 100
    assert 990 <= lives[1] <= 1_000


@pytest.mark.integration
@needs_programs("redis-server")
async def test_redis_is_told_the_password_and_nobody_else_is(tmp_path: Path) -> None:
    port = free_port()
    options = ["--port", str(port), "--bind", LOOPBACK, "--save", "", "--dir", str(tmp_path), "--requirepass", WORD]
    with PeerProcess([find_program("redis-server"), *options], tmp_path / "redis.log") as process:
        process.wait_for_port(port)
        right, wrong = (open_store(f"redis://{LOOPBACK}:{port}/0", None, password=word) for word in (WORD, WORD[1:]))
        assert await right.first_seen("a", NOW, 60) == NOW
        with pytest.raises(StoreError) as caught:
            await wrong.find("a", NOW)
        await right.close()
        await wrong.close()
    assert WORD[1:] not in str(caught.value)


async def test_all_processes_share_the_volume_s_file(tmp_path: Path) -> None:
    workers = [open_store("volume", tmp_path, name="mail/grey") for _ in range(2)]
    assert await workers[0].first_seen("a", NOW, 600) == NOW
    assert await workers[1].first_seen("a", NOW + 300, 600) == NOW
    for each in workers:
        await each.close()
    assert os.listdir(tmp_path) == ["greylist-mail.grey.db"]


def test_without_a_volume_there_is_memory() -> None:
    assert isinstance(open_store("volume", None, name="grey"), MemoryStore)


async def test_memory_is_bounded() -> None:
    store = MemoryStore(max_entries=2)
    for key in ("a", "b", "c"):
        await store.first_seen(key, NOW, 60)
    assert await store.find("a", NOW) is None
    assert await store.find("c", NOW) == NOW


async def test_memory_forgets_tries_before_who_is_known() -> None:
    store = MemoryStore(max_entries=3)
    await store.renew("net:192.0.2.0/24", NOW, 60)
    for number in range(10):
        await store.first_seen(f"{TRIES}{number}", NOW, 60)
    assert await store.find("net:192.0.2.0/24", NOW) == NOW
    assert [number for number in range(10) if await store.find(f"{TRIES}{number}", NOW)] == [8, 9]


def _size(path: Path) -> int:
    return path.stat().st_size


async def _fill(store: SqliteStore, prefix: str, count: int, keep_seconds: int) -> None:
    for start in range(0, count, 1_000):
        wave = (store.renew(f"{prefix}{start + each:032}", NOW + start, keep_seconds) for each in range(1_000))
        await asyncio.gather(*wave)


async def test_a_file_is_bounded_and_strangers_take_no_room_of_those_who_are_known(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "list.db", max_bytes=400_000)
    await _fill(store, "net:", 1_000, 50_000)
    await _fill(store, TRIES, 20_000, 1_000_000)
    assert _size(tmp_path / "list.db") < 700_000
    assert await store.find(f"net:{0:032}", NOW) == NOW, "known, although it would be over before all tries"
    assert await store.find(f"{TRIES}{19_999:032}", NOW) is not None
    assert await store.find(f"{TRIES}{0:032}", NOW) is None
    await store.close()


async def test_a_file_full_of_those_who_are_known_is_bounded_too(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "list.db", max_bytes=400_000)
    await _fill(store, "domain:", 10_000, 1_000_000)
    assert _size(tmp_path / "list.db") < 700_000
    assert await store.find(f"domain:{9_999:032}", NOW) is not None
    await store.close()


async def test_two_pods_share_a_file(tmp_path: Path) -> None:
    pods = [SqliteStore(tmp_path / "list.db") for _ in range(2)]
    found = await asyncio.gather(*(pods[each % 2].first_seen("a", NOW + each % 2, 60) for each in range(40)))
    assert len(set(found)) == 1
    for pod in pods:
        await pod.close()


async def test_a_file_outlives_the_process_without_a_wal(tmp_path: Path) -> None:
    for later in (0, 10):
        store = SqliteStore(tmp_path / "list.db")
        assert await store.first_seen("a", NOW + later, 60) == NOW
        await store.close()
    assert os.listdir(tmp_path) == ["list.db"]


async def test_what_is_over_leaves_the_file(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "list.db")
    await asyncio.gather(*(store.renew(f"old{each}", NOW, 10) for each in range(PURGE_EVERY - 1)))
    await store.renew("new", NOW + 20, 10)
    await store.close()
    with sqlite3.connect(tmp_path / "list.db") as connection:
        assert connection.execute("SELECT key FROM seen").fetchall() == [("new",)]
    connection.close()


async def test_a_broken_file_is_told_and_a_mended_one_used(tmp_path: Path) -> None:
    path = tmp_path / "list.db"
    path.write_bytes(b"no database at all, but long enough to be one" * 100)
    store = SqliteStore(path)
    with pytest.raises(StoreError, match=r"list\.db"):
        await store.first_seen("a", NOW, 60)
    path.unlink()
    assert await store.first_seen("a", NOW, 60) == NOW
    await store.close()


async def test_a_redis_that_is_away_is_told() -> None:
    store = open_store(f"redis://{LOOPBACK}:{free_port()}/0", None)
    with pytest.raises(StoreError, match="redis"):
        await store.find("a", NOW)
    await store.close()


@pytest.mark.parametrize("text", ["", "disk", "sqlite:", "sqlite:relative.db", "redis:", "redis:///0"])
def test_texts_that_name_no_store_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="store"):
        open_store(text, None)


def test_a_relative_path_begins_in_the_folder(tmp_path: Path) -> None:
    assert isinstance(open_store("sqlite:list.db", tmp_path), SqliteStore)
