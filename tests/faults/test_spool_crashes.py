"""The process dies before each single call to the volume, one run for each: nothing acknowledged is ever lost.

The child tells through a pipe what it was told by the spool; the kernel keeps what was written, as after ``kill -9``.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec
import pytest

from paquebot_mta.accept.storing import store_all
from paquebot_mta.config.service import Queue
from paquebot_mta.mail.envelope import Message, Stored
from paquebot_mta.mail.ids import Evpid, Msgid
from paquebot_mta.spool.journal import Journal
from tests.mta.spool.support import (
    ACCEPTED_AT,
    QUEUE,
    SMALL,
    HookedDisk,
    deferred,
    everything,
    final,
    homes,
    journal,
    message_of,
)

OPTIONS = replace(SMALL, segment_bytes=30_000, compact_age_seconds=0.0, compact_live_share=0.9, grave_seconds=0.0)
CONTENTS = (b"small", b"m" * 20_000, b"l" * 100_000, b"p" * 400_000)
MOST_CALLS = 500

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(300)]


class Death:
    """A hook that kills this process at the n-th call of the disk, once it is armed."""

    def __init__(self, at: int, *, armed: bool) -> None:
        self._left = at
        self.armed = armed
        self._lock = Lock()

    def __call__(self, name: str, arguments: tuple[Any, ...]) -> None:
        with self._lock:
            self._left -= self.armed
            if self._left < 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Told(msgspec.Struct):
    """One line of the child: a message accepted, envelopes about to be ended, their states stored, who is together."""

    kind: str
    msgid: str = ""
    content: int = 0
    evpids: tuple[str, ...] = ()
    attempts: int = 0


@dataclass
class Account:
    """What was promised so far, over all children."""

    accepted: dict[Msgid, tuple[int, set[str]]] = field(default_factory=dict)
    ending: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    attempts: dict[str, int] = field(default_factory=dict)
    together: list[frozenset[str]] = field(default_factory=list)

    def add(self, told: Told) -> None:
        if told.kind == "accepted":
            self.accepted[Msgid(told.msgid)] = (told.content, set(told.evpids))
        elif told.kind == "ending":
            self.ending.update(told.evpids)
        elif told.kind == "final":
            self.ended.update(told.evpids)
        elif told.kind == "together":
            self.together.append(frozenset(told.evpids))
        else:
            self.attempts.update(dict.fromkeys(told.evpids, told.attempts))

    def check(self, found: dict[Msgid, tuple[Stored, bytes]]) -> None:
        for msgid, (content, evpids) in self.accepted.items():
            owed = evpids - self.ended - self.ending
            if owed:
                stored, body = found[msgid]
                assert body == CONTENTS[content]
                assert owed <= set(stored.states)
                for evpid in owed:
                    assert stored.states[Evpid(evpid)].attempts >= self.attempts.get(evpid, 0)
        for group in self.together:
            assert len(group & found.keys()) in {0, len(group)}, "some of a transaction would come twice"
        for stored, body in found.values():
            assert body in CONTENTS
            assert not set(stored.states) & self.ended


Tell = Callable[[Told], None]
Scenario = Callable[[Journal, Tell], Awaitable[None]]


async def accept(spool: Journal, tell: Tell) -> None:
    for number, content in enumerate(CONTENTS):
        draft = spool.create()
        for at in range(0, len(content), 50_000):
            draft.write(content[at : at + 50_000])
            await draft.drain()
        message: Message = message_of(draft, 2)
        await draft.commit(message)
        tell(Told("accepted", draft.msgid, number, tuple(envelope.evpid for envelope in message.envelopes)))


async def accept_together(spool: Journal, tell: Tell) -> None:
    """Three domains with filters of their own: a message for each, one reply for all."""
    for numbers in ((0, 3, 3), (3, 1), (0, 1)):
        messages = []
        for number in numbers:
            draft = spool.create()
            draft.write(CONTENTS[number])
            await draft.drain()
            messages.append((draft, message_of(draft, 2)))
        told = [
            Told("accepted", message.msgid, number, tuple(envelope.evpid for envelope in message.envelopes))
            for number, (_, message) in zip(numbers, messages, strict=True)
        ]
        tell(Told("together", evpids=tuple(each.msgid for each in told)))
        await store_all(spool, messages)
        for each in told:
            tell(each)


async def arm(spool: Journal, tell: Tell) -> None:
    """From here on calls count."""
    disk = spool._parts.disk
    assert isinstance(disk, HookedDisk)
    assert isinstance(disk.hook, Death)
    disk.hook.armed = True


async def deliver(spool: Journal, tell: Tell) -> None:
    async for stored in spool.walk():
        first, *others = stored.states
        spool.intend([first])
        await spool.update([deferred(first, 3)])
        tell(Told("deferred", evpids=(first,), attempts=3))
        await end(spool, tell, others)
    ended = [stored.states async for stored in spool.walk()][:3]
    for states in ended:
        await end(spool, tell, list(states))


async def end(spool: Journal, tell: Tell, evpids: list[Evpid]) -> None:
    tell(Told("ending", evpids=tuple(evpids)))
    await spool.update([final(evpid) for evpid in evpids])
    tell(Told("final", evpids=tuple(evpids)))


async def compact(spool: Journal, tell: Tell) -> None:
    parts = spool._parts
    for _ in range(20):
        segment = parts.compactor.candidate(parts.homes, ACCEPTED_AT + 10)
        if segment is not None:
            await parts.compactor.empty(segment, spool.busy)
            parts.janitor.consider(segment)
            await parts.janitor.finish()


async def live(path: Path, disk: HookedDisk, scenarios: tuple[Scenario, ...], tell: Tell, queue: Queue) -> None:
    async with journal(path, disk=disk, options=OPTIONS, queue=queue) as spool:
        for scenario in scenarios:
            await scenario(spool, tell)


def run_child(
    path: Path, die_at: int, scenarios: tuple[Scenario, ...], queue: Queue = QUEUE
) -> tuple[list[Told], bool]:
    """Run a life of the spool that ends at a call. Returns what it told and whether it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        status = 1
        try:
            disk = HookedDisk(Death(die_at, armed=arm not in scenarios))
            asyncio.run(live(path, disk, scenarios, lambda told: write_line(writer, told), queue))
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as lines:
        told = [msgspec.json.decode(line, type=Told) for line in lines]
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return told, os.WIFSIGNALED(status)


def write_line(fd: int, told: Told) -> None:
    os.write(fd, msgspec.json.encode(told) + b"\n")


def recover(path: Path, account: Account, queue: Queue = QUEUE) -> None:
    async def look() -> None:
        async with journal(path, options=OPTIONS, crash=True, queue=queue) as spool:
            account.check(await everything(spool))
            assert spool.stats().corrupt == 0

    asyncio.run(look())


def finish(path: Path, queue: Queue = QUEUE) -> None:
    async def empty() -> None:
        async with journal(path, options=OPTIONS, queue=queue) as spool:
            for stored, _ in (await everything(spool)).values():
                await spool.update([final(evpid) for evpid in stored.states])

    asyncio.run(empty())
    assert homes(path) == []


def die_everywhere(path: Path, before: tuple[Scenario, ...], scenarios: tuple[Scenario, ...], step: int = 1) -> int:
    """Kill one run at each call. Returns how many runs that were."""
    for runs, die_at in enumerate(range(0, MOST_CALLS, step)):
        spool, account = path / str(die_at), Account()
        if before:
            for told in run_child(spool, MOST_CALLS * 10, before)[0]:
                account.add(told)
        lines, killed = run_child(spool, die_at, scenarios)
        for told in lines:
            account.add(told)
        recover(spool, account)
        finish(spool)
        if not killed:
            return runs
    raise AssertionError("the scenario never came to its end")


def test_accepting_dies_at_every_call(tmp_path: Path) -> None:
    assert die_everywhere(tmp_path, (), (accept,)) > 30


def test_accepting_for_several_domains_dies_at_every_call(tmp_path: Path) -> None:
    assert die_everywhere(tmp_path, (), (accept_together,)) > 30


def test_delivering_dies_at_every_call(tmp_path: Path) -> None:
    assert die_everywhere(tmp_path, (), (accept, deliver), 2) > 30


def test_storing_results_dies_at_every_call(tmp_path: Path) -> None:
    assert die_everywhere(tmp_path, (), (accept, arm, deliver)) > 20


def test_adopting_and_delivering_dies_at_every_call(tmp_path: Path) -> None:
    assert die_everywhere(tmp_path, (accept,), (deliver,)) > 30


def test_copying_forward_dies_at_every_call(tmp_path: Path) -> None:
    assert die_everywhere(tmp_path, (accept,), (deliver, compact), 2) > 20


def test_chains_of_adopters_that_die_one_after_the_other(tmp_path: Path) -> None:
    """Every life continues where the last one was killed, each a little later in its own life."""
    account = Account()
    for die_at in range(60, 700, 31):
        for told in run_child(tmp_path, die_at, (accept, deliver, compact))[0]:
            account.add(told)
        if die_at % 2 == 0:
            recover(tmp_path, account)
    recover(tmp_path, account)
    assert len(account.accepted) > 10
    finish(tmp_path)
