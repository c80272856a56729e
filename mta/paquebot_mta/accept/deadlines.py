"""The waits of a session (RFC 5321, 4.5.3.2) as one float that the listener compares with the loop's clock.

Every wait for the client has a deadline; while the session itself works it has none, so nothing that we do can time out
as if the client were slow. A byte now and then is not progress: the deadline of a command is that of its whole line,
and data must come at a minimum rate.
"""

import asyncio
import math

from paquebot_mta.accept.host import Host
from paquebot_mta.accept.policy import ListenerPolicy


class Deadlines:
    """When patience ends.

    Attributes:
        deadline: loop time at which ``expire`` is due, infinite while we work.
        received_bytes: all bytes that came in.
        session_end: loop time at which the session has lasted long enough.
    """

    host: Host
    policy: ListenerPolicy
    loop: asyncio.AbstractEventLoop
    deadline = math.inf
    session_end = math.inf
    received_bytes = 0
    started_at = 0.0
    _command_awaited_at = math.inf
    _data_started_at = 0.0
    _data_started_bytes = 0

    def begin_deadlines(self) -> None:
        """Start the session's own clock."""
        self.started_at = self.loop.time()
        self.session_end = self.started_at + self.policy.limits.session_timeout_seconds

    def end_command(self) -> None:
        """Note that a whole line came: the next one has its own time."""
        self._command_awaited_at = math.inf

    def begin_data(self) -> None:
        """Start to measure the rate of the content."""
        self._data_started_at = self.loop.time()
        self._data_started_bytes = self.received_bytes

    def rest_from_deadlines(self) -> None:
        """Wait for nobody."""
        self.deadline = math.inf

    def hurry(self, until: float) -> None:
        """Wait no longer than until then; while we work there is no deadline to shorten."""
        if self.deadline != math.inf:
            self.deadline = min(self.deadline, until)

    def expect_input(self, *, data: bool) -> None:
        """Wait for a whole command, or for more data at the minimum rate."""
        now, limits = self.loop.time(), self.policy.limits
        patience = limits.data_timeout_seconds if data else limits.command_timeout_seconds
        if self.host.stressed:
            patience = min(patience, limits.stress_timeout_seconds)
        if not data:
            self._command_awaited_at = min(self._command_awaited_at, now)
            self.deadline = min(self._command_awaited_at + patience, self.session_end)
            return
        earned = (self.received_bytes - self._data_started_bytes) / max(limits.data_bytes_per_second, 1)
        slowest = self._data_started_at + limits.data_timeout_seconds + earned
        self.deadline = min(now + patience, slowest, self.session_end)
