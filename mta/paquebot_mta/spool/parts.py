"""The parts of one open journal, how they are put together, and how they are taken apart."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from paquebot_mta.mail.ids import RandomBits
from paquebot_mta.spool.adopt import Adopter, make_home
from paquebot_mta.spool.cache import FreshCache
from paquebot_mta.spool.committer import Committer, CommitterParts
from paquebot_mta.spool.compact import Compactor
from paquebot_mta.spool.disk import Disk
from paquebot_mta.spool.drafts import Intake
from paquebot_mta.spool.format import Kind
from paquebot_mta.spool.health import Circuit, Notify, SpaceWatch
from paquebot_mta.spool.index import Index
from paquebot_mta.spool.janitor import Janitor
from paquebot_mta.spool.layout import Layout, new_incarnation, prepare
from paquebot_mta.spool.log import Log
from paquebot_mta.spool.options import JournalOptions
from paquebot_mta.spool.owner import Owner, Ownership
from paquebot_mta.spool.private import PrivateMessage
from paquebot_mta.spool.replay import Found
from paquebot_mta.spool.segment import Home, SegmentFactory
from paquebot_mta.spool.store import SpoolError


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the journal is given from outside.

    Attributes:
        directory: of the spool; ``v1`` is made in it.
        name: what a person calls this process, part of the incarnation.
        clock: wall clock, seconds since 1970; ``monotonic``: for durations.
    """

    directory: str
    disk: Disk
    options: JournalOptions
    randbits: RandomBits
    notify: Notify
    name: str = ""
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
        readers: for contents and envelopes; ``files`` for everything else that is slow.
        found: what the start found, until someone asks for it.
    """

    disk: Disk
    layout: Layout
    options: JournalOptions
    randbits: RandomBits
    clock: Callable[[], float]
    notify: Notify
    loop: asyncio.AbstractEventLoop
    readers: ThreadPoolExecutor
    files: ThreadPoolExecutor
    homes: list[Home]
    ownership: Ownership
    adopter: Adopter
    circuit: Circuit
    space: SpaceWatch
    committer: Committer
    log: Log
    index: Index
    cache: FreshCache
    intake: Intake
    janitor: Janitor
    compactor: Compactor
    counts: Counts = field(default_factory=Counts)
    found: list[Found] = field(default_factory=list)
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
                await self.log.append([(Kind.GOODBYE, 0, b"")], lambda placed: None)
        await self.loop.run_in_executor(None, self.committer.stop)
        await self._clean()
        await self.loop.run_in_executor(None, self._release)

    async def _clean(self) -> None:
        if not self.circuit.lost:
            self.janitor.sweep_soon()
        await self.janitor.finish()

    def _release(self) -> None:
        """Give up locks last: whoever waits for them may adopt at once. Blocks."""
        self.readers.shutdown()
        self.files.shutdown()
        with suppress(OSError):
            self.ownership.close(goodbye=not self.circuit.lost)
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
            self.adopter.bury(own, self.options.grave_seconds)


def assemble(given: Surroundings, loop: asyncio.AbstractEventLoop) -> JournalParts:
    """Make our incarnation and everything around it; nothing is recovered yet. Blocks.

    Raises:
        SpoolFormatError: the directory is not ours to touch.
        OSError: the volume is out of order.
    """
    disk, options, layout = given.disk, given.options, Layout(given.directory)
    prepare(layout, disk, given.randbits)
    incarnation = new_incarnation(given.name, given.randbits)
    own = make_home(disk, layout, incarnation)
    ownership = Ownership(disk, f"{own.path}/owner", Owner(incarnation))
    adopter = Adopter(disk, layout, incarnation, given.randbits, given.clock)
    with suppress(OSError):
        adopter.sweep(options.grave_seconds)
    files = ThreadPoolExecutor(4, "spool-file")
    circuit = Circuit(options, given.monotonic, given.randbits, given.notify)
    space = SpaceWatch(disk, own.path, options, given.monotonic, given.notify)
    space.look()
    factory = SegmentFactory(disk, own, given.randbits)
    committer = Committer(
        CommitterParts(
            disk, factory, ownership, options, files, given.clock, given.monotonic, space.release, circuit.observe
        ),
        loop,
    )
    log = Log(own, committer, circuit, loop, options.wait_seconds)
    index, cache, homes = Index(), FreshCache(options.cache_bytes), [own]

    def new_private() -> PrivateMessage:
        return PrivateMessage(disk, factory, ownership, given.clock)

    return JournalParts(
        disk=disk,
        layout=layout,
        options=options,
        randbits=given.randbits,
        clock=given.clock,
        notify=given.notify,
        loop=loop,
        readers=ThreadPoolExecutor(4, "spool-read"),
        files=files,
        homes=homes,
        ownership=ownership,
        adopter=adopter,
        circuit=circuit,
        space=space,
        committer=committer,
        log=log,
        index=index,
        cache=cache,
        intake=Intake(log, index, cache, circuit, files, options.private_bytes, new_private),
        janitor=Janitor(disk, adopter, homes, files, options.grave_seconds),
        compactor=Compactor(disk, log, index, files, options),
    )
