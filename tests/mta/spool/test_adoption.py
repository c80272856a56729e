"""What dead incarnations leave is served by exactly one living one, however often the adopters die."""

import asyncio
import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from paquebot_mta.mail.ids import Msgid
from paquebot_mta.spool.journal import Journal
from tests.mta.spool.support import (
    ACCEPTED_AT,
    SMALL,
    contents,
    deferred,
    everything,
    final,
    homes,
    journal,
    read,
    segments,
    store,
)


async def test_mail_is_served_where_it_lies(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as dead:
        await store(dead, b"x" * 100_000)
    before = segments(tmp_path)
    sizes = [path.stat().st_size for path in before]
    async with journal(tmp_path, crash=True) as adopter:
        assert contents((await everything(adopter)).values()) == [b"x" * 100_000]
    assert [path.stat().st_size for path in before] == sizes


async def test_results_about_adopted_mail_survive_chains_of_adopters(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as first:
        message = await store(first, b"content", 2)
        one, two = (envelope.evpid for envelope in message.envelopes)
        await first.update([deferred(one, 1)])
    for attempt in range(2, 6):
        async with journal(tmp_path, crash=True) as adopter:
            stored = await adopter.load(message.msgid)
            assert stored is not None
            assert stored.states[one].attempts == attempt - 1
            await adopter.update([deferred(one, attempt)])
    async with journal(tmp_path, crash=True) as adopter:
        await adopter.update([final(one)])
    async with journal(tmp_path, crash=True) as adopter:
        stored = await adopter.load(message.msgid)
        assert stored is not None
        assert list(stored.states) == [two]
        await adopter.update([final(two)])
    async with journal(tmp_path) as last:
        assert await everything(last) == {}
    assert homes(tmp_path) == []


async def test_a_directory_goes_when_its_last_message_does(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as dead:
        message = await store(dead, b"x")
    async with journal(tmp_path) as adopter:
        assert len(homes(tmp_path)) == 2
        await adopter.update([final(message.envelopes[0].evpid)])
        await adopter._parts.janitor.finish()
        assert [home.name for home in homes(tmp_path)] == [adopter._parts.homes[0].incarnation]


async def test_a_grave_is_kept_for_its_grace(tmp_path: Path) -> None:
    options = replace(SMALL, grave_seconds=100.0)
    async with journal(tmp_path, options=options) as only:
        await only.update([final((await store(only, b"x")).envelopes[0].evpid)])
    assert len(graves(tmp_path)) == 1
    async with journal(tmp_path, options=options, clock=lambda: ACCEPTED_AT + 99, crash=True):
        assert len(graves(tmp_path)) == 1
    async with journal(tmp_path, options=options, clock=lambda: ACCEPTED_AT + 101, crash=True) as last:
        await last._parts.janitor.finish()
        assert [grave.name[-3:] for grave in graves(tmp_path)] == ["101"]


async def test_a_directory_whose_making_was_cut_short_goes_after_an_hour(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True):
        half_made = tmp_path / "v1/pods/.new-0123456789abcdef"
        half_made.mkdir()
        (half_made / "lock").touch()
    os.utime(half_made, (time.time(), time.time() - 3_500))
    async with journal(tmp_path):
        assert half_made.exists()
    os.utime(half_made, (time.time(), time.time() - 3_700))
    async with journal(tmp_path):
        assert not half_made.exists()


def graves(path: Path) -> list[Path]:
    return list(path.glob("v1/grave/*"))


async def test_each_dead_incarnation_goes_to_exactly_one_of_many_that_start_together(tmp_path: Path) -> None:
    stored = []
    dead = [journal(tmp_path, crash=True) for _ in range(6)]
    for each in dead:
        stored.append((await store(await each.__aenter__(), b"x")).msgid)
    for each in dead:
        await each.__aexit__(None, None, None)
    starting = [journal(tmp_path, options=replace(SMALL, claim_pause_seconds=0.05)) for _ in range(3)]
    workers = await asyncio.gather(*(each.__aenter__() for each in starting))
    found = [msgid for worker in workers for msgid in await everything(worker)]
    assert sorted(found) == sorted(stored)
    assert min(worker.stats().messages for worker in workers) >= 1
    for each in starting:
        await each.__aexit__(None, None, None)


async def test_a_group_stays_together_even_if_its_adopter_died_half_way(tmp_path: Path) -> None:
    """Owner overwritten, nothing read yet: the members still lead to one root."""
    async with journal(tmp_path, crash=True) as first:
        message = await store(first, b"content", 2)
    async with journal(tmp_path, crash=True) as second:
        await second.update([final(message.envelopes[0].evpid)])
        mine = await store(second, b"mine")
    async with journal(tmp_path, crash=True) as third:
        assert third.stats().messages == 2
    starting = [journal(tmp_path) for _ in range(2)]
    workers = await asyncio.gather(*(each.__aenter__() for each in starting))
    assert sorted(worker.stats().messages for worker in workers) == [0, 2]
    holder = max(workers, key=lambda worker: worker.stats().messages)
    stored = await holder.load(message.msgid)
    assert stored is not None
    assert list(stored.states) == [message.envelopes[1].evpid]
    assert await read(holder, mine.msgid) == b"mine"
    for each in starting:
        await each.__aexit__(None, None, None)


async def test_two_that_died_over_claims_of_each_other_are_both_taken(tmp_path: Path) -> None:
    dead: list[str] = []
    async with journal(tmp_path, crash=True) as first, journal(tmp_path, crash=True) as second:
        for each in (first, second):
            await store(each, b"left behind")
            dead.append(each.parts.homes[0].incarnation)
    for root, claimer in (dead, reversed(dead)):
        (tmp_path / "v1" / "adopt" / f"{root}.1").write_text(claimer)
    async with journal(tmp_path) as heir:
        assert len(await everything(heir)) == 2


async def test_messages_with_the_same_id_are_both_kept(tmp_path: Path) -> None:
    for content in (b"first", b"second", b"third"):
        async with journal(tmp_path, crash=True) as dead:
            dead._parts.index._entries.clear()
            dead._parts.randbits = lambda bits: 7
            await store(dead, content)
    for _ in range(2):
        async with journal(tmp_path, crash=True) as adopter:
            found = await everything(adopter)
            assert sorted(contents(found.values())) == [b"first", b"second", b"third"]
            assert all(stored.message.envelopes[0].evpid.startswith(msgid) for msgid, (stored, _) in found.items())
    async with journal(tmp_path) as last:
        found = await everything(last)
        await last.update([final(evpid) for stored, _ in found.values() for evpid in stored.states])
    assert homes(tmp_path) == []


CHILD = """
import asyncio, sys
from pathlib import Path
from tests.mta.spool.support import journal, store
async def main():
    async with journal(Path(sys.argv[1])) as spool:
        print(spool.stats().messages, flush=True)
        for number in range(5):
            print((await store(spool, b"child")).msgid, flush=True)
        sys.stdin.read()
asyncio.run(main())
"""


def start_child(path: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.crash
async def test_two_processes_share_a_spool_and_one_inherits_the_other(tmp_path: Path) -> None:
    child = await asyncio.to_thread(start_child, tmp_path)
    assert child.stdout is not None
    lines = [(await asyncio.to_thread(child.stdout.readline)).strip() for _ in range(6)]
    async with journal(tmp_path) as ours:
        assert ours.stats().messages == 0
        await store(ours, b"ours")
        child.kill()
        await asyncio.to_thread(child.communicate)
    async with journal(tmp_path) as heir:
        found = await everything(heir)
        assert {Msgid(line) for line in lines[1:]} < set(found)
        assert len(found) == 6


async def test_old_segments_are_emptied_by_copying_forward(tmp_path: Path) -> None:
    options = replace(SMALL, compact_age_seconds=0.0, compact_live_share=0.5, segment_bytes=20_000)
    now = [ACCEPTED_AT]
    async with journal(tmp_path, options=options, clock=lambda: now[0], crash=True) as spool:
        messages = [await store(spool, bytes([number]) * 1_000, 2) for number in range(60)]
        kept = messages[::10]
        await spool.update([final(e.evpid) for m in messages if m not in kept for e in m.envelopes])
        await spool.update([deferred(m.envelopes[0].evpid, 5) for m in kept])
        await spool.update([final(m.envelopes[1].evpid) for m in kept])
        before = set(segments(tmp_path))
        now[0] += 10
        await compact(spool, now[0])
        assert len(before & set(segments(tmp_path))) <= 2
        assert contents((await everything(spool)).values()) == [bytes([n]) * 1_000 for n in range(0, 60, 10)]
        await spool.update([final(kept[0].envelopes[0].evpid)])
    async with journal(tmp_path) as after:
        found = await everything(after)
        assert sorted(found) == sorted(m.msgid for m in kept[1:])
        for message in kept[1:]:
            assert found[message.msgid][0].states == {
                message.envelopes[0].evpid: deferred(message.envelopes[0].evpid, 5).state
            }
        await after.update([final(m.envelopes[0].evpid) for m in kept[1:]])
    assert homes(tmp_path) == []


async def compact(spool: Journal, now: float) -> None:
    parts = spool._parts
    while (segment := parts.compactor.candidate(parts.homes, now)) is not None:
        await parts.compactor.empty(segment, spool.busy)
        parts.janitor.consider(segment)
        await parts.janitor.finish()


async def test_copying_forward_moves_mail_out_of_adopted_directories(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as dead:
        messages = [await store(dead, bytes([number]) * 1_000) for number in range(30)]
    options = replace(SMALL, compact_age_seconds=0.0, compact_live_share=0.5)
    async with journal(tmp_path, options=options, crash=True) as adopter:
        await adopter.update([final(m.envelopes[0].evpid) for m in messages[1:]])
        await adopter.update([deferred(messages[0].envelopes[0].evpid, 2)])
        await compact(adopter, ACCEPTED_AT + 10)
        await adopter._parts.janitor.finish()
        assert len(homes(tmp_path)) == 1
        await adopter.update([deferred(messages[0].envelopes[0].evpid, 3)])
    async with journal(tmp_path) as after:
        stored = await after.load(messages[0].msgid)
        assert stored is not None
        assert stored.states[messages[0].envelopes[0].evpid].attempts == 3
        assert await read(after, messages[0].msgid) == bytes(1_000)
        assert after.stats().messages == 1


async def test_an_id_in_use_is_not_given_twice(tmp_path: Path) -> None:
    async with journal(tmp_path) as spool:
        spool._parts.randbits = lambda bits: random.getrandbits(4)
        drafts = {spool.create().msgid for _ in range(10)}
        assert len(drafts) == 10
