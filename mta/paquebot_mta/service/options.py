"""What the command line decides; everything else is configuration. Values are made once and passed down."""

from pathlib import Path
from typing import Literal

from msgspec import Struct

from paquebot_mta.admin.sockets import submit_socket


class Options(Struct, frozen=True, kw_only=True):
    """Options of ``paquebot mta``.

    Attributes:
        config: directory of the configuration, as the kubelet mounts it.
        spool: the queue volume.
        runtime: control sockets of the workers.
        workers: processes on the same ports and sockets, each an incarnation of its own on the spool.
        admin_host, admin_port: where ``/metrics``, ``/healthz``, ``/readyz`` and ``/config`` are served.
        log_format: JSON lines, readable lines, or what suits the output.
        log_level: overrides the configuration's.
        grace_seconds: how long a drain may take before what is in flight is broken off (it stays queued).
        pod: name shown in logs.
        worker: index of this process among several; None in the process that supervises or works alone.
        parent: the process that started this one: when it is gone, this one ends; None outlives it.
    """

    config: Path
    spool: Path
    runtime: Path
    workers: int = 1
    admin_host: str = "127.0.0.1"
    admin_port: int = 9025
    log_format: Literal["auto", "json", "text"] = "auto"
    log_level: str = ""
    grace_seconds: float = 30.0
    pod: str = ""
    worker: int | None = None
    parent: int | None = None

    @property
    def control_socket(self) -> Path:
        """The worker's control socket."""
        return self.socket_of(self.worker or 0)

    def socket_of(self, worker: int) -> Path:
        """The control socket of a worker."""
        return self.runtime / f"worker-{worker}.sock"

    @property
    def submit_socket(self) -> Path:
        """Where the programs of this machine submit mail to the worker."""
        return self.runtime / submit_socket(self.worker or 0)
