"""Opening a journal: make our incarnation, take over the dead, start what runs in the background."""

import asyncio
from contextlib import suppress

from paquebot_mta.spool.beat import beat
from paquebot_mta.spool.journal import Journal
from paquebot_mta.spool.parts import JournalParts, Surroundings, assemble, sweep_graves
from paquebot_mta.spool.probe import probe
from paquebot_mta.spool.store import SpoolError
from paquebot_mta.spool.takeover import adopt_at_start, watch
from paquebot_mta.telemetry.events import Notice

_LONGEST_PAUSE_SECONDS = 60.0
_TOLD_SECONDS = 10.0


async def open_journal(given: Surroundings) -> Journal:
    """Open the queue on a volume and recover what dead processes left there.

    Raises:
        SpoolFormatError: the directory is not ours to touch.
        OSError: the volume is out of order.
        SpoolError: it is in order, but adopting failed.
    """
    journal = Journal(await _open_parts(given))
    try:
        await _probe(journal.parts)
        await adopt_at_start(journal.parts)
    except BaseException:
        await journal.close()
        raise
    _run(journal)
    journal.background.append(asyncio.get_running_loop().create_task(_keep(journal, given), name="spool-keeper"))
    return journal


async def _probe(parts: JournalParts) -> None:
    """Try the volume, and tell what it doesn't promise.

    Raises:
        OSError: it may not be used, or is out of order.
    """
    if parts.options.probe:
        home = parts.homes[0].path
        for warning in await parts.loop.run_in_executor(parts.files, probe, parts.disk, home):
            parts.notify(Notice(level="warning", event="queue.volume", details={"reason": warning}))


async def _open_parts(given: Surroundings) -> JournalParts:
    loop = asyncio.get_running_loop()
    parts = await loop.run_in_executor(None, assemble, given, loop)
    with suppress(OSError):
        await loop.run_in_executor(parts.files, sweep_graves, parts)
    parts.committer.start()
    return parts


def _run(journal: Journal) -> None:
    parts = journal.parts
    parts.tasks += [
        parts.loop.create_task(beat(parts), name="spool-beat"),
        parts.loop.create_task(watch(parts), name="spool-watch"),
        parts.loop.create_task(_keep_house(parts, journal), name="spool-housekeeping"),
    ]


async def _keep(journal: Journal, given: Surroundings) -> None:
    """Whoever was paused so long that its mail was adopted goes on as a new incarnation, with nothing."""
    while True:
        await journal.parts.circuit.taken_over.wait()
        await journal.tell_lost(_TOLD_SECONDS)
        lost, fresh = journal.parts, await _renew(given)
        journal.replace_parts(fresh)
        details = {"incarnation": fresh.homes[0].incarnation, "before": lost.homes[0].incarnation}
        given.notify(Notice(level="info", event="queue.renewed", details=details))
        _run(journal)
        retiring = asyncio.get_running_loop().create_task(_retire(lost), name="spool-retiring")
        journal.background = [journal.background[0], retiring]


async def _retire(lost: JournalParts) -> None:
    """Close what was lost, to the end even if the journal is closed meanwhile."""
    closing = asyncio.get_running_loop().create_task(lost.close(), name="spool-closing")
    try:
        await asyncio.shield(closing)
    except asyncio.CancelledError:
        await closing
        raise


async def _renew(given: Surroundings) -> JournalParts:
    """Open a new incarnation, however often it takes."""
    pause = given.options.retry_seconds[0]
    while True:
        with suppress(OSError):
            return await _open_parts(given)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


async def _keep_house(parts: JournalParts, journal: Journal) -> None:
    """Sweep, and empty old segments of which little is live."""
    while True:
        await asyncio.sleep(parts.options.housekeeping_seconds)
        with suppress(SpoolError):
            await parts.compactor.begin_anew(parts.homes, parts.clock())
        parts.janitor.sweep_soon()
        with suppress(OSError):
            await parts.loop.run_in_executor(parts.files, sweep_graves, parts)
        with suppress(SpoolError, OSError):
            for segment in parts.compactor.candidates(parts.homes, parts.clock()):
                if not parts.circuit.lost:
                    await parts.compactor.empty(segment, journal.busy)
                    parts.janitor.consider(segment)
