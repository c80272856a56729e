"""Several instances on one volume, as the pods of a pool: each with its own ports and runtime files."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from paquebot_mta.config.service import Queue
from tests.faults.tracing import TracedPaquebot
from tests.support.load import Load, Witness, run_load
from tests.support.paquebot_config import PaquebotSettings
from tests.support.processes import PeerError, PeerProcess, find_program

START_SECONDS = 120.0
MTA = "paquebot_mta"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
DEFAULTS = Queue(minimum_free_percent=0)
QUICK = Queue(minimum_free_percent=0, lease_seconds=1)
"""Mail is taken over after 1.5 s of silence."""


class Pod(TracedPaquebot):
    """One instance; with a `machine` it believes to be on another one, so that locks prove nothing to it.

    `entry` is the module that starts it.
    """

    def __init__(
        self, directory: Path, settings: PaquebotSettings, spool: Path, *, machine: bool = False, entry: str = MTA
    ) -> None:
        self._entry = entry
        directory.mkdir()
        (directory / "spool").symlink_to(spool)
        self._machine = directory / "boot_id" if machine else None
        if self._machine is not None:
            self._machine.write_text(f"{uuid.uuid4()}\n")
        super().__init__(directory, settings)

    def _argv(self) -> list[str]:
        argv = [self._entry if word == MTA else word for word in super()._argv()]
        if self._machine is None:
            return argv
        script = f'mount --bind "$0" {BOOT_ID} && exec "$@"'
        return [find_program("unshare"), "-m", "sh", "-c", script, str(self._machine), *argv]

    def _start(self) -> PeerProcess:
        """Start it, with patience: many start at once after a power loss."""
        process = PeerProcess(self._argv(), self.log_path)
        try:
            process.wait_for(self.is_ready, "readiness", START_SECONDS)
        except PeerError:
            process.kill()
            raise
        return process

    def stop_beating(self) -> None:
        """Pause it, as a node that hangs does."""
        self.process.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End the pause."""
        self.process.signal(signal.SIGCONT)

    def take(self, load: Load) -> Witness:
        """Send it a load."""
        return run_load(self.ports.mx, load)


class Pool:
    """The pods, one for each of `settings`, and the volume that they share: `spool`, made if it isn't there."""

    def __init__(
        self,
        directory: Path,
        settings: Sequence[PaquebotSettings],
        *,
        machines: bool = False,
        spool: Path | None = None,
        entry: str = MTA,
    ) -> None:
        self.spool = spool or directory / "volume"
        self.spool.mkdir(exist_ok=True)
        with ThreadPoolExecutor(len(settings)) as starting:
            started = [
                starting.submit(Pod, directory / f"pod-{number}", each, self.spool, machine=machines, entry=entry)
                for number, each in enumerate(settings)
            ]
        self.pods = [each.result() for each in started if each.exception() is None]
        if len(self.pods) < len(settings):
            self.close()
            raise next(error for each in started if (error := each.exception()) is not None)

    def close(self) -> None:
        """End all of them, paused ones too."""
        for pod in self.pods:
            if not pod.is_dead:
                pod.go_on()
            pod.stop()

    def others(self, pod: Pod) -> list[Pod]:
        """All but one."""
        return [each for each in self.pods if each is not pod]

    def wait_until_empty(self, timeout_seconds: float = 60.0) -> None:
        """Wait until no living pod has anything to deliver."""
        for pod in self.pods:
            if not pod.is_dead:
                pod.wait_for_empty_queue(timeout_seconds)

    def possible_duplicates(self) -> int:
        """What all pods have counted, at their starts and when they took over."""
        lines = self.log_lines("queue.opened") + self.log_lines("queue.leased")
        return sum(int(str(line["possible_duplicates"])) for line in lines)

    def log_lines(self, event: str) -> list[dict[str, object]]:
        """The lines of all pods about something."""
        return [line for pod in self.pods for line in pod.log_lines(event=event)]


@contextmanager
def running_pool(
    directory: Path, settings: PaquebotSettings, size: int = 3, *, queue: Queue = QUICK, machines: bool = False
) -> Iterator[Pool]:
    """Run a pool to the end of the block."""
    pool = Pool(directory, [replace(settings, queue=queue)] * size, machines=machines)
    try:
        yield pool
    finally:
        pool.close()
