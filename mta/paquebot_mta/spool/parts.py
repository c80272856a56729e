"""The parts of one open journal, how they are put together, and how they are taken apart."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from paquebot_mta.mail.ids import RandomBits
from paquebot_mta.spool.adopt import Adopter
from paquebot_mta.spool.cache import FreshCache
from paquebot_mta.spool.committer import Committer, CommitterParts
from paquebot_mta.spool.compact import Compactor
from paquebot_mta.spool.disk import Disk
from paquebot_mta.spool.drafts import Intake
from paquebot_mta.spool.format import Kind
from paquebot_mta.spool.graves import Graves
from paquebot_mta.spool.health import Circuit, Notify, SpaceWatch
from paquebot_mta.spool.in_flight import InFlight
from paquebot_mta.spool.incarnation import make_home
from paquebot_mta.spool.index import Index
from paquebot_mta.spool.janitor import Janitor
from paquebot_mta.spool.layout import Layout, new_incarnation, prepare
from paquebot_mta.spool.liveness import Liveness
from paquebot_mta.spool.locked import Locked
from paquebot_mta.spool.log import Log
from paquebot_mta.spool.options import JournalOptions
from paquebot_mta.spool.owner import Owner, Ownership
from paquebot_mta.spool.private import PrivateMessage
from paquebot_mta.spool.replay import Found
from paquebot_mta.spool.sealer import Sealer
from paquebot_mta.spool.segment import Home, NewRecord, SegmentFactory
from paquebot_mta.spool.store import SpoolError
from paquebot_mta.spool.watch import Watcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the journal is given from outside.

    Attributes:
        directory: of the spool; ``v1`` is made in it.
        name: what a person calls this process, part of the incarnation.
        machine: names this start of this machine, empty if nobody knows: what locks prove, they prove within it.
        sealer: what the log is sealed and packed with; it outlives what is opened here.
        clock: wall clock, seconds since 1970; ``monotonic``: for durations.
    """

    directory: str
    disk: Disk
    options: JournalOptions
    randbits: RandomBits
    notify: Notify
    name: str = ""
    machine: str = ""
    sealer: Sealer = field(default_factory=Sealer)
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class Counts:
    """What only counts."""

    generation: int = 0
    possible_duplicates: int = 0
    corrupt: int = 0


@dataclass(slots=True, kw_only=True)
class JournalParts:
    """Everything an open journal consists of.

    Attributes:
        homes: our own directory first, then the adopted ones.
        readers: for contents and envelopes; ``beating``, ``watching``: for our beat and those of others, so that
            neither waits for anything else; ``files`` for everything else that is slow.
        sharing: directories in the making that are handed on to others.
        told_locked: roots of which it was said that they wait for a key; ``told_barred``: directories of which it was
            said that they can't be read.
        twins: messages that wait for another id, and which one was tried before; ``renaming`` while they get it, not
            before ``rename_at`` (monotonic seconds); ``told_twins``: of these it was said.
        found: what was adopted, until someone asks for it; ``arrived`` is set when there is more.
    """

    disk: Disk
    layout: Layout
    sealer: Sealer
    options: JournalOptions
    randbits: RandomBits
    clock: Callable[[], float]
    notify: Notify
    loop: asyncio.AbstractEventLoop
    readers: ThreadPoolExecutor
    files: ThreadPoolExecutor
    beating: ThreadPoolExecutor
    watching: ThreadPoolExecutor
    homes: list[Home]
    ownership: Ownership
    watcher: Watcher
    graves: Graves
    circuit: Circuit
    space: SpaceWatch
    committer: Committer
    log: Log
    index: Index
    cache: FreshCache
    intake: Intake
    janitor: Janitor
    compactor: Compactor
    in_flight: InFlight
    counts: Counts
    sharing: set[str] = field(default_factory=set)
    told_locked: frozenset[str] = frozenset()
    told_barred: frozenset[str] = frozenset()
    twins: dict[Found, str] = field(default_factory=dict)
    renaming: asyncio.Lock = field(default_factory=asyncio.Lock)
    rename_at: float = 0.0
    told_twins: set[Found] = field(default_factory=set)
    found: list[Found] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    closed: bool = False

    async def close(self) -> None:
        """Say goodbye if there is anything to come back to, sync, release. Harmless a second time."""
        if self.closed:
            return
        self.closed = True
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self.homes[0].segments and not self.circuit.lost:
            with suppress(SpoolError):
                await self.in_flight.keep(NewRecord(Kind.GOODBYE, 0, b""))
        await self.janitor.end_keeping()
        await self.loop.run_in_executor(None, self.committer.stop)
        await self._clean()
        await self.loop.run_in_executor(None, self._release)

    async def _clean(self) -> None:
        if not self.circuit.lost:
            self.janitor.sweep_soon()
        await self.janitor.finish()

    def _release(self) -> None:
        """Give up locks last: whoever waits for them may adopt at once. Blocks."""
        for pool in (self.readers, self.beating, self.watching, self.files):
            pool.shutdown()
        with suppress(OSError):  # after the last write, whoever owns us now: it says that no more will come
            self.ownership.close(goodbye=True)
        self.space.release()
        with suppress(OSError):
            self._bury_if_empty()
        for home in self.homes:
            if home.lock_fd >= 0:
                with suppress(OSError):
                    self.disk.close(home.lock_fd)

    def _bury_if_empty(self) -> None:
        own = self.homes[0]
        if len(self.homes) == 1 and not own.segments and not self.index and not self.circuit.lost:
            self.graves.bury(own, self.options.grave_seconds)


def assemble(given: Surroundings, loop: asyncio.AbstractEventLoop) -> JournalParts:
    """Make our incarnation and everything around it; nothing is recovered yet. Blocks.

    Raises:
        SpoolFormatError: the directory is not ours to touch.
        OSError: the volume is out of order.
    """
    disk, options, layout, sealer = given.disk, given.options, Layout(given.directory), given.sealer
    sealer.bind(prepare(layout, disk, given.randbits).cluster)
    incarnation = new_incarnation(given.name, given.randbits)
    own = make_home(disk, layout, incarnation, given.machine)
    ownership = Ownership(disk, f"{own.path}/owner", Owner(incarnation))
    homes, files = [own], ThreadPoolExecutor(4, "spool-file")
    sharing: set[str] = set()
    watcher = _watcher(given, layout, ownership, lambda: {home.incarnation for home in tuple(homes)} | sharing)
    circuit = Circuit(options, given.monotonic, given.randbits, given.notify)
    space = SpaceWatch(disk, own.path, options, given.monotonic, given.notify)
    space.look()
    factory = SegmentFactory(disk, own, sealer, given.randbits)
    clocks = (given.clock, given.monotonic)
    committing = CommitterParts(disk, factory, ownership, options, files, *clocks, space.release, circuit.observe)
    committer = Committer(committing, loop)
    log = Log(own, committer, circuit, loop, options.wait_seconds)
    index, cache, counts = Index(), FreshCache(options.cache_bytes), Counts()
    in_flight = InFlight(log, index, lambda: counts.generation)
    graves = watcher.adopter.graves
    sweeping = (graves, homes, files, ownership.check, options, given.monotonic)
    new_private = partial(PrivateMessage, disk, factory, sealer, ownership, given.clock)
    return JournalParts(
        disk=disk,
        layout=layout,
        sealer=sealer,
        options=options,
        randbits=given.randbits,
        clock=given.clock,
        notify=given.notify,
        loop=loop,
        readers=ThreadPoolExecutor(4, "spool-read"),
        files=files,
        beating=ThreadPoolExecutor(1, "spool-beat"),
        watching=ThreadPoolExecutor(1, "spool-watch"),
        homes=homes,
        ownership=ownership,
        watcher=watcher,
        graves=graves,
        circuit=circuit,
        space=space,
        committer=committer,
        log=log,
        index=index,
        cache=cache,
        intake=Intake(log, index, cache, circuit, files, sealer, options.private_bytes, new_private),
        janitor=Janitor(*sweeping, keep_intents=in_flight.keep, notify=given.notify),
        compactor=Compactor(disk, sealer, log, index, files, options),
        in_flight=in_flight,
        counts=counts,
        sharing=sharing,
    )


def sweep_graves(parts: JournalParts) -> None:
    """Remove what is buried for long, and what deaths in the middle of something left. Blocks.

    Raises:
        OSError: something stays, for the next time.
    """
    now = parts.disk.modified(f"{parts.homes[0].path}/owner")  # just written: the volume's own clock
    parts.graves.sweep(parts.options.grave_seconds, now)
    parts.watcher.adopter.sweep_claims()


def _watcher(given: Surroundings, layout: Layout, ownership: Ownership, served: Callable[[], set[str]]) -> Watcher:
    options = given.options
    adopter = Adopter(
        given.disk,
        layout,
        ownership.owner,
        given.machine,
        Graves(given.disk, layout, given.clock),
        given.randbits,
        ownership.check,
        served,
        Locked(given.disk, layout, given.sealer),
    )
    liveness = Liveness(options.adopt_after_seconds, 3 * options.watch_seconds, given.monotonic)
    return Watcher(adopter, liveness, options, given.monotonic, given.randbits)
