"""The load on one process of a pool: goes on for as long as it is told to, whether the process lives or not."""

from __future__ import annotations

import random
import threading
import time

from tests.faults.ledger.sink import TAKEN, UNKNOWN
from tests.support.load import Load, Witness, run_load

LENGTHS_BYTES = (300, 300, 2_000, 4_000, 20_000, 300_000)
MESSAGES = 60
RECIPIENTS = (TAKEN,) * 9 + (UNKNOWN,)


class Loader:
    """Sends messages to a port until it is closed. A token starts with `name`."""

    def __init__(self, name: str, port: int, *, sessions: int, pause_seconds: float, seed: int) -> None:
        self.witness = Witness()
        self._name, self._port = name, port
        self._sessions, self._pause_seconds = sessions, pause_seconds
        self._chance = random.Random(seed)
        self._is_closing = False
        self._old: set[str] = set()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self, timeout_seconds: float = 60.0) -> None:
        """End it after the loads under way."""
        self._is_closing = True
        self._thread.join(timeout_seconds)

    def acked(self) -> set[str]:
        """Return all tokens that were acknowledged so far."""
        return set(self.witness.acked.copy())

    def forget(self) -> None:
        """Count as fresh only what is acknowledged from now on: the process has begun anew."""
        self._old = self.acked()

    def fresh(self) -> set[str]:
        """Return the tokens that the present process has acknowledged."""
        return self.acked() - self._old

    def _run(self) -> None:
        number = 0
        while not self._is_closing:
            load = Load(
                sessions=self._sessions,
                messages=MESSAGES,
                length_bytes=self._chance.choice(LENGTHS_BYTES),
                recipients=RECIPIENTS,
                name=f"{self._name}-{number:05d}",
                pause_seconds=self._pause_seconds * (0.5 + self._chance.random()),
            )
            number += 1
            run_load(self._port, load, witness=self.witness)
            time.sleep(0.05)
