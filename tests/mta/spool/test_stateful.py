"""The journal against a model: any order of accepting, updating, copying forward, crashing and opening again."""

import asyncio
import base64
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from paquebot_mta.config.service import Queue
from paquebot_mta.mail.envelope import Message
from paquebot_mta.mail.ids import Evpid, Msgid
from paquebot_mta.spool.journal import Journal
from paquebot_mta.spool.open import open_spool
from tests.mta.spool.support import (
    ACCEPTED_AT,
    SMALL,
    abandon,
    deferred,
    everything,
    final,
    homes,
    message_of,
    store,
)

OPTIONS = replace(
    SMALL,
    segment_bytes=12_000,
    private_bytes=6_000,
    cache_bytes=20_000,
    compact_age_seconds=-1.0,
    compact_live_share=0.9,
)
KEYS = [
    {"id": kid, "key": base64.b64encode(bytes(range(kid, kid + 32))).decode(), "createdAt": f"2026-11-0{kid}T00:00:00Z"}
    for kid in (1, 2)
]
OTHER_WRITER = [KEYS[0], KEYS[1] | {"createdAt": "2031-01-01T00:00:00Z"}]


def queues(*rings: str) -> st.SearchStrategy[Queue]:
    compressions = st.sampled_from(["None", "Zstd", "Gzip"])
    return st.builds(Queue, minimum_free_percent=st.just(0), key_ring=st.sampled_from(rings), compression=compressions)


HAVING_KEYS = queues(json.dumps(KEYS), json.dumps(OTHER_WRITER))
ANY_QUEUE = queues(json.dumps(KEYS), json.dumps(OTHER_WRITER), "")
SIZES = st.sampled_from([0, 10, 3_000, 5_999, 70_000])


class JournalMachine(RuleBasedStateMachine):
    """``model`` holds what was promised: content and attempts of each envelope that is not final."""

    messages = Bundle("messages")

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp(prefix="spool-"))
        self.loop = asyncio.new_event_loop()
        self.model: dict[Msgid, tuple[bytes, dict[Evpid, int]]] = {}
        self.spool: Journal

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    @initialize(queue=HAVING_KEYS)
    def open(self, queue: Queue) -> None:
        self.spool = self.run(open_spool(queue, self.path, options=OPTIONS, clock=lambda: ACCEPTED_AT))

    @rule(queue=ANY_QUEUE)
    def seal_and_pack_in_another_way(self, queue: Queue) -> None:
        self.run(self.spool.reconfigure(queue))

    @rule(target=messages, size=SIZES, recipients=st.integers(1, 3), fill=st.binary(min_size=1, max_size=1))
    def accept(self, size: int, recipients: int, fill: bytes) -> Message:
        message: Message = self.run(store(self.spool, fill * size, recipients))
        self.model[message.msgid] = (fill * size, {envelope.evpid: 0 for envelope in message.envelopes})
        return message

    @rule(size=SIZES)
    def abort(self, size: int) -> None:
        async def give_up() -> None:
            draft = self.spool.create()
            draft.write(b"x" * size)
            await draft.drain()
            draft.abort()

        self.run(give_up())

    @rule(size=SIZES)
    def leave_a_draft_open(self, size: int) -> None:
        async def leave() -> None:
            draft = self.spool.create()
            draft.write(b"x" * size)
            await draft.drain()
            assert message_of(draft).size == size

        self.run(leave())

    @rule(message=messages, which=st.integers(0, 2))
    def defer(self, message: Message, which: int) -> None:
        evpid = message.envelopes[which % len(message.envelopes)].evpid
        states = self.model.get(message.msgid, (b"", {}))[1]
        if evpid in states:
            states[evpid] += 1
            self.run(self.spool.update([deferred(evpid, states[evpid])]))

    @rule(message=messages, which=st.integers(0, 2))
    def end_one(self, message: Message, which: int) -> None:
        self.end([message.envelopes[which % len(message.envelopes)].evpid])

    @rule(message=consumes(messages))
    def end_all(self, message: Message) -> None:
        self.end([envelope.evpid for envelope in message.envelopes])

    def end(self, evpids: list[Evpid]) -> None:
        self.run(self.spool.update([final(evpid) for evpid in evpids]))
        for evpid in evpids:
            _, states = self.model.get(Msgid(evpid[:8]), (b"", {}))
            states.pop(evpid, None)
            if not states:
                self.model.pop(Msgid(evpid[:8]), None)

    @rule()
    def copy_forward(self) -> None:
        parts = self.spool._parts
        segment = parts.compactor.candidate(parts.homes, ACCEPTED_AT)
        if segment is not None:
            self.run(parts.compactor.empty(segment, self.spool.busy))
            self.run(self.sweep())

    async def sweep(self) -> None:
        self.spool._parts.janitor.sweep_soon()
        await self.spool._parts.janitor.finish()

    @rule(queue=HAVING_KEYS)
    def crash(self, queue: Queue) -> None:
        self.run(abandon(self.spool))
        self.open(queue)

    @rule(queue=HAVING_KEYS)
    def restart(self, queue: Queue) -> None:
        self.run(self.spool.close())
        self.open(queue)

    @invariant()
    def everything_promised_is_there(self) -> None:
        if not hasattr(self, "spool"):
            return
        found = self.run(everything(self.spool))
        shape = {
            msgid: (content, {evpid: state.attempts for evpid, state in stored.states.items()})
            for msgid, (stored, content) in found.items()
        }
        assert shape == self.model
        assert self.spool.stats().messages == len(self.model)
        assert self.spool.stats().envelopes == sum(len(states) for _, states in self.model.values())
        assert self.spool.stats().corrupt == 0

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            left = [evpid for _, states in self.model.values() for evpid in states]
            self.run(self.spool.update([final(evpid) for evpid in left]))
            self.run(self.spool.close())
            assert homes(self.path) == []
        self.loop.close()
        shutil.rmtree(self.path)


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestJournalMachine.pytestmark = [pytest.mark.slow]  # type: ignore[attr-defined]
