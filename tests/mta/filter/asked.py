"""The world around filters that ask somebody, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from paquebot_mta.filter.contract import Facts
from paquebot_mta.filter.tools import Tools
from paquebot_mta.filter.watch import WatchedFilter
from paquebot_mta.mail.ids import Msgid, SessionId
from paquebot_mta.resolver.memory import MemoryResolver, Zones
from paquebot_mta.table.lookup import Table
from paquebot_mta.telemetry.bus import Bus

from .process.stage import until

SESSION = SessionId("00000000000000a1")
MSGID = Msgid("508f4cf1")


@dataclass
class World:
    """What `tools` give; `now` is both clocks, and stands still."""

    zones: Zones = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    now: float = 1_700_000_000.0

    def __post_init__(self) -> None:
        self.resolver = MemoryResolver(self.zones)
        self.bus = Bus()

    @property
    def tools(self) -> Tools:
        return Tools(
            bus=self.bus,
            resolver=lambda: self.resolver,
            tables=lambda: self.tables,
            wall_clock=lambda: self.now,
            monotonic=lambda: self.now,
            randbits=lambda bits: (1 << bits) - 1,
            hostname="mx.example.test",
            service="mail/main",
        )


def facts(address: str = "192.0.2.1", session: SessionId = SESSION, **known: object) -> Facts:
    """Return what is known of a session of a stranger."""
    found = Facts(session=session, endpoint="mx", client_address=address, client_port=4711, helo="client.example.test")
    for name, value in known.items():
        setattr(found, name, value)
    return found


async def told_of(watched: WatchedFilter) -> str:
    """Start a filter, and give what its watch finds first; the filter is closed."""
    await watched.start()
    try:
        await until(lambda: watched.watched)
        return watched.trouble()
    finally:
        await watched.close()


class MemoryContent:
    """A message in memory (implements `Content`)."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.reads = 0

    @property
    def size(self) -> int:
        return len(self._content)

    @property
    def header_size(self) -> int:
        end = self._content.find(b"\r\n\r\n")
        return len(self._content) if end < 0 else end + 4

    async def read(self, offset: int, count: int) -> bytes:
        self.reads += 1
        return self._content[offset : offset + count]
