"""What every back end promises (the null back end: what is left of it when nothing is kept)."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from paquebot_mta.config.service import Queue
from paquebot_mta.mail.envelope import EnvelopeState
from paquebot_mta.mail.ids import Msgid
from paquebot_mta.spool.memory import MemorySpool
from paquebot_mta.spool.null import NullSpool
from paquebot_mta.spool.open import open_spool
from paquebot_mta.spool.store import Spool, SpoolError
from tests.mta.spool.support import SMALL, deferred, everything, final, message_of, read, store


@pytest.fixture(params=["Journal", "Memory"])
async def spool(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Spool]:
    opened = await open_spool(Queue(backend=request.param, minimum_free_percent=0), tmp_path, options=SMALL)
    yield opened
    await opened.close()


@pytest.fixture(params=["Journal", "Memory", "Null"])
async def any_spool(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Spool]:
    opened = await open_spool(Queue(backend=request.param, minimum_free_percent=0), tmp_path, options=SMALL)
    yield opened
    await opened.close()


async def test_a_new_spool_is_empty(any_spool: Spool) -> None:
    assert await everything(any_spool) == {}
    assert any_spool.stats().messages == 0


async def test_the_configuration_names_the_back_end(tmp_path: Path) -> None:
    assert isinstance(await open_spool(Queue(backend="Memory"), tmp_path), MemorySpool)
    assert isinstance(await open_spool(Queue(backend="Null"), tmp_path), NullSpool)


@pytest.mark.parametrize("size", [0, 1, 4096, 65_536, 65_537, 262_144, 262_145, 1_000_003])
async def test_content_comes_back_as_it_was_written(spool: Spool, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    message = await store(spool, content, chunk=7_777)
    assert await read(spool, message.msgid) == content
    chunks = [len(chunk) async for chunk in spool.content(message.msgid)]
    assert max(chunks, default=0) <= 65_536


async def test_a_committed_message_has_fresh_envelopes(spool: Spool) -> None:
    message = await store(spool, b"content", recipients=3)
    stored = await spool.load(message.msgid)
    assert stored is not None
    assert stored.message == message
    assert stored.states == {envelope.evpid: EnvelopeState() for envelope in message.envelopes}
    assert (spool.stats().messages, spool.stats().envelopes, spool.stats().bytes) == (1, 3, 7)


async def test_an_aborted_draft_leaves_nothing(any_spool: Spool) -> None:
    draft = any_spool.create()
    draft.write(b"x" * 400_000)
    await draft.drain()
    draft.abort()
    draft.abort()
    assert await any_spool.load(draft.msgid) is None
    assert await everything(any_spool) == {}


async def test_abort_after_commit_is_harmless(spool: Spool) -> None:
    draft = spool.create()
    draft.write(b"kept")
    message = message_of(draft)
    await draft.commit(message)
    draft.abort()
    assert await read(spool, message.msgid) == b"kept"


async def test_commit_takes_only_the_drafts_own_message(any_spool: Spool) -> None:
    draft = any_spool.create()
    draft.write(b"four")
    message = message_of(draft)
    for wrong in ({"size": 5}, {"msgid": Msgid("00000001") if draft.msgid != "00000001" else Msgid("00000002")}):
        with pytest.raises(ValueError, match="not the draft's"):
            await draft.commit(msgspec.structs.replace(message, **wrong))


async def test_messages_that_were_committed_together_count_when_they_are_confirmed(spool: Spool) -> None:
    drafts = [spool.create() for _ in range(2)]
    for draft in drafts:
        draft.write(b"one of two")
        await draft.commit(message_of(draft), together=True)
    await spool.confirm([draft.msgid for draft in drafts])
    assert [content for _, content in (await everything(spool)).values()] == [b"one of two"] * 2


async def test_results_that_are_not_final_are_remembered(spool: Spool) -> None:
    message = await store(spool, b"content", recipients=2)
    first, second = (envelope.evpid for envelope in message.envelopes)
    await spool.update([deferred(first, 1)])
    await spool.update([deferred(first, 2), final(second)])
    stored = await spool.load(message.msgid)
    assert stored is not None
    assert stored.states == {first: deferred(first, 2).state}
    assert spool.stats().envelopes == 1


async def test_a_message_is_forgotten_when_all_its_envelopes_are_final(spool: Spool) -> None:
    message = await store(spool, b"content", recipients=2)
    await spool.update([final(message.envelopes[0].evpid), final(message.envelopes[1].evpid, "bounced")])
    assert await spool.load(message.msgid) is None
    assert spool.stats() == msgspec.structs.replace(spool.stats(), messages=0, envelopes=0, bytes=0)
    with pytest.raises(SpoolError) as caught:
        await read(spool, message.msgid)
    assert caught.value.reply.transient


async def test_the_same_final_result_twice_counts_once(spool: Spool) -> None:
    message = await store(spool, b"content", recipients=2)
    await spool.update([final(message.envelopes[0].evpid)])
    await spool.update([final(message.envelopes[0].evpid), deferred(message.envelopes[0].evpid, 3)])
    stored = await spool.load(message.msgid)
    assert stored is not None
    assert list(stored.states) == [message.envelopes[1].evpid]


async def test_results_of_unknown_messages_are_ignored(any_spool: Spool) -> None:
    draft = any_spool.create()
    evpid = message_of(draft).envelopes[0].evpid
    any_spool.intend([evpid])
    await any_spool.update([final(evpid)])
    assert any_spool.stats().messages == 0


async def test_walk_is_oldest_first_and_tolerates_changes(spool: Spool) -> None:
    messages = [await store(spool, b"%d" % number) for number in range(700)]
    seen: list[Msgid] = []
    async for stored in spool.walk():
        if not seen:
            await spool.update([final(messages[1].envelopes[0].evpid), final(messages[699].envelopes[0].evpid)])
        seen.append(stored.message.msgid)
    order = [message.msgid for message in messages]
    assert seen[-1] == order[698]
    assert [msgid for msgid in order if msgid in seen] == seen


async def test_a_process_owns_what_it_opened(any_spool: Spool) -> None:
    assert await any_spool.owned()


async def test_the_null_back_end_counts_and_forgets(tmp_path: Path) -> None:
    null = await open_spool(Queue(backend="Null"), tmp_path)
    message = await store(null, b"x" * 5_000)
    assert message.size == 5_000
    assert await null.load(message.msgid) is None
    with pytest.raises(SpoolError):
        await read(null, message.msgid)


async def test_many_are_loaded_at_once_but_for_those_that_are_gone(spool: Spool) -> None:
    messages = [await store(spool, b"%d" % number, recipients=2) for number in range(5)]
    await spool.update([final(envelope.evpid) for envelope in messages[0].envelopes])
    await spool.update([deferred(messages[1].envelopes[0].evpid, 2)])
    loaded = await spool.load_many([*(message.msgid for message in messages), Msgid("00000001")])
    assert loaded == {message.msgid: await spool.load(message.msgid) for message in messages[1:]}


async def test_a_spool_without_trouble_says_nothing(any_spool: Spool) -> None:
    assert any_spool.trouble() == ""
    assert await any_spool.load_many([Msgid("00000001")]) == {}
    assert [waiting async for waiting in any_spool.recovered()] == []
