"""What greylisting remembers, wherever it lies; and the store in memory."""

from collections import OrderedDict
from typing import Final, Protocol

TRIES: Final = "try:"
"""How the keys begin that any stranger may add: they are forgotten first where room is short, the oldest of them."""
MAX_ENTRIES: Final = 200_000
"""Of the store in memory: beyond it what was not looked at for longest is forgotten, tries before who is known."""


class StoreError(Exception):
    """The store gave no answer."""


class Store(Protocol):
    """Keys and when they were remembered; seconds since 1970, whole ones. All raise StoreError.

    It is bounded: strangers may write to it as they like, and take no room of those who are known.
    """

    async def first_seen(self, key: str, now_seconds: int, keep_seconds: int) -> int:
        """Remember a key unless it is known, and say when that was: now, or before."""

    async def find(self, key: str, now_seconds: int) -> int | None:
        """Say when a key was remembered or renewed last, None if it is not known."""

    async def renew(self, key: str, now_seconds: int, keep_seconds: int) -> None:
        """Remember a key from now on, whether it is known or not."""

    async def close(self) -> None:
        """Finish."""


class MemoryStore:
    """Remembers for as long as this process lives (implements ``Store``)."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        """Start with nothing."""
        self._max_entries = max_entries
        self._tries: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._known: OrderedDict[str, tuple[int, int]] = OrderedDict()

    async def first_seen(self, key: str, now_seconds: int, keep_seconds: int) -> int:
        """Remember a key unless it is known."""
        seen = await self.find(key, now_seconds)
        if seen is not None:
            return seen
        await self.renew(key, now_seconds, keep_seconds)
        return now_seconds

    async def find(self, key: str, now_seconds: int) -> int | None:
        """Look, and forget what is over."""
        kept = self._place_of(key)
        found = kept.get(key)
        if found is None:
            return None
        if found[1] <= now_seconds:
            del kept[key]
            return None
        kept.move_to_end(key)
        return found[0]

    async def renew(self, key: str, now_seconds: int, keep_seconds: int) -> None:
        """Remember from now on."""
        kept = self._place_of(key)
        kept[key] = (now_seconds, now_seconds + keep_seconds)
        kept.move_to_end(key)
        if len(self._tries) + len(self._known) > self._max_entries:
            (self._tries or self._known).popitem(last=False)

    def _place_of(self, key: str) -> OrderedDict[str, tuple[int, int]]:
        return self._tries if key.startswith(TRIES) else self._known

    async def close(self) -> None:
        """Nothing to do."""
