"""Opening a journal: make our incarnation, adopt the dead ones of this machine, start what runs in the background."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from paquebot_mta.mail.ids import new_msgid
from paquebot_mta.spool.committer import Placed
from paquebot_mta.spool.format import Kind
from paquebot_mta.spool.journal import Journal
from paquebot_mta.spool.parts import JournalParts, Surroundings, assemble
from paquebot_mta.spool.reader import DamagedError
from paquebot_mta.spool.records import Adopted, Clock, encode
from paquebot_mta.spool.replay import Found, Recovered, Replay
from paquebot_mta.spool.store import SpoolError
from paquebot_mta.telemetry.events import Notice

_CLOCK_EVERY_BEATS = 20


async def open_journal(given: Surroundings) -> Journal:
    """Open the queue on a volume and recover what dead processes left there.

    Raises:
        SpoolFormatError: the directory is not ours to touch.
        OSError: the volume is out of order.
        SpoolError: it is in order, but adopting failed.
    """
    loop = asyncio.get_running_loop()
    parts = await loop.run_in_executor(None, assemble, given, loop)
    parts.committer.start()
    journal = Journal(parts)
    try:
        await _recover(parts)
    except BaseException:
        await parts.close()
        raise
    parts.tasks += [
        loop.create_task(_beat(parts), name="spool-beat"),
        loop.create_task(_keep_house(parts, journal), name="spool-housekeeping"),
    ]
    return journal


async def _recover(parts: JournalParts) -> None:
    """Claim, read, put ADOPT into our own log, and only then serve."""
    groups: list[Recovered] = []
    while recovered := await parts.loop.run_in_executor(parts.files, _adopt_one, parts):
        parts.homes += recovered.homes
        groups.append(recovered)
        await asyncio.sleep(parts.options.claim_pause_seconds)
    if not groups:
        return
    counts = parts.counts
    counts.generation = 1 + max(group.generation for group in groups)
    parts.compactor.generation = counts.generation
    counts.possible_duplicates += sum(group.possible_duplicates for group in groups)
    counts.corrupt += sum(group.corrupt for group in groups)
    found = sorted((each for group in groups for each in group.messages), key=lambda each: each.created_at)
    if found or any(segment.held for home in parts.homes for segment in home.segments.values()):
        await _log_adoption(parts)
    parts.found = await _serve(parts, found)
    _announce(parts, groups, len(found))
    parts.janitor.sweep_soon()


def _adopt_one(parts: JournalParts) -> Recovered | None:
    homes = parts.adopter.claim_next()
    return Replay(parts.disk, parts.layout, homes).run() if homes else None


async def _log_adoption(parts: JournalParts) -> None:
    """Sync ADOPT; its segment stays until everything that it speaks for is gone."""
    adopted = tuple(home.incarnation for home in parts.homes if not home.own)
    segments = [segment for home in parts.homes if not home.own for segment in home.segments.values()]

    def on_settled(placed: Placed | None) -> None:
        if placed is not None:
            placed.segment.pins.update(segments)

    payload = encode(Adopted(adopted, parts.counts.generation))
    await parts.log.append([(Kind.ADOPT, 0, payload)], on_settled, essential=True)


async def _serve(parts: JournalParts, messages: Sequence[Found]) -> list[Found]:
    """Take messages in where they lie. Ids of 32 bits meet now and then among many: the later one gets another."""
    twins, served = list[Found](), list[Found]()
    for found in messages:
        if found.msgid in parts.index:
            found.segment.live += 1  # holds its segment
            twins.append(found)
        else:
            parts.index.add(found.msgid, found.entry)
            served.append(found)
    for found in twins:
        new = new_msgid(parts.randbits)
        while new in parts.index:
            new = new_msgid(parts.randbits)
        with suppress(SpoolError, DamagedError, OSError):  # it stays held then, and the next start tries again
            await parts.compactor.move_as(found.msgid, found.entry, new)
            found.segment.live -= 1
            found.msgid = new
            served.append(found)
    return served


def _announce(parts: JournalParts, groups: Sequence[Recovered], messages: int) -> None:
    details: dict[str, str | int | float | bool] = {
        "incarnations": sum(len(group.homes) for group in groups),
        "messages": messages,
        "possible_duplicates": sum(group.possible_duplicates for group in groups),
        "corrupt": sum(group.corrupt for group in groups),
        "torn": sum(group.torn for group in groups),
        "held": sum(group.held for group in groups),
    }
    level = "warning" if details["corrupt"] or details["held"] else "info"
    parts.notify(Notice(level="warning" if level == "warning" else "info", event="queue.opened", details=details))


async def _beat(parts: JournalParts) -> None:
    """Count up in the owner block, try a volume that was out of order, and note both clocks now and then."""
    beats, commits = 0, 0
    while True:
        await asyncio.sleep(parts.options.beat_seconds)
        with suppress(OSError):  # the circuit learns of a broken volume by itself; a beat is no promise
            await parts.loop.run_in_executor(parts.files, parts.ownership.beat)
        beats += 1
        clock = encode(Clock(parts.clock(), time.clock_gettime(time.CLOCK_BOOTTIME)))
        if parts.circuit.trouble:
            with suppress(SpoolError):  # who is not ready gets no mail that would try the volume
                await parts.log.append([(Kind.CLOCK, 0, clock)], lambda placed: None)
        elif beats % _CLOCK_EVERY_BEATS == 0 and parts.committer.commits != commits:
            commits = parts.committer.commits
            parts.log.note([(Kind.CLOCK, 0, clock)])


async def _keep_house(parts: JournalParts, journal: Journal) -> None:
    """Sweep, and empty old segments of which little is live."""
    while True:
        await asyncio.sleep(parts.options.housekeeping_seconds)
        parts.janitor.sweep_soon()
        with suppress(SpoolError, OSError):
            segment = parts.compactor.candidate(parts.homes, parts.clock())
            if segment is not None and not parts.circuit.lost:
                await parts.compactor.empty(segment, journal.busy)
                parts.janitor.consider(segment)
