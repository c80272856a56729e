"""What a start finds after a crash, and what damage costs."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from paquebot_mta.mail.envelope import EnvelopeState
from paquebot_mta.spool.format import CHECK_BYTES, HEADER_BYTES, decode_header, encode_header
from paquebot_mta.spool.journal import Journal
from paquebot_mta.spool.layout import SpoolFormatError
from paquebot_mta.spool.store import SpoolError
from tests.mta.spool.support import (
    SMALL,
    contents,
    deferred,
    everything,
    final,
    homes,
    journal,
    message_of,
    read,
    segments,
    store,
)


@pytest.mark.parametrize("crash", [True, False])
async def test_a_restart_finds_every_message_and_state(tmp_path: Path, crash: bool) -> None:
    async with journal(tmp_path, crash=crash) as before:
        small, big = await store(before, b"small", 3), await store(before, b"b" * 700_000)
        await before.update([deferred(small.envelopes[0].evpid, 4), final(small.envelopes[1].evpid)])
    async with journal(tmp_path) as after:
        found = await everything(after)
        assert contents(found[m.msgid] for m in (small, big)) == [b"small", b"b" * 700_000]
        assert found[small.msgid][0].message == small
        assert found[small.msgid][0].states == {
            small.envelopes[0].evpid: deferred(small.envelopes[0].evpid, 4).state,
            small.envelopes[2].evpid: EnvelopeState(),
        }
        assert (after.stats().messages, after.stats().envelopes, after.stats().corrupt) == (2, 3, 0)


async def test_what_was_finished_stays_finished(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as before:
        messages = [await store(before, b"x" * 300_000), await store(before, b"y"), await store(before, b"z")]
        await before.update([final(message.envelopes[0].evpid) for message in messages[:2]])
    async with journal(tmp_path) as after:
        assert list(await everything(after)) == [messages[2].msgid]


async def test_recovered_messages_come_oldest_first_and_can_be_finished(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as before:
        messages = [await store(before, b"%d" % number) for number in range(50)]
    async with journal(tmp_path) as after:
        assert [stored.message.msgid async for stored in after.walk()] == [message.msgid for message in messages]
        await after.update([final(message.envelopes[0].evpid) for message in messages])
    assert homes(tmp_path) == []
    assert list((tmp_path / "v1/adopt").iterdir()) == list((tmp_path / "v1/grave").iterdir()) == []


async def test_an_empty_spool_leaves_nothing_but_its_directories(tmp_path: Path) -> None:
    async with journal(tmp_path) as only:
        message = await store(only, b"x")
        await only.update([final(message.envelopes[0].evpid)])
    assert homes(tmp_path) == []


async def test_an_uncommitted_draft_is_gone_after_a_crash(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as before:
        draft = before.create()
        draft.write(b"x" * 900_000)
        await draft.drain()
        assert len(segments(tmp_path)) == 1
    async with journal(tmp_path) as after:
        assert await everything(after) == {}
        assert after.stats().corrupt == 0
    assert homes(tmp_path) == []


async def test_a_cancelled_commit_is_stored_all_the_same(tmp_path: Path) -> None:
    async with journal(tmp_path) as spool:
        draft = spool.create()
        draft.write(b"kept")
        message = message_of(draft)
        task = asyncio.create_task(draft.commit(message))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await store(spool, b"next")
        assert await read(spool, message.msgid) == b"kept"


async def test_intents_without_a_result_are_counted_as_possible_duplicates(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as before:
        message = await store(before, b"x", 3)
        first, second, third = (envelope.evpid for envelope in message.envelopes)
        before.intend([first, second, third])
        await before.update([deferred(second, 1), final(third)])
    async with journal(tmp_path, crash=True) as after:
        assert after.stats().possible_duplicates == 1
        await after.update([final(first)])
    async with journal(tmp_path) as last:
        assert last.stats().possible_duplicates == 0


async def test_every_flipped_byte_harms_one_message_at_most(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as before:
        stored = {(await store(before, b"content %d" % number)).msgid: b"content %d" % number for number in range(3)}
    (segment,) = segments(tmp_path)
    whole = segment.read_bytes()
    for at in [*range(0, 160, 7), *range(HEADER_BYTES, len(whole), 3)]:
        spoiled = tmp_path / f"at-{at}"
        os.makedirs(spoiled / "v1/pods" / segment.parent.name)
        os.link(tmp_path / "v1/format", spoiled / "v1/format")
        flipped = whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :]
        (spoiled / "v1/pods" / segment.parent.name / segment.name).write_bytes(flipped)
        async with journal(spoiled) as after:
            whole_ones = {}
            for msgid in [found.message.msgid async for found in after.walk()]:
                with suppress(SpoolError):
                    whole_ones[msgid] = await read(after, msgid)
            assert len(whole_ones) >= 2, at
            assert whole_ones.items() <= stored.items(), at


async def test_damage_is_kept_for_people_and_counted(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as before:
        for number in range(3):
            await store(before, b"content %d" % number)
    (segment,) = segments(tmp_path)
    segment.write_bytes(segment.read_bytes().replace(b"content 1", b"c0ntent 1"))
    async with journal(tmp_path) as after:
        assert after.stats().corrupt == 1
        assert len(await everything_readable(after)) == 2
    (kept,) = (tmp_path / "v1/corrupt").glob("*.000000*")
    assert b"c0ntent 1" in kept.read_bytes()


async def everything_readable(spool: Journal) -> list[bytes]:
    found = []
    for msgid in [stored.message.msgid async for stored in spool.walk()]:
        with suppress(SpoolError):
            found.append(await read(spool, msgid))
    return found


@pytest.mark.parametrize("tail", [b"", b"\0" * 100_000, b"\xff" * 1000, os.urandom(70_000)])
@pytest.mark.parametrize("cut", [0, 13, 16, 40, 200])
async def test_a_torn_tail_costs_only_what_was_never_acknowledged(tmp_path: Path, tail: bytes, cut: int) -> None:
    async with journal(tmp_path, crash=True) as before:
        acked = await store(before, b"acknowledged")
        end = segments(tmp_path)[0].stat().st_size
        await store(before, b"written, but the process died before its sync ended" * 10)
    (segment,) = segments(tmp_path)
    whole = segment.read_bytes()
    segment.write_bytes((whole[: max(end, len(whole) - cut)] if cut else whole[:end]) + tail)
    async with journal(tmp_path) as after:
        found = await everything(after)
        assert found[acked.msgid][1] == b"acknowledged"
        assert len(found) == 1
        # A record that is whole and wrong may have been acknowledged; volumes lose sectors, and leave zeros for them.
        assert after.stats().corrupt == bool(cut and tail and (any(tail) or cut < CHECK_BYTES))


async def test_a_segment_without_a_header_stops_nothing(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as before:
        await store(before, b"x" * 300_000)
        kept = await store(before, b"kept")
    private = next(path for path in segments(tmp_path) if path.stat().st_size > 100_000)
    private.write_bytes(os.urandom(5_000) + private.read_bytes()[5_000:])
    async with journal(tmp_path) as after:
        assert list(await everything(after)) == [kept.msgid]
        assert after.stats().corrupt == 1


async def test_an_unknown_version_is_refused_and_not_touched(tmp_path: Path) -> None:
    async with journal(tmp_path) as spool:
        await store(spool, b"x")
    (tmp_path / "v1/format").write_bytes(b'{"version":2,"cluster":"x"}')
    before = _times(tmp_path)
    with pytest.raises(SpoolFormatError, match="version 2"):
        async with journal(tmp_path):
            pass
    assert _times(tmp_path) == before


def _times(path: Path) -> dict[Path, int]:
    return {each: each.stat().st_mtime_ns for each in path.rglob("*")}


@pytest.mark.parametrize("spoil", [b"", b"garbage", b'{"version":"1"}'])
async def test_a_spool_without_a_readable_format_is_refused(tmp_path: Path, spoil: bytes) -> None:
    async with journal(tmp_path) as spool:
        await store(spool, b"x")
    (tmp_path / "v1/format").write_bytes(spoil)
    with pytest.raises(SpoolFormatError):
        async with journal(tmp_path):
            pass
    (tmp_path / "v1/format").unlink()
    with pytest.raises(SpoolFormatError):
        async with journal(tmp_path):
            pass
    assert len(segments(tmp_path)) == 1


async def test_segments_of_a_later_format_are_held_and_kept(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as before:
        await store(before, b"x" * 300_000)
        await store(before, b"known")
    private = next(path for path in segments(tmp_path) if path.stat().st_size > 100_000)
    await asyncio.to_thread(_encrypt_header, private)
    async with journal(tmp_path) as after:
        found = await everything(after)
        assert contents(found.values()) == [b"known"]
        await after.update([final(evpid) for stored, _ in found.values() for evpid in stored.states])
    assert private.exists()


def _encrypt_header(path: Path) -> None:
    data = path.read_bytes()
    header = decode_header(data[:HEADER_BYTES])
    assert header is not None
    path.write_bytes(encode_header(msgspec.structs.replace(header, kid=9)) + data[HEADER_BYTES:])


async def test_a_living_process_is_not_adopted(tmp_path: Path) -> None:
    async with journal(tmp_path, options=SMALL) as first, journal(tmp_path, options=SMALL) as second:
        await store(first, b"1")
        await store(second, b"2")
        assert (first.stats().messages, second.stats().messages) == (1, 1)
