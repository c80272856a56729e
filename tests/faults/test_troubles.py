"""Troubles of a volume and a process that runs on: calls that hang, modes that change, quotas, stale handles, no
descriptors. Nothing acknowledged is lost, nothing spins, and it heals by itself."""

from __future__ import annotations

import contextlib
import os
import resource
import smtplib
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Self

import pytest

from bench.usage import cpu_of
from tests.faults.books import balance
from tests.faults.local_users import BoundPaquebot
from tests.faults.pods import QUICK
from tests.faults.tracing import Injection
from tests.support.load import Load, run_load
from tests.support.paquebot_config import ALICE, PaquebotSettings
from tests.support.processes import LOOPBACK, peer_directory
from tests.support.requirements import needs_programs

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180), needs_programs("setpriv", "strace", as_root=True)]

WATCHED_SECONDS, MOST_CPU_SHARE = 2.0, 0.05
HANG_SECONDS = 12


@pytest.fixture
def paquebot(request: pytest.FixtureRequest) -> Iterator[BoundPaquebot]:
    with peer_directory() as place:
        directory = place / "paquebot"
        directory.mkdir()
        running = BoundPaquebot(directory, getattr(request, "param", PaquebotSettings()))
        yield running
        running.stop()


def cpu_share(paquebot: BoundPaquebot) -> float:
    before = cpu_of(paquebot.process.pid).total_seconds
    time.sleep(WATCHED_SECONDS)
    return (cpu_of(paquebot.process.pid).total_seconds - before) / WATCHED_SECONDS


def deliver(paquebot: BoundPaquebot, timeout_seconds: float = 10.0, subject: str = "x") -> None:
    """Send one message; an exception of smtplib, or a time-out, if it is not acknowledged."""
    with smtplib.SMTP(LOOPBACK, paquebot.ports.mx, local_hostname="client.test", timeout=timeout_seconds) as client:
        client.sendmail("a@client.test", [ALICE], f"Subject: {subject}\r\n\r\nAhoy!\r\n".encode())


@pytest.mark.parametrize("paquebot", [PaquebotSettings(queue=QUICK)], indirect=True)
def test_a_volume_that_hangs_gets_no_acknowledgement_and_stops_nothing_else(paquebot: BoundPaquebot) -> None:
    """All writes hang; sessions, health, metrics and logs, which need none, go on."""
    deliver(paquebot)
    tracer = paquebot.attach(Injection("pwrite", "1+", f"delay_enter={HANG_SECONDS}s"))
    with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected, smtplib.SMTPDataError)):
        deliver(paquebot, timeout_seconds=2.0)
    paquebot.wait_for(lambda: paquebot.get("/readyz")[0] == 503, "an end of readiness", 20.0)
    begun = time.monotonic()
    assert paquebot.get("/healthz")[0] == 200
    assert paquebot.metric("paquebot_ready") == 0
    with smtplib.SMTP(LOOPBACK, paquebot.ports.mx, timeout=5.0) as client:
        assert client.ehlo()[0] == 250
    assert time.monotonic() - begun < HANG_SECONDS / 2
    assert paquebot.log_lines(event="queue.beat-stalled")
    tracer.terminate(2.0 * HANG_SECONDS)
    paquebot.wait_for(paquebot.is_ready, "readiness", 60.0)
    deliver(paquebot)
    paquebot.wait_for(lambda: len(paquebot.delivered(ALICE)) >= 2, "both messages", 30.0)


class Senders:
    """Clients that go on sending, whatever they are told, until the end of the block."""

    def __init__(self, paquebot: BoundPaquebot, number: int = 4) -> None:
        self._paquebot = paquebot
        self._end = threading.Event()
        self.acked: set[str] = set()
        self.refused: list[str] = []
        self._threads = [threading.Thread(target=self._send, args=(f"{name}",)) for name in "abcdefgh"[:number]]

    def _send(self, name: str) -> None:
        for number in range(10_000):
            if self._end.wait(0.1):
                return
            subject = f"{name}-{number}"
            try:
                deliver(self._paquebot, subject=subject)
                self.acked.add(subject)
            except smtplib.SMTPResponseException as error:
                self.refused.append(f"{error.smtp_code} {error.smtp_error!r}")

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for each in self._threads:
            each.join()


def test_modes_that_change_under_load_lose_nothing_and_cost_nothing(paquebot: BoundPaquebot) -> None:
    """OpenSMTPD once spun for ever when its queue's permissions were changed while it ran."""
    pods = paquebot.directory / "spool" / "v1" / "pods"
    usual = cpu_share(paquebot)
    with Senders(paquebot) as senders:
        paquebot.wait_for(lambda: len(senders.acked) >= 10, "acknowledgements", 30.0)
        pods.chmod(0o000)
        paquebot.wait_for(lambda: paquebot.get("/readyz")[0] == 503, "an end of readiness", 30.0)
        acked = len(senders.acked)
        with_clients = cpu_share(paquebot)
        assert len(senders.acked) == acked
    alone = cpu_share(paquebot)
    pods.chmod(0o700)
    paquebot.wait_for(paquebot.is_ready, "readiness", 90.0)
    deliver(paquebot, subject="after")
    paquebot.wait_for_empty_queue(60.0)
    arrived = {line for copy in paquebot.delivered(ALICE) for line in copy.splitlines() if line.startswith(b"Subject")}
    assert {f"Subject: {subject}".encode() for subject in (*senders.acked, "after")} <= arrived
    assert senders.refused
    assert all(refusal.startswith("451 b'4.3.0") for refusal in senders.refused)
    assert alone < 2 * usual + MOST_CPU_SHARE
    assert with_clients < 10 * MOST_CPU_SHARE  # what forty refused sessions a second cost is in it
    for event in ("queue.circuit-open", "queue.circuit-closed"):
        assert len(paquebot.log_lines(event=event)) == 1


@pytest.mark.parametrize(
    ("kind", "error", "reply"),
    [("pwrite", "EDQUOT", "452 4.3.1"), ("pwrite", "ESTALE", "451 4.3.0"), ("fdatasync", "ESTALE", "451 4.3.0")],
)
def test_quotas_and_stale_handles_are_4yz(paquebot: BoundPaquebot, kind: str, error: str, reply: str) -> None:
    tracer = paquebot.attach(Injection(kind, "2+2", f"error={error}"))
    load = Load(sessions=3, messages=12, length_bytes=800, recipients=(ALICE,), name=f"{kind}-{error}".lower())
    witness = run_load(paquebot.ports.mx, load)
    tracer.terminate()
    assert witness.refused
    assert {line[:9] for line in witness.refused} <= {reply, "451 4.3.0"}
    paquebot.wait_for(partial(is_taken, paquebot), "an acknowledgement", 30.0)
    paquebot.wait_for_empty_queue(60.0)
    found = balance(witness, [copy for copy in paquebot.delivered(ALICE) if b"x@client" not in copy], ())
    assert (found.lost, found.altered) == (0, 0)


def is_taken(paquebot: BoundPaquebot) -> bool:
    with contextlib.suppress(smtplib.SMTPException, OSError):
        deliver(paquebot)
        return True
    return False


def test_without_descriptors_it_waits_and_does_not_spin(paquebot: BoundPaquebot) -> None:
    pid = paquebot.process.pid
    held: list[socket.socket] = []
    usual = cpu_share(paquebot)
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest_descriptor(pid) + 8, limits[1]))
    try:
        for _ in range(40):
            held.append(socket.create_connection((LOOPBACK, paquebot.ports.mx), timeout=5.0))
        greeted = sum(is_greeted(each) for each in held)
        assert greeted < 40, "there were descriptors left"
        assert cpu_share(paquebot) < 2 * usual + MOST_CPU_SHARE
    finally:
        for each in held:
            each.close()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    paquebot.wait_for(partial(is_taken, paquebot), "an acknowledgement", 30.0)
    paquebot.wait_for(paquebot.is_ready, "readiness", 30.0)
    paquebot.wait_for_empty_queue(30.0)


def highest_descriptor(pid: int) -> int:
    return max(int(name) for name in os.listdir(f"/proc/{pid}/fd"))


def is_greeted(connected: socket.socket) -> bool:
    connected.settimeout(0.05)
    with contextlib.suppress(OSError):
        return connected.recv(100).startswith(b"220")
    return False
