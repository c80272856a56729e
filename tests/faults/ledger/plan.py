"""What is done to a pool, drawn from a seed: the same seed gives the same strikes, though never the same moments."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from tests.faults.pods import MTA
from tests.faults.tracing import Injection

Kind = Literal["kill", "call", "stop", "full", "permissions", "error", "power", "drain"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MEANINGS: dict[Kind, str] = {
    "kill": "kill -9 of one process",
    "call": "kill -9 at a system call of the volume or of a connection",
    "stop": "SIGSTOP for up to 20 s, others are struck meanwhile",
    "full": "the volume is filled to the last block",
    "permissions": "all of the queue becomes immutable",
    "error": "writes or syncs of one process fail: EIO, ENOSPC",
    "power": "the volume forgets what was not synced, all processes die",
    "drain": "SIGTERM and a new start",
}
_WEIGHTS: dict[Kind, int] = {
    "kill": 34,
    "call": 18,
    "stop": 6,
    "full": 8,
    "permissions": 6,
    "error": 14,
    "power": 10,
    "drain": 4,
}
_CALLS = ("openat", "pwrite", "write", "fdatasync", "fsync", "rename", "unlink", "ftruncate", "fallocate")
_LONGEST_STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Plan:
    """One run.

    Attributes:
        seconds: how long strikes are made, at most; ``points``: how many, at most.
        machines: each process believes to be on a machine of its own, so that locks prove nothing.
        entry: the module that starts a process.
        sessions: of the load, for each process; each sends a message, then rests for about ``pause_seconds``.
        settle_seconds: how long all mail may take to arrive when the strikes are over.
    """

    seed: int
    seconds: float = 60.0
    points: int = 1_000_000
    pods: int = 3
    kinds: Sequence[Kind] = KINDS
    machines: bool = False
    entry: str = MTA
    sessions: int = 6
    pause_seconds: float = 0.05
    settle_seconds: float = 150.0


@dataclass(frozen=True)
class Strike:
    """One of them.

    Attributes:
        pod: number of the process that is meant, or the next one that runs.
        delay_seconds: before it; meanwhile the next hop is slow, so that deliveries are under way and mail waits.
        lasting_seconds: of what ends again.
        patient: a killed process stays dead until others have delivered something of its mail.
        injection: what strace does.
    """

    kind: Kind
    pod: int
    delay_seconds: float
    lasting_seconds: float
    patient: bool
    injection: Injection


def strikes(plan: Plan) -> Iterator[Strike]:
    """Draw strikes without end; every kind comes once before any comes twice."""
    chance = random.Random(plan.seed)
    first = list(plan.kinds)
    chance.shuffle(first)
    weights = [_WEIGHTS[kind] for kind in plan.kinds]
    while True:
        kind = first.pop() if first else chance.choices(plan.kinds, weights)[0]
        yield Strike(
            kind=kind,
            pod=chance.randrange(plan.pods),
            delay_seconds=chance.random() * 0.6,
            lasting_seconds=chance.random() * (_LONGEST_STOP_SECONDS if kind == "stop" else 2.0),
            patient=chance.random() < 0.4,
            injection=_injection(kind, chance),
        )


def _injection(kind: Kind, chance: random.Random) -> Injection:
    if kind == "call":
        return Injection(chance.choice(_CALLS), str(chance.randrange(1, 12)))
    return Injection(chance.choice(("pwrite", "fdatasync")), "1+", f"error={chance.choice(('EIO', 'ENOSPC'))}")
