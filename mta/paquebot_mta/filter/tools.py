"""What filters are given to work with, and where each is in use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from paquebot_mta.filter.hold import Holder
from paquebot_mta.mail.ids import RandomBits
from paquebot_mta.resolver.questions import Resolver
from paquebot_mta.table.lookup import Table
from paquebot_mta.telemetry.bus import Bus


@dataclass(frozen=True, slots=True)
class Tools:
    """The world around filters.

    Attributes:
        bus: of report events; whoever subscribes must unsubscribe when it closes, and keep nothing waiting.
        resolver: the one in force; tables: of the configuration, by name.
        wall_clock: seconds since 1970; monotonic: seconds.
        hostname: our name. service: ``namespace/name`` of the MailService.
        holder: of content that waits for filters.
        folder: private and writable, kept over restarts if the service has a volume; None if there is none.
    """

    bus: Bus
    resolver: Callable[[], Resolver]
    tables: Callable[[], Mapping[str, Table]]
    wall_clock: Callable[[], float]
    monotonic: Callable[[], float]
    randbits: RandomBits
    hostname: str = ""
    service: str = ""
    folder: Path | None = None
    holder: Holder = field(default_factory=Holder)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a filter is in use, by itself or in a chain; reports of other places are not its business.

    Attributes:
        listeners: names of listeners (smtp-in). relays: names of relay actions (smtp-out).
        domains: hosted domains; of sessions it learns only by being asked about their recipients.
    """

    listeners: frozenset[str] = frozenset()
    relays: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
