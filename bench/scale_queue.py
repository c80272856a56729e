"""Makes a long queue on disk, as a stopped Paquebot leaves it: written through the queue's own back end."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from paquebot_mta.config.service import Queue
from paquebot_mta.mail.envelope import Envelope, EnvelopeState, Message, Result
from paquebot_mta.mail.ids import new_evpid
from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool.open import open_spool
from paquebot_mta.spool.options import JournalOptions
from paquebot_mta.spool.store import Spool

WRITERS = 200
CONTENT = (
    b"Subject: one of many\r\n\r\n" + b"a line of seventy bytes, more or less, in a message of two thousand\r\n" * 30
)
DUE_IN_SECONDS = 6 * 3_600.0


class Filling(Struct, frozen=True):
    """What to put into a queue: so many messages for the domains in turns; all were tried once and wait."""

    messages: int
    domains: Sequence[str]
    action: str = "relay"


def fill(directory: Path, fillings: Sequence[Filling]) -> float:
    """Write the queue; answers how many seconds that took."""
    started = time.monotonic()
    asyncio.run(_fill(directory, fillings))
    return time.monotonic() - started


async def _fill(directory: Path, fillings: Sequence[Filling]) -> None:
    queue = Queue(minimum_free_percent=0)
    spool = await open_spool(queue, directory, options=JournalOptions(cache_bytes=0, ballast_bytes=0))
    recipients = _recipients(fillings)
    try:
        await asyncio.gather(*(_write(spool, recipients) for _ in range(WRITERS)))
    finally:
        await spool.close()


def _recipients(fillings: Sequence[Filling]) -> Iterator[tuple[str, str]]:
    """Mix the fillings, so that none of them comes first: addresses and actions."""
    streams = [
        zip(itertools.islice(itertools.cycle(each.domains), each.messages), itertools.repeat(each.action))
        for each in fillings
    ]
    mixed = (each for turn in itertools.zip_longest(*streams) for each in turn if each is not None)
    return ((f"user{number}@{domain}", action) for number, (domain, action) in enumerate(mixed))


async def _write(spool: Spool, recipients: Iterator[tuple[str, str]]) -> None:
    for recipient, action in recipients:
        draft = spool.create()
        draft.write(CONTENT)
        envelope = Envelope(new_evpid(draft.msgid, random.getrandbits), recipient, recipient, action)
        await draft.commit(Message(draft.msgid, "sender@client.test", time.time(), draft.size, (envelope,)))
        reply = Reply(451, "greylisted, try again later", "4.7.1")
        now = time.time()
        state = EnvelopeState(attempts=1, due_at=now + DUE_IN_SECONDS, last_attempt_at=now, last_reply=reply)
        await spool.update([Result(envelope.evpid, state)])
