"""Time, as a parameter of everything that waits or dates something."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic


@dataclass(frozen=True)
class Clock:
    """Monotonic seconds, the date, and sleep."""

    monotonic: Callable[[], float] = monotonic
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def stamp(self) -> str:
        """Now, as the API spells it: RFC 3339 in UTC, whole seconds."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
