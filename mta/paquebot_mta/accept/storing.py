"""The messages of one transaction made durable together: one reply is for all of them.

Knows the spool's contract only: what is committed together counts when it is confirmed, in one step, or never.
"""

import asyncio
from collections.abc import Sequence

from paquebot_mta.mail.envelope import EnvelopeState, Message, Result
from paquebot_mta.spool.store import Draft, Spool, SpoolError


class HalfStoredError(SpoolError):
    """Some are stored, some are not, and those couldn't be taken back: nobody knows until the next start."""


async def store_all(spool: Spool, messages: Sequence[tuple[Draft, Message]]) -> None:
    """Store all, or none: what is stored when another one fails is taken back, before anybody else knew of it.

    Whoever dies in between leaves none either, for they count only when all are durable.

    Raises:
        SpoolError: not stored, the client is to come again. HalfStoredError: nor could the others be taken back.
    """
    if len(messages) == 1:
        ((draft, message),) = messages
        await draft.commit(message)
        return
    commits = (draft.commit(message, together=True) for draft, message in messages)
    outcomes = await asyncio.gather(*commits, return_exceptions=True)
    faults = [each for each in outcomes if isinstance(each, BaseException)]
    stored = [message for (_, message), outcome in zip(messages, outcomes, strict=True) if outcome is None]
    if not faults:
        try:
            await spool.confirm([message.msgid for message in stored])
        except SpoolError as error:
            faults = [error]
    if faults:
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
