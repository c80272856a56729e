"""From `kubectl apply` to what an SMTP client sees: a new domain accepted by every pod of a pool, and refused again.

A whole cluster: the time is the operator's, the API server's and the kubelet's, which refreshes what pods have mounted.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec import Struct

from tests.kube.cluster import Cluster, running_cluster
from tests.kube.operator_case import SERVICE, Case, eventually, install_definitions, mail_domain, mail_service
from tests.kube.operator_process import OperatorProcess, running_operator
from tests.support.processes import peer_directory

PODS = 3
SMTP_PORT = 2525
PROBE_SECONDS = 0.02
EFFECT_SECONDS = 60.0
START_SECONDS = 180.0
OTHER_DOMAINS = 100
"""That are there already."""


class Times(Struct, frozen=True, kw_only=True):
    """Of one kind of change, from the request until every pod showed it; in seconds, all of them in ``seconds``."""

    changes: int
    p50_seconds: float
    p90_seconds: float
    p99_seconds: float
    slowest_seconds: float
    seconds: tuple[float, ...]


class Figures(Struct, frozen=True, kw_only=True):
    """Domains that came and that went; ``writes`` of the operator a change, without and with the pods' nudges."""

    added: Times
    removed: Times
    writes: float
    nudges: float


class Probe:
    """Asks one pod again and again, in one SMTP session, whether it takes mail for a recipient."""

    def __init__(self, address: str) -> None:
        self.taken_at = self.refused_at = 0.0
        self._address = address
        self._recipient = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask_always, name=f"probe-{address}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(10)

    def ask_for(self, recipient: str) -> None:
        """Ask for another one from now on."""
        self._recipient, self.taken_at, self.refused_at = recipient, 0.0, 0.0

    def _ask_always(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError), socket.create_connection((self._address, SMTP_PORT), 5) as connection:
                self._ask_in(connection)

    def _ask_in(self, connection: socket.socket) -> None:
        replies = connection.makefile("rb")
        _reply(replies)
        _command(connection, replies, b"HELO client.example.test")
        while not self._stop.wait(PROBE_SECONDS):
            recipient = self._recipient
            _command(connection, replies, b"MAIL FROM:<sender@example.org>")
            code = _command(connection, replies, b"RCPT TO:<%s>" % recipient.encode()) if recipient else 0
            _command(connection, replies, b"RSET")
            if recipient == self._recipient and code == 250 and not self.taken_at:
                self.taken_at = time.monotonic()
            if recipient == self._recipient and code >= 500 and self.taken_at and not self.refused_at:
                self.refused_at = time.monotonic()


def measure(changes: int, say: Callable[[str], None]) -> Figures:
    """Measure so many domains, each added and removed again. Raises `UnavailableError`."""
    with running_cluster() as cluster, peer_directory() as directory, _pool(cluster, directory, say) as pool:
        case, operator, addresses = pool
        with ExitStack() as asking:
            probes = [asking.enter_context(Probe(address)) for address in addresses]
            before = operator.writes()
            pairs = [_change(case, probes, number) for number in range(changes)]
            time.sleep(5.0)
            spent = {name: count - before.get(name, 0) for name, count in operator.writes().items()}
    nudges = spent.pop("patch pods", 0.0)
    added, removed = (tuple(sorted(each)) for each in zip(*pairs, strict=True))
    total = 2 * changes
    return Figures(
        added=_times(added), removed=_times(removed), writes=sum(spent.values()) / total, nudges=nudges / total
    )


@contextmanager
def _pool(
    cluster: Cluster, directory: Path, say: Callable[[str], None]
) -> Iterator[tuple[Case, OperatorProcess, list[str]]]:
    """Yield a pool of pods that serve some domains, its operator, and the pods' addresses."""
    cluster.load_project_image()
    install_definitions(cluster.control)
    case = Case(cluster.control, cluster.api.new_namespace(), directory)
    service: dict[str, Any] = {
        "replicas": PODS,
        "pods": {"imagePullPolicy": "Never", "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}}},
        "queue": {"storage": {"size": "1Gi", "storageClassName": cluster.storage_class}},
        "limits": {name: 1_000_000 for name in ("maxErrors", "maxJunkCommands", "maxMessagesPerSession")},
    }
    case.apply(mail_service(**service), *(mail_domain(f"other{number}") for number in range(OTHER_DOMAINS)))
    with running_operator(directory, cluster.control, case.namespace) as operator:
        eventually(lambda: len(_ready(case)) == PODS, f"{PODS} ready pods", START_SECONDS)
        eventually(lambda: case.condition("MailService", SERVICE, "Ready")[0] == "True", "a ready pool", START_SECONDS)
        say(f"{PODS} pods serve {OTHER_DOMAINS} domains")
        yield case, operator, _ready(case)


def _ready(case: Case) -> list[str]:
    """Addresses of the pods that are ready."""
    found = []
    for pod in case.list("Pod", "v1"):
        conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", ())}
        if conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]:
            found.append(pod["status"]["podIP"])
    return found


def _change(case: Case, probes: list[Probe], number: int) -> tuple[float, float]:
    """Add a domain and remove it; seconds until all pods showed each."""
    name = f"new{number}"
    for probe in probes:
        probe.ask_for(f"alice@{name}.example.test")
    added = time.monotonic()
    case.apply(mail_domain(name))
    eventually(lambda: all(probe.taken_at for probe in probes), f"{name} accepted", EFFECT_SECONDS)
    eventually(lambda: case.is_programmed(name), "told", EFFECT_SECONDS)
    time.sleep(0.3)
    removed = time.monotonic()
    case.delete("MailDomain", name)
    eventually(lambda: all(probe.refused_at for probe in probes), f"{name} refused", EFFECT_SECONDS)
    result = max(probe.taken_at for probe in probes) - added, max(probe.refused_at for probe in probes) - removed
    time.sleep(0.5)
    return result


def _times(seconds: tuple[float, ...]) -> Times:
    def share(part: float) -> float:
        return seconds[min(len(seconds) - 1, int(part * len(seconds)))]

    return Times(
        changes=len(seconds),
        p50_seconds=share(0.5),
        p90_seconds=share(0.9),
        p99_seconds=share(0.99),
        slowest_seconds=seconds[-1],
        seconds=seconds,
    )


def _command(connection: socket.socket, replies: Any, line: bytes) -> int:
    connection.sendall(line + b"\r\n")
    return _reply(replies)


def _reply(replies: Any) -> int:
    """Read a reply; its code. Raises ConnectionError where the session ended."""
    while True:
        line = replies.readline()
        if len(line) < 4:
            raise ConnectionError("the session ended")
        if line[3:4] == b" ":
            return int(line[:3])
