"""Opening the back end that the configuration names."""

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from paquebot_mta.config.service import Queue
from paquebot_mta.mail.ids import RandomBits
from paquebot_mta.spool.disk import Disk, RealDisk
from paquebot_mta.spool.incarnation import this_machine
from paquebot_mta.spool.memory import MemorySpool
from paquebot_mta.spool.null import NullSpool
from paquebot_mta.spool.options import JournalOptions
from paquebot_mta.spool.parts import Surroundings
from paquebot_mta.spool.sealer import Sealer, wanted_of
from paquebot_mta.spool.startup import open_journal
from paquebot_mta.spool.store import BackEnd
from paquebot_mta.telemetry.events import Notice


async def open_spool(
    queue: Queue,
    directory: Path,
    *,
    name: str = "",
    notice: Callable[[Notice], None] = lambda notice: None,
    randbits: RandomBits = secrets.randbits,
    clock: Callable[[], float] = time.time,
    disk: Disk | None = None,
    options: JournalOptions | None = None,
) -> BackEnd:
    """Open the queue and, on a volume, recover what dead processes left in it; from then on watch the others.

    ``name`` becomes part of the incarnation's name. ``notice`` is called on the event loop, once per change of state.
    ``options`` are instead of the queue's.

    Raises:
        SpoolFormatError: ``directory`` holds something that this version must not touch; nothing was changed.
        OSError: the volume is out of order.
        SpoolError: it is in order, but what was recovered could not be made durable as ours.
        ValueError: the key ring is none.
    """
    match queue.backend:
        case "Memory":
            return MemorySpool(randbits)
        case "Null":
            return NullSpool(randbits)
        case "Journal":
            chosen = replace(options or _options(queue), minimum_free_percent=queue.minimum_free_percent)
            given = Surroundings(
                directory=f"{os.getcwd()}/{directory}" if not directory.is_absolute() else str(directory),
                disk=disk or RealDisk(),
                options=chosen,
                randbits=randbits,
                notify=notice,
                name=name,
                machine=this_machine() if chosen.machine is None else chosen.machine,
                clock=clock,
                sealer=Sealer(wanted_of(queue)),
            )
            return await open_journal(given)
        case _:
            assert_never(queue.backend)


def _options(queue: Queue) -> JournalOptions:
    return replace(JournalOptions(), grave_seconds=queue.grave_seconds).leased(queue.lease_seconds)
