"""The directory source: consistent reads while versions swap, rejection that names its reason, the last good copy."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from paquebot_mta.config.codec import dump, load
from paquebot_mta.config.directory import MAX_FILE_BYTES, read_directory, write_directory
from paquebot_mta.config.errors import ConfigError
from paquebot_mta.config.service import MtaConfig
from paquebot_mta.config.source import SAVE_SECONDS, ConfigStatus, DirectorySource
from tests.mta.config.strategies import DOMAIN, SERVICE, TABLES


def _files(generation: int) -> dict[str, bytes]:
    return dump(SERVICE, [DOMAIN], generation, TABLES)


def _start(place: Path) -> DirectorySource:
    """As a process starts that has no trouble."""
    source = DirectorySource(place / "config", last_good=place / "good")
    source.load_first()
    source.started()
    return source


def _kept(place: Path) -> int:
    """Generation of the last good copy."""
    return load(read_directory(place / "good")).generation


class Applied:
    """Takes configurations and hears of the status."""

    def __init__(self) -> None:
        self.generations: list[int] = []
        self.heard: asyncio.Queue[ConfigStatus] = asyncio.Queue()
        self.refuse: Exception | None = None

    async def apply(self, config: MtaConfig) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.generations.append(config.generation)

    async def next(self) -> ConfigStatus:
        return await asyncio.wait_for(self.heard.get(), 5)


async def _watch(source: DirectorySource, applied: Applied) -> asyncio.Task[None]:
    return asyncio.create_task(source.watch(applied.apply, applied.heard.put_nowait, interval_seconds=0.01))


def test_a_written_directory_looks_as_the_kubelets(tmp_path: Path) -> None:
    write_directory(tmp_path, _files(1))
    write_directory(tmp_path, {"index.json": b"{}", "service.json": b"{}"})
    links = {entry.name: os.readlink(entry) for entry in tmp_path.iterdir() if entry.is_symlink()}
    data = links.pop("..data")
    assert links == {"index.json": "..data/index.json", "service.json": "..data/service.json"}
    assert [entry.name for entry in tmp_path.iterdir() if not entry.is_symlink()] == [data]
    assert (tmp_path / data).stat().st_mode & 0o777 == 0o700
    assert read_directory(tmp_path) == {"index.json": b"{}", "service.json": b"{}"}


def test_writers_of_many_pods_leave_one_whole_version(tmp_path: Path) -> None:
    """Three pods take a configuration at the same moment, and keep the last good copy in one place."""
    for generation in range(40):
        with ThreadPoolExecutor(3) as pods:
            list(pods.map(write_directory, [tmp_path] * 3, [_files(generation)] * 3))
        assert load(read_directory(tmp_path)).generation == generation


def test_a_plain_directory_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_bytes(b"{}")
    (tmp_path / "README").write_bytes(b"not ours")
    assert read_directory(tmp_path) == {"index.json": b"{}"}


def test_a_reader_never_sees_a_mix_of_versions(tmp_path: Path) -> None:
    def version(number: int) -> dict[str, bytes]:
        return {f"f{place}.json": b"%d" % number for place in range(8)}

    write_directory(tmp_path, version(0))
    done = threading.Event()

    def write() -> None:
        for number in range(1, 201):
            write_directory(tmp_path, version(number))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while not done.is_set():
        files = read_directory(tmp_path)
        assert len(files) == 8
        assert len(set(files.values())) == 1
        seen.append(int(files["f0.json"]))
    writer.join()
    assert seen == sorted(seen)
    assert len(set(seen)) > 3


def test_what_is_no_file_of_bounded_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigError, match="bigger than"):
        read_directory(tmp_path)
    (tmp_path / "index.json").unlink()
    os.mkfifo(tmp_path / "index.json")
    with pytest.raises(ConfigError, match="not a file"):
        read_directory(tmp_path)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration"):
        DirectorySource(tmp_path / "none").load_first()


def test_a_configuration_with_a_key_ring_is_never_kept_beside_the_queue(tmp_path: Path) -> None:
    """Nor does the one before stay, which may have had the same secrets."""
    write_directory(tmp_path / "config", _files(1))
    _start(tmp_path)
    assert (tmp_path / "good" / "service.json").exists()
    key = '[{"id": 1, "key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "createdAt": "2026-11-21T00:00:00Z"}]'
    queue = msgspec.structs.replace(SERVICE.queue, key_ring=key)
    sealed = dump(msgspec.structs.replace(SERVICE, queue=queue), [DOMAIN], 2, TABLES)
    write_directory(tmp_path / "config", sealed)
    for _ in range(2):
        source = _start(tmp_path)
        assert source.status.generation == 2
        assert (source.save_failures, (tmp_path / "good").exists()) == (0, False)


@pytest.mark.parametrize("damage", ["gone", "bad"])
def test_the_last_good_copy_stands_in_at_start(tmp_path: Path, damage: str) -> None:
    write_directory(tmp_path / "config", _files(3))
    _start(tmp_path)
    bad = {**_files(4), "service.json": b"{}"}
    write_directory(tmp_path / "config", bad if damage == "bad" else {})
    source = DirectorySource(tmp_path / "config", last_good=tmp_path / "good")
    assert source.load_first().generation == 3
    assert source.status.generation == 3
    assert "sha256" in source.status.rejected_reason or "missing" in source.status.rejected_reason
    assert source.status.rejected_digest


def test_nothing_is_kept_before_it_is_in_force(tmp_path: Path) -> None:
    write_directory(tmp_path / "config", _files(1))
    _start(tmp_path)
    write_directory(tmp_path / "config", _files(2))
    source = DirectorySource(tmp_path / "config", last_good=tmp_path / "good")
    assert source.load_first().generation == 2
    assert _kept(tmp_path) == 1
    assert source.fall_back(ConfigError("service.listeners", "port taken")).generation == 1
    assert (source.status.generation, source.status.rejected_reason) == (1, "service.listeners: port taken")
    assert source.status.rejected_digest not in ("", "-", source.status.digest)
    source.started()
    assert _kept(tmp_path) == 1


@pytest.mark.parametrize("kept", [True, False], ids=["the same", "none"])
def test_without_another_good_one_there_is_nothing_to_fall_back_to(tmp_path: Path, kept: bool) -> None:
    write_directory(tmp_path / "config", _files(1))
    if kept:
        _start(tmp_path)
    source = DirectorySource(tmp_path / "config", last_good=tmp_path / "good")
    source.load_first()
    with pytest.raises(KeyError, match="a fault"):
        source.fall_back(KeyError("a fault"))


def test_a_volume_that_is_away_is_not_made_anew_for_the_copy(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    write_directory(tmp_path / "config", _files(1))
    source = DirectorySource(tmp_path / "config", last_good=volume / "good")
    source.load_first()
    volume.rename(tmp_path / "away")
    source.started()
    assert not volume.exists()
    assert source.save_failures == 1
    (tmp_path / "away").rename(volume)
    source.save()
    assert read_directory(volume / "good") == _files(1)


async def test_the_last_good_copy_is_written_now_and_then_and_only_what_may_be_kept(tmp_path: Path) -> None:
    now = 0.0
    write_directory(tmp_path / "config", _files(1))
    source = DirectorySource(
        tmp_path / "config",
        last_good=tmp_path / "good",
        keep=lambda config: config.generation != 4,
        monotonic=lambda: now,
    )
    source.load_first()
    source.started()
    applied = Applied()
    task = await _watch(source, applied)
    for generation in (2, 3, 4):
        write_directory(tmp_path / "config", _files(generation))
        assert (await applied.next()).generation == generation
    assert _kept(tmp_path) == 1
    now = SAVE_SECONDS
    for _ in range(100):
        await asyncio.sleep(0.01)
        if _kept(tmp_path) != 1:
            break
    assert _kept(tmp_path) == 3
    task.cancel()


async def test_a_new_version_is_applied_and_a_bad_one_is_named(tmp_path: Path) -> None:
    write_directory(tmp_path / "config", _files(1))
    source = DirectorySource(tmp_path / "config", last_good=tmp_path / "good", wall_clock=lambda: 42.0)
    first, applied = source.load_first(), Applied()
    task = await _watch(source, applied)
    write_directory(tmp_path / "config", _files(2))
    taken = await applied.next()
    assert (taken.generation, taken.loaded_at, taken.rejected_digest) == (2, 42.0, "")
    assert taken.digest != first.digest
    write_directory(tmp_path / "config", {**_files(3), "service.json": b"{}"})
    rejected = await applied.next()
    assert (rejected.generation, rejected.digest) == (2, taken.digest)
    assert rejected.rejected_reason.startswith("service: the content's sha256 is")
    write_directory(tmp_path / "config", _files(4))
    assert (await applied.next()).rejected_reason == ""
    assert applied.generations == [2, 4]
    task.cancel()


async def test_a_version_that_cannot_be_put_in_force_is_rejected_whatever_the_fault(tmp_path: Path) -> None:
    write_directory(tmp_path, _files(1))
    source, applied = DirectorySource(tmp_path), Applied()
    source.load_first()
    applied.refuse = RuntimeError("no memory")
    task = await _watch(source, applied)
    write_directory(tmp_path, _files(2))
    assert (await applied.next()).rejected_reason == "RuntimeError: no memory"
    applied.refuse = ConfigError("service.listeners[0]", "port taken")
    write_directory(tmp_path, _files(3))
    status = await applied.next()
    assert (status.generation, status.rejected_reason) == (1, "service.listeners[0]: port taken")
    task.cancel()


async def test_a_vanished_directory_is_reported_once_and_comes_back(tmp_path: Path) -> None:
    write_directory(tmp_path / "config", _files(1))
    source, applied = DirectorySource(tmp_path / "config"), Applied()
    source.load_first()
    task = await _watch(source, applied)
    (tmp_path / "config").rename(tmp_path / "moved")
    assert (await applied.next()).rejected_digest == "-"
    await asyncio.sleep(0.05)
    assert applied.heard.empty()
    (tmp_path / "moved").rename(tmp_path / "config")
    assert (await applied.next()).rejected_reason == ""
    task.cancel()


def test_the_status_is_spelled_for_the_admin_port() -> None:
    shown = msgspec.to_builtins(ConfigStatus(generation=1, digest="ab", rejected_reason="x"))
    assert set(shown) == {"generation", "digest", "loadedAt", "rejectedDigest", "rejectedReason"}


async def test_a_full_volume_never_stops_a_configuration(tmp_path: Path) -> None:
    write_directory(tmp_path / "config", _files(1))
    (tmp_path / "good").write_bytes(b"in the way")
    source = _start(tmp_path)
    assert source.status.generation == 1
    assert source.save_failures == 1
    (tmp_path / "good").unlink()
    source.save()
    assert _kept(tmp_path) == 1
