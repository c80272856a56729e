"""The messages of one transaction made durable together: one reply is for all of them.

Knows the spool's contract only: what waits at the same time becomes durable in one step there, or fails in it.
"""

import asyncio
from collections.abc import Sequence

from paquebot_mta.mail.envelope import EnvelopeState, Message, Result
from paquebot_mta.spool.store import Draft, Spool, SpoolError


class HalfStoredError(SpoolError):
    """Some are stored, some are not, and those couldn't be taken back: with the client's next try they come twice."""


async def store_all(spool: Spool, messages: Sequence[tuple[Draft, Message]]) -> None:
    """Store all, or none: what is stored when another one fails is taken back, before anybody else knew of it.

    Raises:
        SpoolError: not stored, the client is to come again. HalfStoredError: nor could the others be taken back.
    """
    if len(messages) == 1:
        ((draft, message),) = messages
        await draft.commit(message)
        return
    commits = (draft.commit(message) for draft, message in messages)
    outcomes = await asyncio.gather(*commits, return_exceptions=True)
    faults = [each for each in outcomes if isinstance(each, BaseException)]
    if not faults:
        return
    stored = [message for (_, message), outcome in zip(messages, outcomes, strict=True) if outcome is None]
    await _take_back(spool, stored)
    raise faults[0]


async def _take_back(spool: Spool, messages: Sequence[Message]) -> None:
    results = [Result(each.evpid, EnvelopeState(), "removed") for message in messages for each in message.envelopes]
    if not results:
        return
    try:
        await spool.update(results)
    except SpoolError as error:
        text = f"{len(messages)} messages of a transaction are stored, others are not: {error}"
        raise HalfStoredError(error.reply, text) from error
