"""The operator as people run it: a process with a kubeconfig, seen by its port, its log and what it writes."""

from __future__ import annotations

import http.client
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import LOOPBACK, PeerError, PeerProcess, free_port

from .control_plane import ControlPlane

IMAGE = "paquebot:test"
READY_SECONDS = 90.0


class OperatorProcess:
    """One `paquebot operator`; `port` is its own."""

    def __init__(self, directory: Path, kubeconfig: Path, namespace: str, *options: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.log_path = directory / f"operator-{self.port}.log"
        argv = [
            *(sys.executable, "-m", "paquebot_mta", "operator", "--image", IMAGE, "--namespace", namespace),
            *("--listen", f"{LOOPBACK}:{self.port}", "--kubeconfig", str(kubeconfig), *options),
        ]
        self.process = PeerProcess(argv, self.log_path)

    def get(self, path: str) -> tuple[int, str]:
        """Ask its port. Raises OSError when nothing listens."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=5.0)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def answers(self, path: str) -> bool:
        """Whether it answers 200."""
        try:
            return self.get(path)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def wait_ready(self) -> None:
        """Wait until it has listed everything, or stands by."""
        self.process.wait_for(lambda: self.answers("/readyz"), "readiness", READY_SECONDS)

    def count(self, name: str, **labels: str) -> float:
        """Sum of a metric's samples with these labels."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        samples = (sample for family in families for sample in family.samples if sample.name == name)
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def writes(self) -> dict[str, float]:
        """Requests that write, by verb and resource, but for the Lease's."""
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(self.get("/metrics")[1]):
            for sample in family.samples:
                if sample.name != "paquebot_operator_api_requests_total" or sample.labels["resource"] == "leases":
                    continue
                if sample.labels["verb"] in {"apply", "status", "patch", "create", "update", "delete"}:
                    key = f"{sample.labels['verb']} {sample.labels['resource']}"
                    found[key] = found.get(key, 0) + sample.value
        return found

    def is_leader(self) -> bool:
        """Whether it says that it holds the Lease."""
        return self.count("paquebot_operator_leader") == 1

    def resident_bytes(self) -> int:
        """Its memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self) -> float:
        """CPU time that it used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def pause(self) -> None:
        """Let it hang."""
        self.process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.process.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()

    def end(self) -> int:
        """End it as Kubernetes does; its exit status."""
        return self.process.terminate(15.0)


@contextmanager
def running_operator(
    directory: Path,
    plane: ControlPlane,
    namespace: str,
    *options: str,
    wait: bool = True,
    kubeconfig: Path | None = None,
) -> Iterator[OperatorProcess]:
    """Yield an operator that serves `namespace` only, ended afterwards; with a `kubeconfig` it goes another way."""
    watched = ("--watch-namespace", namespace)
    operator = OperatorProcess(directory, kubeconfig or plane.api.kubeconfig, namespace, *watched, *options)
    try:
        if wait:
            operator.wait_ready()
        yield operator
    except BaseException as error:
        error.add_note(operator.process.log_tail())
        raise
    finally:
        try:
            operator.resume()
            operator.kill()
        except (PeerError, ProcessLookupError):
            pass


class KeptOperator:
    """An operator that is started again whenever it ends, as the kubelet does it.

    Attributes:
        restarts: how often that was.
    """

    def __init__(self, start: Callable[[], OperatorProcess]) -> None:
        self.restarts = 0
        self.current = start()
        self._start = start
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="kept-operator", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End it for good."""
        self._stop.set()
        self._thread.join(30)
        with suppress(PeerError, ProcessLookupError):
            self.current.kill()

    def _keep(self) -> None:
        while not self._stop.wait(1.0):
            if self.current.process.returncode is not None:
                self.restarts += 1
                self.current = self._start()


@contextmanager
def kept_operator(directory: Path, kubeconfig: Path, namespace: str) -> Iterator[KeptOperator]:
    """Yield an operator of `namespace` that is kept alive, ended afterwards."""
    options = ("--watch-namespace", namespace)
    kept = KeptOperator(lambda: OperatorProcess(directory, kubeconfig, namespace, *options))
    try:
        yield kept
    except BaseException as error:
        error.add_note(kept.current.process.log_tail())
        raise
    finally:
        kept.end()
