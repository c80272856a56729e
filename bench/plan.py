"""What is measured: scenarios, and how often and how long each is run. Values only."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import Struct

MESSAGE_BYTES = 4_096
SESSIONS = 20
BUDGET_SECONDS = 240.0
"""After this time no new round starts, so that a whole run, profiles included, stays below six minutes."""
LEAST_ROUNDS = 3


Rival = Literal["exim", "opensmtpd", "haraka"]
"""Servers that take part in one scenario only."""


class Scenario(Struct, frozen=True, kw_only=True):
    """One way to load a server.

    Attributes:
        name: key of the results; ``<name>_ratio`` is Paquebot's rate divided by Postfix's.
        reuses_connections: a session sends one message after another, else each message has its own connection.
        delivers: the rate is that of messages arriving at the next hop; else deliveries are held back, and the rate
            is that of 250 replies, each given after the message was synced to disk.
        rivals: who takes part besides Postfix.
    """

    name: str
    title: str
    reuses_connections: bool
    delivers: bool
    rivals: tuple[Rival, ...] = ()


SCENARIOS = (
    Scenario(name="accept_new", title="accept, a connection each", reuses_connections=False, delivers=False),
    Scenario(
        name="accept_reused",
        title="accept, connections reused",
        reuses_connections=True,
        delivers=False,
        rivals=("exim", "opensmtpd"),
    ),
    Scenario(
        name="end_to_end",
        title="end to end, connections reused",
        reuses_connections=True,
        delivers=True,
        rivals=("haraka",),
    ),
)


class Plan(Struct, frozen=True, kw_only=True):
    """One benchmark.

    Attributes:
        rounds: measured runs of each scenario and server, after one that warms up.
        messages: of one run.
        workers: numbers of Paquebot's processes to measure; the ratios are of the first.
        rivals: whether others than Postfix take part.
        directory: where queues and logs are made; a disk, or syncs cost nothing.
        flames: where the profiles' pictures are written.
    """

    scenarios: tuple[Scenario, ...] = SCENARIOS
    rounds: int = 5
    messages: int = 3_000
    workers: tuple[int, ...] = (2, 1)
    rivals: bool = True
    profiles: bool = True
    directory: Path
    flames: Path


class Run(Struct, frozen=True, kw_only=True):
    """One measured run.

    Attributes:
        seconds: from the first connect to the last 250 reply or, end to end, to the last message at the next hop.
        user_seconds, system_seconds: CPU of all processes of the server.
        pss_bytes: proportional share of memory of all processes of the server, right after the run.
        foreign_share: share of the machine's CPU that neither the server nor the load tools used: noise from others.
    """

    scenario: str
    server: str
    messages: int
    seconds: float
    user_seconds: float
    system_seconds: float
    pss_bytes: int
    foreign_share: float

    @property
    def messages_per_second(self) -> float:
        """The rate."""
        return self.messages / self.seconds

    @property
    def cpu_microseconds_per_message(self) -> float:
        """CPU, user and system, of the server."""
        return (self.user_seconds + self.system_seconds) / self.messages * 1e6
