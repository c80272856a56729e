"""How old the queue is: when its envelopes were accepted, and which were never tried."""

from collections.abc import Callable
from itertools import islice

from paquebot_mta.mail.ids import Evpid


class Ages:
    """Acceptance times in order of arrival, which is nearly the order of age: the first one is the oldest."""

    def __init__(self) -> None:
        """Start empty."""
        self._accepted: dict[Evpid, float] = {}
        self._unattempted: dict[Evpid, float] = {}

    def add(self, evpid: Evpid, accepted_at: float, *, attempted: bool) -> None:
        """Note an envelope that came in (seconds since 1970)."""
        self._accepted[evpid] = accepted_at
        if not attempted:
            self._unattempted[evpid] = accepted_at

    def attempted(self, evpid: Evpid) -> None:
        """Note that its first attempt ended."""
        self._unattempted.pop(evpid, None)

    def forget(self, evpid: Evpid) -> None:
        """Note that it left the queue."""
        self._accepted.pop(evpid, None)
        self._unattempted.pop(evpid, None)

    def clear(self) -> None:
        """Note that everything left the queue."""
        self._accepted.clear()
        self._unattempted.clear()

    def oldest_unattempted(self) -> float | None:
        """When the oldest envelope that was never tried was accepted, None if all were."""
        return next(iter(self._unattempted.values()), None)

    def oldest(self, belongs: Callable[[Evpid], bool], look_at: int = 10_000) -> float | None:
        """When the oldest envelope that ``belongs`` was accepted, among the first so many; None if there is none."""
        first = islice(self._accepted.items(), look_at)
        return next((accepted_at for evpid, accepted_at in first if belongs(evpid)), None)
