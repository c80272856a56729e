"""From a dead incarnation's directory to mail that we deliver: the event loop's side of adoption.

Order: the blocks name us already; the logs were read; ADOPT in our own log is synced, and by that we are known to be
ourselves still; only then is any of the mail served.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

from paquebot_mta.spool.committer import FULL, LostOwnershipError, Placed
from paquebot_mta.spool.format import Kind
from paquebot_mta.spool.index import by_message
from paquebot_mta.spool.parts import JournalParts
from paquebot_mta.spool.records import Adopted, Results, encode
from paquebot_mta.spool.replay import Found, Recovered, Replay
from paquebot_mta.spool.reread import (
    is_among,
    is_readable,
    keep_together,
    read_anew,
    served_of,
    shadows_of,
    take_in,
)
from paquebot_mta.spool.segment import Home, NewRecord, Segment
from paquebot_mta.spool.share import hand_on, split
from paquebot_mta.spool.store import SpoolError
from paquebot_mta.spool.twins import keep_twin, serve_twins
from paquebot_mta.spool.watch import Dead
from paquebot_mta.telemetry.events import Notice

_INHERITED: Final = Dead("", "inherited", 0.0)
_T = TypeVar("_T")


async def adopt_at_start(parts: JournalParts) -> None:
    """Take over whoever is known to be dead, one after the other, and tell what was found.

    Raises:
        LostOwnershipError: we were taken over ourselves.
        OSError: the volume is out of order.
    """
    groups: list[Recovered] = []
    failed = set[str]()
    while more := await _adopt_all(parts, failed):
        groups += more  # what dead adopters had claimed can be taken after them
    _tell_locked(parts)
    _tell_barred(parts)
    _tell_failed(parts, failed)
    if groups:
        parts.found.sort(key=lambda found: found.created_at)
        _announce(parts, groups)
        parts.janitor.sweep_soon()


async def _adopt_all(parts: JournalParts, failed: set[str]) -> Sequence[Recovered]:
    groups: list[Recovered] = []
    for dead in await _in_watch(parts, partial(parts.watcher.look, start=True)):
        recovered = await _alone(_take(parts, dead, start=True), failed)
        if recovered is not None:
            groups.append(recovered)
            await asyncio.sleep(parts.options.claim_pause_seconds)
    return groups


async def watch(parts: JournalParts) -> None:
    """Look after the others until the end: take over the dead, and look for late records of those before."""
    told = set[str]()
    while not parts.circuit.lost:
        await asyncio.sleep(parts.watcher.pause_seconds())
        failed = set[str]()
        try:
            await _alone(_look(parts, failed), failed)
        except LostOwnershipError as error:
            parts.circuit.observe(error)
        _tell_failed(parts, failed - told)
        told = failed


async def _alone(step: Awaitable[_T], failed: set[str]) -> _T | None:
    """Do one thing of many: what is wrong with it must not keep us from the others. It is tried again.

    Raises:
        LostOwnershipError: we were taken over ourselves.
    """
    try:
        return await step
    except LostOwnershipError:
        raise
    except (OSError, SpoolError) as error:
        failed.add(str(error))
        return None


async def _look(parts: JournalParts, failed: set[str]) -> None:
    """Look once.

    Raises:
        OSError: the volume is out of order.
    """
    for dead in await _in_watch(parts, parts.watcher.look):
        recovered = await _alone(_take(parts, dead), failed)
        if recovered is not None:
            _tell_adopted(parts, dead, recovered)
    _tell_locked(parts)
    inherited = await _alone(_take(parts, _INHERITED), failed)
    if inherited is not None:
        _tell_adopted(parts, _INHERITED, inherited)
    await _alone(_read_again(parts), failed)
    await serve_twins(parts)
    for home in await _in_watch(parts, parts.watcher.to_rescan, tuple(parts.homes)):
        late = await _in_watch(parts, Replay(parts.disk, parts.layout, parts.sealer, [home], again=True).run)
        await _take_late(parts, home, late)
    _tell_barred(parts)


async def _in_watch(parts: JournalParts, work: Callable[..., _T], *arguments: object) -> _T:
    return await parts.loop.run_in_executor(parts.watching, work, *arguments)


async def _take(parts: JournalParts, dead: Dead, *, start: bool = False) -> Recovered | None:
    """Claim, read, put ADOPT into our own log, and only then serve. None if there is nothing for us.

    Raises:
        OSError, SpoolError: the volume is out of order; what leads to us already is taken by a later look.
    """
    recovered = await _in_watch(parts, _claim_and_read, parts, dead)
    if recovered is None:
        return None
    recovered.enter()
    counts = parts.counts
    counts.generation = max(counts.generation, 1 + recovered.generation)
    parts.compactor.generation = counts.generation
    if recovered.messages or recovered.held:
        await _log_adoption(parts, recovered.segments)
    counts.possible_duplicates += recovered.possible_duplicates
    counts.corrupt += recovered.corrupt
    parts.homes += recovered.homes
    keep_together(recovered.homes)
    mine, shares = (recovered.messages, {}) if start or recovered.unread else split(parts, recovered.messages)
    for found in itertools.chain.from_iterable(shares.values()):
        found.segment.live += 1  # holds its segment
    await serve(parts, mine)
    if shares:
        parts.tasks.append(parts.loop.create_task(_hand_on(parts, shares), name="spool-share"))
    parts.janitor.sweep_soon()
    return recovered


async def _hand_on(parts: JournalParts, shares: Mapping[str, Sequence[Found]]) -> None:
    """Hand shares on, one after the other; what can't be handed on is served here."""
    for name, share in shares.items():
        kept = await hand_on(parts, name, share)
        for found in kept:
            found.segment.live -= 1
        await serve(parts, kept)
        details: dict[str, str | int | float | bool] = {"share": name, "messages": len(share) - len(kept)}
        parts.notify(Notice(level="info", event="queue.released", details=details))


def _claim_and_read(parts: JournalParts, dead: Dead) -> Recovered | None:
    homes = _claim(parts, dead)
    return Replay(parts.disk, parts.layout, parts.sealer, homes).run() if homes else None


def _claim(parts: JournalParts, dead: Dead) -> Sequence[Home]:
    """Claim; on a full volume once more with the space that is kept for such a moment."""
    take = parts.watcher.inherited if dead is _INHERITED else lambda: parts.watcher.take(dead)
    try:
        return take()
    except OSError as error:
        if error.errno not in FULL or not parts.space.release():
            raise
        return take()


async def _log_adoption(parts: JournalParts, segments: Sequence[Segment]) -> None:
    """Sync ADOPT; its segment stays until everything that it speaks for is gone."""

    def on_settled(placed: Placed | None) -> None:
        if placed is not None:
            placed.segment.pin(segments)

    adopted = sorted({segment.home.incarnation for segment in segments})
    payload = encode(Adopted(tuple(adopted), parts.counts.generation))
    await parts.log.append([NewRecord(Kind.ADOPT, 0, payload)], on_settled, essential=True)


async def serve(parts: JournalParts, messages: Sequence[Found]) -> None:
    """Take messages in where they lie; those whose ids are in use get others."""
    for found in messages:
        if found.msgid in parts.index or found.msgid in parts.intake.open_ids:
            keep_twin(parts, found)
            parts.rename_at = 0.0
        else:
            parts.index.add(found.msgid, found.entry)
            parts.found.append(found)
    if parts.found:
        parts.arrived.set()
    await serve_twins(parts)


async def _take_late(parts: JournalParts, home: Home, late: Recovered) -> None:
    """Take in what a process that was thought dead has written since: it was never acknowledged, but it is mail."""
    late.enter()
    for segment, results in late.late:
        _apply_late(parts, segment, results)
    parts.counts.possible_duplicates += late.possible_duplicates
    parts.counts.corrupt += late.corrupt
    fresh = [found for found in late.messages if found.origin is None]
    await serve(parts, fresh)
    if fresh or late.late or late.corrupt:
        details: dict[str, str | int | float | bool] = {
            "incarnation": home.incarnation,
            "messages": len(fresh),
            "results": len(late.late),
            "possible_duplicates": late.possible_duplicates,
            "corrupt": late.corrupt,
        }
        parts.notify(Notice(level="warning", event="queue.late", details=details))
    if home.proven:
        home.guarded_until = 0.0
        parts.janitor.sweep_soon()


async def _read_again(parts: JournalParts) -> None:
    """Take in what could not be read before, once it can be."""
    unread = [home for home in parts.homes if home.unread]
    if not unread or not await _in_watch(parts, is_readable, parts.disk, parts.sealer, unread):
        return
    served, shadows = served_of(parts.index, parts.twins), shadows_of(parts.homes)
    recovered = await _in_watch(parts, read_anew, parts.disk, parts.layout, parts.sealer, shadows)
    if recovered is None:
        return
    take_in(parts.homes, recovered)
    for segment, results in recovered.late:
        _apply_late(parts, segment, results)
    counts = parts.counts
    counts.generation = max(counts.generation, 1 + recovered.generation)
    parts.compactor.generation = counts.generation
    counts.possible_duplicates += recovered.possible_duplicates
    counts.corrupt += recovered.corrupt
    served |= served_of(parts.index, parts.twins)
    fresh = [found for found in recovered.messages if not is_among(served, found)]
    await serve(parts, fresh)
    _tell_read_again(parts, recovered, len(fresh))
    parts.janitor.sweep_soon()


def _tell_read_again(parts: JournalParts, recovered: Recovered, messages: int) -> None:
    details: dict[str, str | int | float | bool] = {
        "segments": sum(not segment.unread for segment in recovered.segments),
        "messages": messages,
        "possible_duplicates": recovered.possible_duplicates,
        "corrupt": recovered.corrupt,
        "held": recovered.held,
    }
    parts.notify(Notice(level="warning", event="queue.read-again", details=details))


def _apply_late(parts: JournalParts, segment: Segment, results: Results) -> None:
    """A zombie has delivered something after we read its log: what is final is final, wherever it stands."""
    about = results.incarnation or segment.home.incarnation
    for msgid, group in by_message([result for result in results.results if result.final is not None]):
        entry = parts.index.get(msgid)
        if entry is not None and entry.segment.home.incarnation == about:
            segment.pin([entry.segment])
            left = parts.index.apply(msgid, group)
            if left is not None:
                parts.janitor.consider(left)


def _announce(parts: JournalParts, groups: Sequence[Recovered]) -> None:
    details: dict[str, str | int | float | bool] = {
        "incarnations": sum(len(group.homes) for group in groups),
        "messages": len(parts.found),
        "possible_duplicates": sum(group.possible_duplicates for group in groups),
        "corrupt": sum(group.corrupt for group in groups),
        "torn": sum(group.torn for group in groups),
        "held": sum(group.held for group in groups),
    }
    bad = details["corrupt"] or details["held"]
    parts.notify(Notice(level="warning" if bad else "info", event="queue.opened", details=details))


def _tell_locked(parts: JournalParts) -> None:
    """Say once for each root that its mail waits for a key."""
    roots = parts.watcher.adopter.locked.roots
    for root in roots.keys() - parts.told_locked:
        details: dict[str, str | int | float | bool] = {
            "root": root,
            "keys": ",".join(map(str, sorted(roots[root]))),
            "segments": roots[root].total(),
        }
        parts.notify(Notice(level="error", event="queue.key-missing", details=details))
    parts.told_locked = frozenset(roots)


def _tell_barred(parts: JournalParts) -> None:
    """Say once for each directory that something of it can't be read."""
    barred = {home.incarnation: "it can't be listed" for home in parts.homes if home.unlisted}
    barred |= parts.watcher.adopter.barred
    for name in sorted(barred.keys() - parts.told_barred):
        details: dict[str, str | int | float | bool] = {"incarnation": name, "cause": barred[name]}
        parts.notify(Notice(level="error", event="queue.barred", details=details))
    parts.told_barred = frozenset(barred)


def _tell_failed(parts: JournalParts, causes: Iterable[str]) -> None:
    for cause in sorted(causes):
        parts.notify(Notice(level="warning", event="queue.adoption-failed", details={"cause": cause}))


def _tell_adopted(parts: JournalParts, dead: Dead, recovered: Recovered) -> None:
    details: dict[str, str | int | float | bool] = {
        "root": dead.root,
        "reason": dead.reason,
        "incarnations": len(recovered.homes),
        "messages": len(recovered.messages),
        "possible_duplicates": recovered.possible_duplicates,
        "corrupt": recovered.corrupt,
        "torn": recovered.torn,
        "held": recovered.held,
        "silent_seconds": round(dead.silent_seconds, 3),
    }
    bad = recovered.corrupt or recovered.held
    parts.notify(Notice(level="warning" if bad else "info", event="queue.leased", details=details))
