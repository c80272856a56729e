"""Strikes a pool, and brings back what it struck."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.faults.ledger.account import Point
from tests.faults.ledger.loader import Loader
from tests.faults.ledger.plan import Kind, Strike
from tests.faults.ledger.sink import Sink
from tests.faults.pods import Pod, Pool
from tests.faults.volume import Volume
from tests.support.processes import PeerError, run_command, wait_until

TAKEOVER_SECONDS = 45.0
"""So long the first delivery by another process is waited for: three times what it should take."""
RETURN_SECONDS = 120.0
RETRY_SECONDS = 0.5
FILLER = "filler"
_CALL_SECONDS = 2.5


def name_of(pod: int) -> str:
    """Return the name of a process in EHLO."""
    return f"pod-{pod}.test"


@dataclass(frozen=True)
class Ground:
    """What the strikes are made on; pods and loaders by number."""

    volume: Volume
    sink: Sink
    pool: Pool
    loaders: list[Loader]


class Chaos:
    """Makes one strike after the other; `points` are those made so far."""

    def __init__(self, ground: Ground) -> None:
        self.points: list[Point] = []
        self._ground = ground
        self._pods = ground.pool.pods
        self._hands = ThreadPoolExecutor(len(self._pods))
        self._returning: dict[int, Future[None]] = {}
        self._paused: dict[int, tuple[float, float]] = {}
        self._by_kind = {
            "kill": self._kill,
            "call": self._call,
            "stop": self._stop,
            "full": self._full,
            "permissions": self._permissions,
            "error": self._error,
            "power": self._power,
            "drain": self._drain,
        }

    def strike(self, strike: Strike) -> None:
        """Make a strike. Raises `PeerError` when a process doesn't come back."""
        self._tend()
        self._by_kind[strike.kind](strike)

    def settle(self) -> None:
        """Bring all back."""
        for pod in list(self._paused):
            self._resume(pod)
        self._gather()
        self._ground.sink.fast()
        self._hands.shutdown()

    # Single processes.

    def _kill(self, strike: Strike) -> None:
        pod = self._choose(strike.pod)
        with self._slowed(strike):
            waiting = self._ground.sink.missing(self._ground.loaders[pod].fresh())
        began_at, seen = time.monotonic(), len(self._ground.sink.arrivals)
        self._pods[pod].kill()
        took = self._first_by_others(pod, waiting, began_at, seen) if strike.patient and waiting else None
        overdue = took is not None and took > TAKEOVER_SECONDS
        self._note("kill", [pod], began_at, took, overdue=overdue)
        self._bring_back(pod)

    def _call(self, strike: Strike) -> None:
        pod = self._choose(strike.pod)
        victim, began_at = self._pods[pod], time.monotonic()
        tracer = victim.attach(strike.injection)
        with contextlib.suppress(PeerError):
            wait_until(lambda: victim.is_dead, "its death", _CALL_SECONDS)
        tracer.terminate()
        if not victim.is_dead:  # it made no such call
            victim.kill()
        self._note("call", [pod], began_at)
        self._bring_back(pod)

    def _stop(self, strike: Strike) -> None:
        if self._paused:
            self._kill(strike)
            return
        pod = self._choose(strike.pod)
        with self._slowed(strike):
            pass
        self._pods[pod].stop_beating()
        self._paused[pod] = (time.monotonic(), time.monotonic() + strike.lasting_seconds)

    def _resume(self, pod: int) -> None:
        began_at, _ = self._paused.pop(pod)
        self._pods[pod].go_on()
        self._note("stop", [pod], began_at)

    def _error(self, strike: Strike) -> None:
        pod = self._choose(strike.pod)
        began_at = time.monotonic()
        tracer = self._pods[pod].attach(strike.injection)
        time.sleep(strike.lasting_seconds)
        tracer.terminate()
        self._note("error", [pod], began_at)

    def _drain(self, strike: Strike) -> None:
        pod = self._choose(strike.pod)
        began_at = time.monotonic()
        self._pods[pod].stop()
        self._note("drain", [pod], began_at)
        self._bring_back(pod)

    # The volume.

    def _full(self, strike: Strike) -> None:
        began_at = time.monotonic()
        try:
            _fill(self._ground.volume.path / FILLER)
            time.sleep(strike.lasting_seconds)
        finally:
            self._empty()
        self._note("full", range(len(self._pods)), began_at)

    def _empty(self) -> None:
        (self._ground.volume.path / FILLER).unlink(missing_ok=True)

    def _permissions(self, strike: Strike) -> None:
        """Modes mean nothing to root, the immutable flag does."""
        began_at = time.monotonic()
        run_command(["chattr", "-R", "+i", self._queue()])
        try:
            time.sleep(strike.lasting_seconds)
        finally:
            self._free()
        self._note("permissions", range(len(self._pods)), began_at)

    def _queue(self) -> str:
        return str(self._ground.pool.spool / "v1" / "pods")

    def _free(self) -> None:
        run_command(["chattr", "-R", "-i", self._queue()])

    def _power(self, strike: Strike) -> None:
        self._gather()
        for pod in list(self._paused):
            self._resume(pod)
        with self._slowed(strike):
            pass
        began_at = time.monotonic()
        self._ground.volume.lose_power()
        time.sleep(strike.lasting_seconds / 10)
        for each in self._pods:
            each.kill()
        self._note("power", range(len(self._pods)), began_at)
        self._ground.volume.power_on()
        self._free()
        self._empty()  # that these strikes are over may have been forgotten, too
        for number in range(len(self._pods)):
            self._bring_back(number)
        self._gather()

    # What all need.

    @contextlib.contextmanager
    def _slowed(self, strike: Strike) -> Iterator[None]:
        self._ground.sink.slow()
        time.sleep(strike.delay_seconds)
        yield
        self._ground.sink.fast()

    def _first_by_others(self, pod: int, waiting: set[str], since: float, seen: int) -> float | None:
        """Wait for the first of these messages that another process brings; None if there is none to wait for."""
        sink, dead = self._ground.sink, name_of(pod)
        while (elapsed := time.monotonic() - since) < TAKEOVER_SECONDS + 1:
            for each in sink.arrivals[seen:]:
                if each.token in waiting and each.by != dead and each.at > since:
                    return each.at - since
            if not sink.missing(waiting):
                return None
            time.sleep(0.02)
        return elapsed

    def _choose(self, wanted: int) -> int:
        """Return that process, or the next one that runs."""
        while True:
            self._tend()
            for step in range(len(self._pods)):
                pod = (wanted + step) % len(self._pods)
                if pod not in self._paused and pod not in self._returning:
                    return pod
            time.sleep(0.05)

    def _tend(self) -> None:
        """End the pauses that are over, and see who is back."""
        now = time.monotonic()
        for pod in [pod for pod, (_, until) in self._paused.items() if until <= now]:
            self._resume(pod)
        for pod in [pod for pod, back in self._returning.items() if back.done()]:
            self._returning.pop(pod).result()

    def _gather(self) -> None:
        """Wait until all that died are back."""
        for pod in list(self._returning):
            self._returning.pop(pod).result()

    def _bring_back(self, pod: int) -> None:
        self._returning[pod] = self._hands.submit(self._restart, self._pods[pod], self._ground.loaders[pod])

    def _restart(self, pod: Pod, loader: Loader) -> None:
        """Start it as the kubelet does: again, while it ends by itself, as it does on a volume that is out of order."""
        loader.forget()
        until = time.monotonic() + RETURN_SECONDS
        while True:
            try:
                return pod.restart()
            except PeerError:
                if time.monotonic() > until:
                    raise
            time.sleep(RETRY_SECONDS)

    def _note(
        self, kind: Kind, pods: list[int] | range, began_at: float, took: float | None = None, *, overdue: bool = False
    ) -> None:
        hit = frozenset(name_of(pod) for pod in pods)
        self.points.append(Point(kind, hit, began_at, time.monotonic(), took, overdue))


def _fill(path: Path) -> None:
    """Take all blocks that are free."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        end, step = 0, 64 * 2**20
        while step >= 4096:
            try:
                os.posix_fallocate(descriptor, end, step)
                end += step
            except OSError:
                step //= 2
    finally:
        os.close(descriptor)
