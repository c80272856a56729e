"""The servers side by side: one interface for Paquebot, for Postfix and for the bare load tools.

How deliveries are held back while only accepting is measured: Postfix puts each message into its hold queue (`HOLD`
from a restriction), so that its queue manager never looks at it; Paquebot's relaying is paused (`paquebot pause mta`).
Both have then synced the message into the queue that they would deliver from, and do nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from bench.plan import SESSIONS
from paquebot_mta.config.actions import Action, Relay
from paquebot_mta.config.service import Limits
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import FAR, PaquebotSettings
from tests.support.postfix import Postfix, running_postfix
from tests.support.postfix_config import benchmark_settings
from tests.support.processes import LOOPBACK, find_program, run_command
from tests.support.smtp_tools import SmtpSink

POSTFIX = "postfix"
GENERATOR = "load tools alone"
RECIPIENT = f"somebody@{FAR}"
RETRY_SECONDS = 300
# As for Postfix: the load comes from one client, which no limit is to slow down.
UNLIMITED = Limits(sessions_per_client=1_000, messages_per_session=1_000_000)
HELD = {"smtpd_data_restrictions": "check_client_access static:HOLD"}


class Server(Protocol):
    """A running server."""

    @property
    def name(self) -> str:
        """Name in the tables."""

    @property
    def port(self) -> int:
        """Where it accepts mail, on loopback."""

    @property
    def session(self) -> int:
        """Session id of all its processes."""

    @property
    def sessions(self) -> int:
        """How many sessions its load has."""

    def queued(self) -> int:
        """Count the messages in its queue."""

    def clear(self) -> None:
        """Empty its queue."""


class PaquebotServer:
    """Paquebot with so many workers."""

    def __init__(self, paquebot: Paquebot) -> None:
        self.paquebot = paquebot
        self.name = paquebot_name(paquebot.settings.workers)
        self.port = paquebot.ports.mx
        self.session = paquebot.process.pid
        self.sessions = SESSIONS

    def queued(self) -> int:
        """Read the gauge of all workers."""
        return int(self.paquebot.metric("paquebot_queue_messages"))

    def clear(self) -> None:
        """Remove all envelopes."""
        self.paquebot.cli("remove", "all").checked()


class PostfixServer:
    """Debian's Postfix."""

    name = POSTFIX

    def __init__(self, postfix: Postfix) -> None:
        self._postfix = postfix
        self.port = postfix.port
        self.session = postfix.process.pid
        self.sessions = SESSIONS

    def queued(self) -> int:
        """Count the queue's files."""
        queue = self._postfix.directory / "queue"
        names = ("incoming", "active", "deferred", "hold")
        return sum(1 for name in names for path in (queue / name).rglob("*") if path.is_file())

    def clear(self) -> None:
        """Delete all messages."""
        config = str(self._postfix.config_directory)
        run_command([find_program("postsuper"), "-c", config, "-d", "ALL"]).checked()


class BareSink:
    """No server at all: what the load tools reach by themselves."""

    name = GENERATOR

    def __init__(self, sink: SmtpSink) -> None:
        self.port = sink.port
        self.session = sink.process.pid
        self.sessions = SESSIONS

    def queued(self) -> int:
        """Return 0: it drops everything."""
        return 0

    def clear(self) -> None:
        """Do nothing."""


def paquebot_name(workers: int) -> str:
    """Return the name in the tables."""
    return f"paquebot, {workers} {'worker' if workers == 1 else 'workers'}"


@contextmanager
def running_paquebot_server(directory: Path, workers: int, next_hop: int, *, delivers: bool) -> Iterator[Server]:
    """Run Paquebot, relaying to a port of loopback, until the end of the block."""
    relay = Action(relay=Relay(host=f"[{LOOPBACK}]", port=next_hop))
    settings = PaquebotSettings(
        actions={"relay": relay}, workers=workers, retry_seconds=RETRY_SECONDS, limits=UNLIMITED
    )
    with running_paquebot(directory, settings) as paquebot:
        if not delivers:
            paquebot.cli("pause", "mta").checked()
        yield PaquebotServer(paquebot)


@contextmanager
def running_postfix_server(directory: Path, next_hop: int, *, delivers: bool) -> Iterator[Server]:
    """Run Postfix, relaying to a port of loopback, until the end of the block."""
    with running_postfix(directory, benchmark_settings(next_hop, **({} if delivers else HELD))) as postfix:
        yield PostfixServer(postfix)
