"""Handing part of a big inheritance on, so that one dead process's mail is delivered by many living ones.

A share becomes a directory of its own that anyone may adopt at once, like that of a process that said goodbye.
Order: copies and states (MOVED) are written and synced in a directory that leads to us; from then on they count, and
the originals are void, whoever replays our group. DONE for each original is synced in our log, and by that we are
still ourselves; only then the share's block is made to own itself. Dying at any step leaves either our group with both
copies, of which the moved one counts, or a share that stands alone.
"""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from paquebot_mta.spool.committer import LostOwnershipError, Placed
from paquebot_mta.spool.forest import rank_of
from paquebot_mta.spool.format import Kind
from paquebot_mta.spool.graves import remove_directory
from paquebot_mta.spool.incarnation import HIDDEN
from paquebot_mta.spool.layout import new_incarnation
from paquebot_mta.spool.owner import Owner, create_owner, overwrite_owner
from paquebot_mta.spool.packed import OversizedError, message_records
from paquebot_mta.spool.parts import JournalParts
from paquebot_mta.spool.reader import DamagedError, accept_stretch, body_stretch, read_accepted, whole_body
from paquebot_mta.spool.records import Accepted, Done, encode
from paquebot_mta.spool.replay import Found
from paquebot_mta.spool.segment import Home, NewRecord, SegmentFactory, SegmentWriter
from paquebot_mta.spool.store import SpoolError

_MOST_SHARES: Final = 16
_NAMES_TRIED: Final = 1_000


def split(parts: JournalParts, messages: Sequence[Found]) -> tuple[Sequence[Found], dict[str, Sequence[Found]]]:
    """Divide an inheritance among us and our living peers: what stays, and the shares by the name of their directory.

    What was moved before stays: a share is never divided again.
    """
    peers = parts.watcher.peers[:_MOST_SHARES]
    if not peers or len(messages) <= parts.options.share_messages:
        return messages, {}
    movable = [found for found in messages if found.origin is None]
    stay = [found for found in messages if found.origin is not None]
    parties = len(peers) + 1
    shares = {_name_for(parts, peer): movable[at::parties] for at, peer in enumerate(peers)}
    return [*movable[len(peers) :: parties], *stay], {name: share for name, share in shares.items() if share}


def _name_for(parts: JournalParts, peer: str) -> str:
    """Draw a name for which this peer's turn comes first."""
    living = (parts.homes[0].incarnation, *parts.watcher.peers)
    name = ""
    for _ in range(_NAMES_TRIED):
        name = new_incarnation("share", parts.randbits)
        if rank_of(peer, name, living) == 0:
            break
    return name


async def hand_on(parts: JournalParts, name: str, share: Sequence[Found]) -> Sequence[Found]:
    """Hand a share on. Returns those of its messages that are left to us to serve where they lie.

    If it fails half way the copies lead to us, and the watch takes them like everything that does.
    """
    copied: list[Found] = []
    parts.sharing.add(name)
    try:
        await parts.loop.run_in_executor(parts.files, _write, parts, name, share, copied)
        await _void(parts, copied)
        await parts.loop.run_in_executor(parts.files, _release, parts, name)
    except (OSError, SpoolError):
        if not await _is_there(parts, name):
            copied = []
    finally:
        parts.sharing.discard(name)
    for found in copied:
        found.segment.live -= 1
        parts.janitor.consider(found.segment)
    gone = {id(found) for found in copied}
    return [found for found in share if id(found) not in gone]


async def _is_there(parts: JournalParts, name: str) -> bool:
    """Whether the share came into being, however long the volume takes to tell."""
    while True:
        with suppress(OSError):
            return await parts.loop.run_in_executor(parts.files, parts.disk.exists, parts.layout.home(name))
        await asyncio.sleep(parts.options.retry_seconds[0])


def _write(parts: JournalParts, name: str, share: Sequence[Found], copied: list[Found]) -> None:
    """Write the copies; visible as a whole, and leading to us. Blocks. ``copied`` gets what could be copied."""
    disk, hidden = parts.disk, parts.layout.at("pods", f"{HIDDEN}{name}")
    us = parts.homes[0].incarnation
    disk.mkdir(hidden)
    try:
        create_owner(disk, f"{hidden}/owner", Owner(us), goodbye=True)
        disk.close(disk.open(f"{hidden}/lock", os.O_RDWR | os.O_CREAT))
        _copy(parts, Home(name, hidden, False), share, copied)
        disk.sync_dir(hidden)
    except OSError:
        with suppress(OSError):
            remove_directory(disk, hidden)
        raise
    disk.rename(hidden, parts.layout.home(name))
    disk.sync_dir(parts.layout.at("pods"))


def _copy(parts: JournalParts, home: Home, share: Sequence[Found], copied: list[Found]) -> None:
    factory = SegmentFactory(parts.disk, home, parts.sealer, parts.randbits)
    writer: SegmentWriter | None = None
    for found in share:
        try:
            records = _records(parts, found)
        except (DamagedError, OSError, OversizedError):
            continue  # it stays here; whoever delivers it learns what is wrong
        if writer is None or writer.segment.end >= parts.options.segment_bytes:
            _finish(writer)
            writer = factory.make(parts.clock())
        buffers: list[bytes] = []
        writer.append(records, buffers)
        writer.flush(buffers)
        copied.append(found)
    _finish(writer)


def _finish(writer: SegmentWriter | None) -> None:
    if writer is not None:
        writer.sync()
        writer.seal()


def _records(parts: JournalParts, found: Found) -> list[NewRecord]:
    """The message as its share holds it: content, then envelopes with their states."""
    disk, entry, number = parts.disk, found.entry, int(found.msgid, 16)
    accepted = read_accepted(disk, accept_stretch(entry, number))
    origin, generation = found.segment.home.incarnation, max(1, parts.counts.generation)
    moved = Accepted(accepted.message, 0, origin, found.msgid, generation, entry.states)
    chunks = whole_body(disk, body_stretch(entry, number))
    return message_records(parts.sealer, number, chunks, Kind.MOVED, moved)


async def _void(parts: JournalParts, copied: Sequence[Found]) -> None:
    """Sync that the originals are void.

    Raises:
        SpoolError: nobody knows; the copies are ours then, like the originals.
    """
    for at in range(0, len(copied), 1_000):
        batch = copied[at : at + 1_000]

        def on_settled(placed: Placed | None, batch: Sequence[Found] = batch) -> None:
            if placed is not None:
                placed.segment.pin(found.segment for found in batch)

        records = [
            NewRecord(Kind.DONE, int(found.msgid, 16), encode(Done(found.segment.home.incarnation))) for found in batch
        ]
        await parts.log.append(records, on_settled, essential=True)


def _release(parts: JournalParts, name: str) -> None:
    """Let the share own itself: it has said goodbye from its beginning, so anyone may adopt it now. Blocks."""
    if not parts.ownership.check():
        raise LostOwnershipError("the owner block names another incarnation")
    overwrite_owner(parts.disk, f"{parts.layout.home(name)}/owner", Owner(name, 1))
