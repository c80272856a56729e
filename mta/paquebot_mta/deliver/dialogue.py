"""Commands and replies of one session, each reported, each with its deadline."""

from collections.abc import Callable

from paquebot_mta.config.service import OutboundTimeouts
from paquebot_mta.deliver.faults import SessionFaultError
from paquebot_mta.deliver.reports import SessionReports
from paquebot_mta.deliver.wire import Wire
from paquebot_mta.mail.reply import Reply


class Dialogue:
    """A connection, its reports and its deadlines (seconds)."""

    def __init__(self, wire: Wire, reports: SessionReports, timeouts: OutboundTimeouts) -> None:
        """Keep the three."""
        self.wire = wire
        self.reports = reports
        self.timeouts = timeouts

    async def ask(self, line: str, timeout_seconds: float, *, phase: str, shown: str = "") -> Reply:
        """Send a command and read its reply; ``shown`` is reported instead of a line with a secret.

        Raises:
            SessionFaultError: no reply, or none that can be understood.
            ValueError: the line would be two.
        """
        self.wire.put_line(line.encode())
        self.wire.flush()
        self.reports.client(shown or line)
        return await self.read(timeout_seconds, phase=phase)

    async def read(self, timeout_seconds: float, *, phase: str, before: Callable[[Reply], None] | None = None) -> Reply:
        """Read a reply, marked as the next hop's; ``before`` is called with it before it is reported.

        Raises:
            SessionFaultError: no reply, or none that can be understood.
        """
        try:
            reply = await self.wire.reply(timeout_seconds)
        except SessionFaultError as fault:
            if fault.cause == "timeout":
                self.reports.timeout(phase)
            raise
        reply = Reply(reply.code, reply.text, reply.status, remote=True)
        if before is not None:
            before(reply)
        self.reports.server(reply)
        return reply
