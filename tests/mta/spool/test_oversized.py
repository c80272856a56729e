"""No record is longer than its reader takes: what would be is refused before anybody is told that it is accepted.

What was wrong: lengths were bounded on reading only. A message to very many envelopes was answered with 250 and was
damage after a restart, and copying one forward with what servers had said to it left nothing but damage.
"""

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from paquebot_mta.mail.envelope import Envelope, EnvelopeState, Message, Result
from paquebot_mta.mail.ids import Evpid
from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool.disk import RealDisk
from paquebot_mta.spool.format import MAX_PAYLOAD_BYTES
from paquebot_mta.spool.journal import Journal
from paquebot_mta.spool.owner import Owner, overwrite_owner
from paquebot_mta.spool.packed import MAX_ACCEPT_BYTES
from paquebot_mta.spool.records import CompactState
from paquebot_mta.spool.segment import Segment
from paquebot_mta.spool.store import MAX_ENVELOPES_BYTES, SpoolError, envelope_bytes
from tests.mta.spool.support import (
    ACCEPTED_AT,
    SMALL,
    HookedDisk,
    everything,
    final,
    journal,
    message_of,
    segments,
    store,
)

TOO_MANY = 100_000
MANY = 30_000
LONG = Reply(451, "x" * 500, "4.2.0")


@pytest.mark.parametrize("length", [5, 400_000], ids=["shared log", "segment of its own"])
async def test_more_envelopes_than_a_record_holds_are_refused(tmp_path: Path, length: int) -> None:
    async with journal(tmp_path) as spool:
        with pytest.raises(SpoolError) as caught:
            await store(spool, b"x" * length, recipients=TOO_MANY)
        assert str(caught.value.reply) == "452 4.5.3 Too many recipients"
        assert spool.stats().messages == 0
        message = await store(spool, b"another")
        assert spool.trouble() == ""
    async with journal(tmp_path) as after:
        assert list(await everything(after)) == [message.msgid]
        assert after.stats().corrupt == 0


async def with_words(spool: Journal, message: Message) -> None:
    """Have a server say much to each envelope, all at once."""
    state = EnvelopeState(1, ACCEPTED_AT + 9, ACCEPTED_AT, LONG)
    await spool.update([Result(each.evpid, state) for each in message.envelopes])


async def test_very_many_results_at_once_survive_a_restart(tmp_path: Path) -> None:
    async with journal(tmp_path, crash=True) as spool:
        message = await store(spool, b"hello", recipients=MANY)
        await with_words(spool, message)
        assert not spool.busy(message.msgid)
    async with journal(tmp_path) as after:
        ((stored, _),) = (await everything(after)).values()
        assert [stored.states[each.evpid].last_reply for each in message.envelopes] == [LONG] * MANY


def _place(spool: Journal, message: Message) -> Segment:
    entry = spool.parts.index.get(message.msgid)
    assert entry is not None
    return entry.segment


async def test_what_was_accepted_can_be_copied_whatever_servers_said(tmp_path: Path) -> None:
    async with journal(tmp_path) as spool:
        message = await store(spool, b"hello", recipients=MANY)
        await with_words(spool, message)
        parts = spool.parts
        await parts.log.begin_anew()
        before = _place(spool, message)
        await parts.compactor.empty(before, spool.busy)
        assert _place(spool, message) is not before
        parts.janitor.consider(before)
        await parts.janitor.finish()
        parts.cache.drop(message.msgid)
        assert await spool.load(message.msgid) is not None
    assert os.fspath(before.path) not in map(os.fspath, segments(tmp_path))
    async with journal(tmp_path) as after:
        ((stored, content),) = (await everything(after)).values()
        assert (content, len(stored.states)) == (b"hello", MANY)
        assert all(state.attempts == 1 and state.last_reply for state in stored.states.values())


def test_the_longest_message_fits_with_the_states_of_all_its_envelopes() -> None:
    """The bound of an ACCEPT: an envelope takes so much at least, and its state without words so much at most."""
    least = envelope_bytes(Envelope(Evpid("0" * 16), "a@b", "a@b", "c"))
    state = CompactState(2**31, 2e9, 2e9, 2e9, True, False, 599, "5.999.999", "")
    most = len(msgspec.msgpack.encode({"0" * 8: state})) - 1
    assert MAX_ACCEPT_BYTES + 5 + MAX_ENVELOPES_BYTES // least * most <= MAX_PAYLOAD_BYTES


async def test_a_batch_that_ends_after_the_loss_of_the_log_fails_for_all_who_wait(tmp_path: Path) -> None:
    """Its results were counted down in the books of the next incarnation: a KeyError, and the rest never heard."""
    slow = False

    def hook(name: str, arguments: tuple[object, ...]) -> None:
        nonlocal slow
        if name == "sync" and slow:
            slow = False
            time.sleep(1.5)

    async def follow(spool: Journal) -> None:
        async for _ in spool.changes():
            pass

    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context.get("exception")))
    options = replace(SMALL, beat_seconds=0.05, wait_seconds=30.0)
    async with journal(tmp_path, disk=HookedDisk(hook), options=options) as spool:
        follower = asyncio.create_task(follow(spool))
        message, home = await store(spool, b"x"), spool.parts.homes[0]
        slow = True
        update = asyncio.create_task(spool.update([final(message.envelopes[0].evpid)]))
        draft = spool.create()
        draft.write(b"y")
        commit = asyncio.create_task(draft.commit(message_of(draft)))
        await asyncio.sleep(0.2)
        overwrite_owner(RealDisk(), f"{home.path}/owner", Owner("f" * 16, 1))
        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(update, commit, return_exceptions=True)
        follower.cancel()
    assert [type(each) for each in outcomes] == [SpoolError, SpoolError]
    assert faults == []
