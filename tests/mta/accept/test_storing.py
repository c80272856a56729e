"""The messages of one transaction: all of them are in the queue, or none, whatever the volume does in between."""

import errno
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from paquebot_mta.accept.storing import HalfStoredError, store_all
from paquebot_mta.mail.envelope import Message, Result
from paquebot_mta.spool.memory import MemorySpool
from paquebot_mta.spool.options import fault
from paquebot_mta.spool.store import Draft, Spool, SpoolError
from tests.mta.spool.support import HookedDisk, everything, journal, message_of

SMALL, BIG = 100, 400_000
"""Bytes that wait in memory, and that go into a segment of their own."""


class Syncs:
    """Counts calls of fdatasync; those whose numbers are named fail."""

    def __init__(self) -> None:
        self.count = 0
        self.failing: frozenset[int] = frozenset()

    def __call__(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == "sync":
            self.count += 1
            if self.count in self.failing:
                raise OSError(errno.EIO, "injected")

    def fail(self, *which: int) -> None:
        """Let calls fail, the next one is 1."""
        self.failing = frozenset(self.count + number for number in which)


def drafts(spool: Spool, *sizes: int) -> list[tuple[Draft, Message]]:
    made = [spool.create() for _ in sizes]
    for draft, size in zip(made, sizes, strict=True):
        draft.write(b"x" * size)
    return [(draft, message_of(draft)) for draft in made]


async def is_stored(spool: Spool, messages: Sequence[tuple[Draft, Message]]) -> bool:
    try:
        await store_all(spool, messages)
    except SpoolError:
        return False
    return True


async def test_several_messages_cost_one_sync_and_one_for_that_they_are_all_there(tmp_path: Path) -> None:
    syncs = Syncs()
    async with journal(tmp_path, disk=HookedDisk(syncs)) as spool:
        await store_all(spool, drafts(spool, SMALL))
        before = syncs.count
        await store_all(spool, drafts(spool, SMALL, SMALL, SMALL))
        assert (syncs.count - before, spool.stats().messages) == (2, 4)


@pytest.mark.parametrize("sizes", [(SMALL, SMALL), (SMALL, BIG), (BIG, SMALL), (BIG, BIG)])
@pytest.mark.parametrize("failing", [1, 2, -1])
async def test_none_is_in_the_queue_if_one_can_not_be(tmp_path: Path, sizes: Sequence[int], failing: int) -> None:
    syncs = Syncs()
    async with journal(tmp_path, disk=HookedDisk(syncs)) as spool:
        await store_all(spool, drafts(spool, SMALL))
        messages = drafts(spool, *sizes)
        for draft, _ in messages:
            await draft.drain()
        all_syncs = 2 if sizes == (SMALL, SMALL) else 3
        syncs.fail(failing if failing > 0 else all_syncs)
        assert not await is_stored(spool, messages)
        assert spool.stats().messages == 1
    async with journal(tmp_path) as again:
        assert len(await everything(again)) == 1


class Failing:
    """A draft that can't be stored (implements `Draft`)."""

    def __init__(self, draft: Draft) -> None:
        self.msgid, self.size = draft.msgid, draft.size

    def write(self, chunk: bytes) -> None:
        raise AssertionError(chunk)

    async def drain(self) -> None:
        return

    async def commit(self, message: Message, *, together: bool = False) -> None:
        raise fault("the volume is away")

    def abort(self) -> None:
        return


class Stuck(MemorySpool):
    """Takes nothing back."""

    async def update(self, results: Sequence[Result]) -> None:
        raise fault("still away")


async def half_stored(spool: MemorySpool) -> SpoolError:
    (good, first), (bad, second) = drafts(spool, SMALL, SMALL)
    with pytest.raises(SpoolError) as caught:
        await store_all(spool, [(good, first), (Failing(bad), second)])
    return caught.value


async def test_what_was_stored_beside_a_failure_is_taken_back() -> None:
    spool = MemorySpool(random.Random(1).getrandbits)
    assert str(await half_stored(spool)) == "the volume is away"
    assert spool.stats().messages == 0


async def test_what_can_not_be_taken_back_is_told_and_nothing_is_lost() -> None:
    spool = Stuck(random.Random(1).getrandbits)
    error = await half_stored(spool)
    assert isinstance(error, HalfStoredError)
    assert str(error) == "1 messages of a transaction are stored, others are not: still away"
    assert spool.stats().messages == 1
