"""When a server is asked for no more recipients: it refused too many in a row, in this session or on this route."""

from collections.abc import Callable

from paquebot_mta.deliver import faults
from paquebot_mta.deliver.host_route import HostRoute
from paquebot_mta.mail.outcome import Deferred
from paquebot_mta.mail.reply import Reply


class Refusals:
    """Counts along one session; the route counts along all of its own."""

    def __init__(self, limit: int, route: HostRoute, monotonic: Callable[[], float]) -> None:
        """``limit``: refusals of any kind in a row in this session."""
        self._limit = limit
        self._route = route
        self._monotonic = monotonic
        self._in_row = 0

    def accepted(self) -> None:
        """A recipient was accepted."""
        self._in_row = 0
        self._route.accepted()

    def refused(self, reply: Reply) -> None:
        """A recipient was refused."""
        self._in_row += 1
        self._route.refused(reply, self._monotonic())

    def room(self) -> int:
        """How many recipients may be asked for before ``stop`` has to be asked, at least one."""
        in_session, on_route = self._limit - self._in_row, self._route.room()
        return max(1, in_session if on_route is None else min(in_session, on_route))

    def stop(self) -> Deferred | None:
        """What becomes of those that were not asked for, if the asking has to end."""
        if (rest := self._route.rest(self._monotonic())) is not None:
            return Deferred(rest.reply, rest.seconds)
        return Deferred(faults.TOO_MANY_ERRORS) if self._in_row >= self._limit else None
