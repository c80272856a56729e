"""Sealed and packed queues: what is written comes back, by whoever has the key, and by nobody else."""

import base64
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import pytest

from paquebot_mta.config.service import Queue
from paquebot_mta.spool.format import decode_header
from paquebot_mta.spool.options import JournalOptions
from paquebot_mta.telemetry.events import Notice
from tests.mta.spool.support import (
    ACCEPTED_AT,
    SMALL,
    deferred,
    everything,
    final,
    homes,
    journal,
    read,
    segments,
    store,
    until,
)

MARKER: Final = b"the-quick-brown-fox-marker"
WATCHING: Final = replace(SMALL, machine="").leased(0.3)
Compression = Literal["None", "Zstd", "Gzip"]


def ring(*kids: int, first_day: int = 1, fill: int = 0) -> str:
    """A key ring; a greater id is newer."""
    keys = [bytes((fill + kid * 7 + at) % 256 for at in range(32)) for kid in kids]
    return json.dumps(
        [
            {"id": kid, "key": base64.b64encode(key).decode(), "createdAt": f"2026-11-{first_day + kid:02}T00:00:00Z"}
            for kid, key in zip(kids, keys, strict=True)
        ]
    )


def queue(key_ring: str = "", compression: Compression = "None") -> Queue:
    return Queue(minimum_free_percent=0, key_ring=key_ring, compression=compression)


BOTH: Final = queue(ring(1), "Zstd")
ALL: Final = [queue(ring(1)), queue("", "Zstd"), queue("", "Gzip"), BOTH, queue(ring(1), "Gzip")]
IDS: Final = ["sealed", "zstd", "gzip", "sealed-zstd", "sealed-gzip"]


def bodies() -> list[bytes]:
    dice = random.Random(7)
    text = b"Subject: " + MARKER + b"\r\n\r\n" + MARKER * 40
    return [b"", b"x", text, text * 200, dice.randbytes(70_000), bytes(700_000), text * 90 + dice.randbytes(300_000)]


def headers(path: Path) -> list[tuple[int, int]]:
    """Version and key id of each segment."""
    found = [decode_header(each.read_bytes()[:4096]) for each in segments(path)]
    return [(each.version, each.kid) for each in found if each is not None]


def plaintext(path: Path, *markers: bytes) -> list[str]:
    """Files, or names of files, that hold a marker."""
    files = [each for each in path.rglob("*") if each.is_file()]
    return [str(each) for each in files if any(m in each.read_bytes() or m in str(each).encode() for m in markers)]


def quarantined(path: Path) -> list[Path]:
    return list(path.glob("v1/corrupt/*"))


@pytest.mark.parametrize("wanted", ALL, ids=IDS)
async def test_everything_comes_back_here_and_at_the_next_start(tmp_path: Path, wanted: Queue) -> None:
    async with journal(tmp_path, queue=wanted, options=replace(SMALL, cache_bytes=0), crash=True) as first:
        stored = {(await store(first, body, 3, chunk=50_000)).msgid: body for body in bodies()}
        for msgid, body in stored.items():
            assert await read(first, msgid) == body
            chunks = [len(chunk) async for chunk in first.content(msgid)]
            assert max(chunks, default=0) <= 65_536
    async with journal(tmp_path, queue=wanted) as second:
        found = await everything(second)
        assert {msgid: content for msgid, (_, content) in found.items()} == stored
        assert all(len(each.states) == 3 for each, _ in found.values())
        assert second.stats().corrupt == 0


@pytest.mark.parametrize("wanted", [queue(ring(1)), BOTH], ids=["sealed", "both"])
async def test_nothing_of_the_mail_is_on_the_volume(tmp_path: Path, wanted: Queue) -> None:
    async with journal(tmp_path, queue=wanted) as spool:
        for body in bodies():
            message = await store(spool, body, 2)
            await spool.update([deferred(message.envelopes[0].evpid, 2)])
            spool.intend([message.envelopes[1].evpid])
        assert segments(tmp_path)
        assert not plaintext(tmp_path, MARKER, b"example.test", b"try again later", b"sender@")
    assert not plaintext(tmp_path, MARKER, b"example.test", b"try again later", b"sender@")


async def test_compression_takes_less_space(tmp_path: Path) -> None:
    sizes = {}
    for wanted in (queue(), queue("", "Zstd"), queue("", "Gzip"), BOTH):
        place = tmp_path / f"{wanted.compression}{bool(wanted.key_ring)}"
        place.mkdir()
        async with journal(place, queue=wanted) as spool:
            for _ in range(10):
                await store(spool, b"A line of text that says something again.\r\n" * 300)
            sizes[place.name] = sum(each.stat().st_size for each in segments(place))
    assert max(size for name, size in sizes.items() if not name.startswith("None")) * 4 < sizes["NoneFalse"]


async def test_what_was_written_in_any_way_is_served_together(tmp_path: Path) -> None:
    """Across changes of keys and compression, starts and adoptions; big messages and small ones."""
    ways = [queue(), queue(ring(1)), queue(ring(1, 2), "Zstd"), queue(ring(1, 2), "Gzip"), queue("", "Zstd"), BOTH]
    stored = {}
    every = ring(1, 2)
    for wanted in ways:
        async with journal(tmp_path, queue=queue(every), crash=True) as spool:
            await spool.reconfigure(wanted)
            for body in bodies():
                stored[(await store(spool, body)).msgid] = body
            await spool.reconfigure(queue(every))
    assert {(1, 0), (2, 1), (2, 2), (2, 0)} <= set(headers(tmp_path))
    async with journal(tmp_path, queue=queue(every)) as last:
        found = await everything(last)
        assert {msgid: content for msgid, (_, content) in found.items()} == stored
        await last.update([final(evpid) for each, _ in found.values() for evpid in each.states])
    assert homes(tmp_path) == []


async def test_the_newest_key_writes_from_the_next_message_on(tmp_path: Path) -> None:
    async with journal(tmp_path, queue=queue(ring(1))) as spool:
        await store(spool, b"one")
        await spool.reconfigure(queue(ring(1, 2)))
        await store(spool, b"two")
        assert headers(tmp_path) == [(2, 1), (2, 2)]
        uses = [(use.kid, use.writes, use.segments, use.locked) for use in spool.key_uses()]
        assert uses == [(2, True, 1, 0), (1, False, 1, 0)]


async def test_a_key_made_in_the_future_does_not_write_yet(tmp_path: Path) -> None:
    now = ACCEPTED_AT

    def clock() -> float:
        return now

    later = json.loads(ring(1, 2))
    later[1]["createdAt"] = "2027-06-01T00:00:00+02:00"
    async with journal(tmp_path, queue=queue(json.dumps(later)), clock=clock) as spool:
        await store(spool, b"one")
        now += 300 * 86_400
        await store(spool, b"two")
    assert headers(tmp_path) == [(2, 1), (2, 2)]


async def test_a_clock_before_all_keys_were_made_stops_no_mail(tmp_path: Path) -> None:
    """Nothing was written then: a clock that was set back by a day stopped a queue whose key was an hour old."""
    late = json.loads(ring(1, 2))
    late[0]["createdAt"], late[1]["createdAt"] = "2031-01-01T00:00:00Z", "2032-01-01T00:00:00Z"
    async with journal(tmp_path, queue=queue(json.dumps(late))) as spool:
        kept = [await store(spool, b"x" * size) for size in (10, 400_000)]
        assert [(use.kid, use.writes) for use in spool.key_uses()] == [(2, False), (1, True)]
    async with journal(tmp_path, queue=queue(json.dumps(late))) as after:
        assert sorted(await everything(after)) == sorted(message.msgid for message in kept)
    assert {kid for _, kid in headers(tmp_path)} == {1}


async def test_an_idle_queue_leaves_an_old_key_too(tmp_path: Path) -> None:
    """The segment that was written to last stayed as it was until the next mail, and who waited for it, waited."""
    now = ACCEPTED_AT
    async with journal(tmp_path, queue=queue(ring(1)), clock=lambda: now) as spool:
        kept = await store(spool, b"waits")
        await spool.reconfigure(queue(ring(1, 2)))
        parts = spool.parts
        for _ in range(2):
            now += 2 * SMALL.compact_age_seconds
            await parts.compactor.begin_anew(parts.homes, now)
            for segment in parts.compactor.candidates(parts.homes, now):
                await parts.compactor.empty(segment, spool.busy)
                parts.janitor.consider(segment)
        await parts.janitor.finish()
        assert [(use.kid, use.segments) for use in spool.key_uses()] == [(2, 1), (1, 0)]
        assert await read(spool, kept.msgid) == b"waits"


async def leave(path: Path, wanted: Queue, *contents: bytes, options: JournalOptions = SMALL) -> None:
    async with journal(path, queue=wanted, options=options, crash=True) as dead:
        for content in contents:
            await store(dead, content)


def missing(notices: Sequence[Notice]) -> list[dict[str, Any]]:
    return [dict(notice.details) for notice in notices if notice.event == "queue.key-missing"]


@pytest.mark.parametrize("wrong", ["", ring(2), ring(1, fill=1)], ids=["none", "another", "same-id"])
async def test_without_the_key_mail_is_held_said_and_untouched(tmp_path: Path, wrong: str) -> None:
    await leave(tmp_path, queue(ring(1)), b"one", b"two")
    before = {each: each.read_bytes() for each in segments(tmp_path)}
    notices: list[Notice] = []
    async with journal(tmp_path, queue=queue(wrong), options=SMALL.leased(0.3), notice=notices.append) as spool:
        assert spool.stats().messages == 0
        assert spool.stats().locked == 1
        assert [(use.kid, use.locked) for use in spool.key_uses() if use.locked] == [(1, 1)]
        await store(spool, b"new mail goes on")
        assert [each["keys"] for each in missing(notices)] == ["1"]
        assert {each: each.read_bytes() for each in before} == before
        assert not quarantined(tmp_path)
        await spool.reconfigure(queue(ring(1)))
        await until(lambda: spool.stats().messages == 3, "the key came", 10.0)
        assert spool.stats().locked == 0
        found = sorted(content for _, content in (await everything(spool)).values())
        assert found == [b"new mail goes on", b"one", b"two"]


async def test_who_has_the_key_takes_over_and_who_has_not_stays_away(tmp_path: Path) -> None:
    await leave(tmp_path, queue(ring(1)), b"one", options=replace(WATCHING, machine=""))
    async with (
        journal(tmp_path, queue=queue(ring(2)), options=WATCHING) as without,
        journal(tmp_path, queue=queue(ring(1, 2)), options=WATCHING) as has_it,
    ):
        await until(lambda: has_it.stats().messages == 1, "adoption", 10.0)
        await until(lambda: without.stats().locked == 0, "it is served", 10.0)
        assert without.stats().messages == 0


async def test_a_part_that_is_locked_keeps_its_results_true(tmp_path: Path) -> None:
    """What was delivered stands in a segment of the newer key: without it the older mail must wait too."""
    async with journal(tmp_path, queue=queue(ring(1)), crash=True) as dead:
        message = await store(dead, b"delivered")
        await dead.reconfigure(queue(ring(1, 2)))
        await store(dead, b"fresh")
        await dead.update([final(message.envelopes[0].evpid)])
    async with journal(tmp_path, queue=queue(ring(1))) as spool:
        assert spool.stats().messages == 0
    async with journal(tmp_path, queue=queue(ring(1, 2))) as spool:
        assert [content for _, content in (await everything(spool)).values()] == [b"fresh"]


async def test_a_key_taken_from_the_ring_while_it_is_needed_is_said_and_still_used(tmp_path: Path) -> None:
    notices: list[Notice] = []
    async with journal(
        tmp_path, queue=queue(ring(1)), options=replace(SMALL, cache_bytes=0), notice=notices.append
    ) as spool:
        message = await store(spool, MARKER)
        await spool.reconfigure(queue(ring(2)))
        assert [dict(each.details) for each in notices if each.event == "queue.key-removed"] == [
            {"keys": "1", "segments": 1}
        ]
        assert await read(spool, message.msgid) == MARKER


async def test_mail_under_an_older_key_moves_to_the_newest(tmp_path: Path) -> None:
    options = replace(SMALL, housekeeping_seconds=0.05, compact_age_seconds=-1.0, cache_bytes=0)
    async with journal(tmp_path, queue=queue(), options=options) as spool:
        big, small = await store(spool, bytes(400_000)), await store(spool, MARKER * 100)
        assert plaintext(tmp_path, MARKER)
        await spool.reconfigure(queue(ring(3), "Zstd"))
        await store(spool, b"new")
        await until(lambda: {kid for _, kid in headers(tmp_path)} == {3}, "the move", 10.0)
        assert await read(spool, big.msgid) == bytes(400_000)
        assert await read(spool, small.msgid) == MARKER * 100
        assert not plaintext(tmp_path, MARKER)


async def test_a_passphrase_gives_all_processes_of_a_volume_one_key(tmp_path: Path) -> None:
    phrase = '[{"id": 9, "passphrase": "correct horse battery staple", "createdAt": "2026-11-01T00:00:00Z"}]'
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    await leave(here, queue(phrase), b"one")
    there.mkdir()
    await leave(there, queue(phrase), b"two")
    async with journal(here, queue=queue(phrase)) as spool:
        assert [content for _, content in (await everything(spool)).values()] == [b"one"]
    (stranger,) = segments(there)
    assert (len(headers(there)), stranger.stat().st_size > 4096) == (1, True)
    async with journal(there, queue=queue(phrase.replace("staple", "staples"))) as spool:
        assert spool.stats().locked == 1
